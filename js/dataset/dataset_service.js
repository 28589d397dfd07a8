// @ts-check
// Requests to the server about datasets and edits of them.

import { api } from "../shared/comfy.js";
import { ask } from "../shared/server.js";

/** @typedef {import("./dataset_model.js").Source} Source */

/** @param {Source} source */
export const getDataset = (source) => ask(`/dataset?${new URLSearchParams({ ...source })}`);

/**
 * @param {Source} source
 * @param {string} action captions, tag, mark, exclude or remove
 * @param {object} values
 * @returns {Promise<any>} with the images that were changed
 */
export const edit = (source, action, values) => ask(`/dataset/${action}`, { ...source, ...values, with_images: true });

/** @param {{folder: string, caption: string, images: object[]}} values @returns {Promise<{names: string[]}>} */
export const keep = (values) => ask("/dataset/keep", values);

/** The prompt that a generated picture carries. @param {import("../shared/comfy.js").ImageFile} image @param {string} node */
export const promptInPicture = ({ filename, subfolder, type }, node) =>
  ask(`/dataset/prompt?${new URLSearchParams({ filename, subfolder: subfolder ?? "", type, node })}`).then(({ prompt }) => prompt);

/** @param {string} folder @param {{name: string, changed: number}} image @param {number} size */
export function pictureUrl(folder, { name, changed }, size) {
  const query = new URLSearchParams({ folder, name, size: String(size), v: String(changed) });
  return api.apiURL(`/bakery/dataset/picture?${query}`);
}

/**
 * Puts a file into the folder through ComfyUI's own upload.
 * @param {string} folder
 * @param {File} file
 * @param {string} name that it is to have
 * @returns {Promise<string>} the name it has there
 */
export async function upload(folder, file, name) {
  const body = new FormData();
  body.append("image", file, name);
  body.append("subfolder", folder);
  body.append("type", "input");
  const response = await api.fetchApi("/upload/image", { method: "POST", body });
  if (!response.ok) throw new Error(`${response.status}`);
  return (await response.json()).name;
}
