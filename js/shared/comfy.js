// The only import of ComfyUI's page: everything else of the pack asks here.
export { app } from "../../../scripts/app.js";
export { api } from "../../../scripts/api.js";
