// @ts-check
// Requests to the server about a comparison, its votes and its choice.

import { api } from "../shared/comfy.js";
import { ask } from "../shared/server.js";

/** @param {string} id @returns {Promise<import("./compare_model.js").Comparison>} */
export const getComparison = (id) => ask(`/compare/${id}`);

/** @param {string} id @param {[number, number]} vote winner and loser, as indices of cells */
export const addVote = (id, vote) => ask(`/compare/${id}/votes`, { add: vote });

/** @param {string} id @param {[number, number]} vote */
export const takeBackVote = (id, vote) => ask(`/compare/${id}/votes`, { take_back: vote });

/** @param {string} id @param {number | null} cell @param {number | null} basedOn the choice as it is shown */
export const saveChoice = (id, cell, basedOn) => ask(`/compare/${id}/choice`, { cell, based_on: basedOn });

/**
 * @param {string} id
 * @param {string} file
 * @param {number} [size] pixels of the longer side of a thumbnail
 */
export const pictureUrl = (id, file, size) => api.apiURL(`/bakery/compare/${id}/${file}${size ? `?size=${size}` : ""}`);
