// @ts-check
// Asks the server about runs and steers them.

import { api } from "../shared/comfy.js";
import { previewFile } from "./preview_grid.js";

/**
 * @param {string} path below /bakery
 * @param {object} [body] sent with POST; without it the request is a GET
 * @returns {Promise<any>} the answer
 */
export async function ask(path, body) {
  const options = body && { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) };
  const response = await api.fetchApi(`/bakery${path}`, options);
  const answer = await response.json().catch(() => ({ error: `${response.status}` }));
  if (!response.ok) throw new Error(answer.error);
  return answer;
}

/** @param {string} name */
export const listRuns = (name) => ask(`/runs?name=${encodeURIComponent(name)}`);

/** @param {string} id @param {string} name */
export const getRun = (id, name) => ask(`/runs/${id}?name=${encodeURIComponent(name)}`);

/**
 * @param {{id: string, name: string}} run
 * @param {string} command
 * @param {object} [values]
 */
export const command = ({ id, name }, command, values = {}) =>
  ask(`/runs/${id}/${command}?name=${encodeURIComponent(name)}`, values);

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
