// @ts-check
// Asks the server about a comparison; keeps votes and choice there.

import { api } from "../shared/comfy.js";
import { ask } from "../train/run_service.js";

/** @param {string} id */
export const getComparison = (id) => ask(`/compare/${id}`);

/** @param {string} id @param {[number, number][]} votes winner and loser, as indices of cells */
export const saveVotes = (id, votes) => ask(`/compare/${id}/votes`, { votes });

/** @param {string} id @param {number | null} cell */
export const saveChoice = (id, cell) => ask(`/compare/${id}/choice`, { cell });

/**
 * @param {string} id
 * @param {string} file
 * @param {number} [size] pixels of the longer side of a thumbnail
 */
export const pictureUrl = (id, file, size) => api.apiURL(`/bakery/compare/${id}/${file}${size ? `?size=${size}` : ""}`);
