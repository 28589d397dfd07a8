// @ts-check
// Requests to the server about runs.

import { api } from "../shared/comfy.js";
import { ask } from "../shared/server.js";
import { previewFile } from "./preview_grid.js";

/** @param {string} name */
export const listRuns = (name) => ask(`/runs?name=${encodeURIComponent(name)}`);

/** @param {string} id @param {string} name */
export const getRun = (id, name) => ask(`/runs/${id}?name=${encodeURIComponent(name)}`);

/**
 * Address of a preview.
 * @param {{id: string, name: string}} run
 * @param {string} set
 * @param {number} step
 * @param {number} prompt
 * @param {number} [size] pixels of the longer side of a thumbnail
 */
export function previewUrl({ id, name }, set, step, prompt, size) {
  const query = `name=${encodeURIComponent(name)}${size ? `&size=${size}` : ""}`;
  return api.apiURL(`/bakery/runs/${id}/previews/${set}/${previewFile(step, prompt)}?${query}`);
}
