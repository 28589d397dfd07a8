// @ts-check
// Asks the server about datasets and edits them.

import { api } from "../shared/comfy.js";
import { ask } from "../train/run_service.js";

/** @param {string} folder below ComfyUI's input folder */
export const getDataset = (folder) => ask(`/dataset?folder=${encodeURIComponent(folder)}`);

/** @param {string} action captions, tag, mark, exclude, remove or keep @param {object} values */
export const edit = (action, values) => ask(`/dataset/${action}`, values);

/** @param {string} folder @param {{name: string, changed: number}} image @param {number} size */
export function pictureUrl(folder, { name, changed }, size) {
  const query = new URLSearchParams({ folder, name, size: String(size), v: String(changed) });
  return api.apiURL(`/bakery/dataset/picture?${query}`);
}

/**
 * Puts a file into the folder through ComfyUI's own upload.
 * @param {string} folder
 * @param {File} file
 * @returns {Promise<string>} the name it has there
 */
export async function upload(folder, file) {
  const body = new FormData();
  body.append("image", file, file.name);
  body.append("subfolder", folder);
  body.append("type", "input");
  const response = await api.fetchApi("/upload/image", { method: "POST", body });
  if (!response.ok) throw new Error(`${response.status}`);
  return (await response.json()).name;
}
