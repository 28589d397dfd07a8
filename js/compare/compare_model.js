// @ts-check
// The page's texts about a comparison. Pure functions.

import { short } from "../shared/number_format.js";

/**
 * @typedef {object} Cell a picture; numbers are places in the lists of the comparison
 * @property {number} lora
 * @property {number} prompt
 * @property {number} strength
 * @property {number} text_strength
 * @property {string} file
 * @property {number | null} score likeness to the references
 *
 * @typedef {object} Comparison as the server describes it; training/compare/store.py says what the lists are
 * @property {string} id
 * @property {string[]} loras
 * @property {(number | null)[]} steps
 * @property {string[]} prompts
 * @property {number[]} strengths
 * @property {(number | null)[]} text_strengths
 * @property {{id: string, name: string} | null} run
 * @property {Cell[]} cells
 * @property {number[]} means
 * @property {(number | null)[]} leaks
 * @property {(number | null)[]} [others_changed]
 * @property {[number, number][]} votes
 * @property {number | null} choice
 */

/** Share of other subjects' change from which a LoRA is called overfit; as training/compare/overfit.py has it. */
export const OVERFIT = 0.25;
/** The server's name of the base model. */
const NO_LORA = "no LoRA";

/**
 * Cells as the votes need them: what made a picture, and under which conditions.
 * @param {{lora: number, prompt: number, strength: number, text_strength: number}[]} cells
 * @returns {{lora: number, key: number[]}[]}
 */
export const candidates = (cells) => cells.map(({ lora, prompt, strength, text_strength }) => ({ lora, key: [prompt, strength, text_strength] }));

/**
 * Votes by LoRA, from votes by cell.
 * @param {[number, number][]} votes
 * @param {{lora: number}[]} cells
 */
export const votesByLora = (votes, cells) => votes.map(([winner, loser]) => ({ winner: cells[winner].lora, loser: cells[loser].lora }));

/**
 * Name of a LoRA in the page's language; files keep theirs.
 * @param {Comparison} data
 * @param {number} lora
 * @param {import("../shared/strings.js").Translate} t
 * @returns {string}
 */
export function loraName(data, lora, t) {
  if (data.steps[lora] != null) return t("step_name", { step: data.steps[lora] });
  return data.loras[lora] === NO_LORA ? t("base") : data.loras[lora];
}

/**
 * What a picture is, in a line: LoRA, strengths where there are several, prompt, score.
 * @param {Comparison} data
 * @param {Cell} cell
 * @param {import("../shared/strings.js").Translate} t
 * @returns {string}
 */
export function cellTitle(data, cell, t) {
  const parts = [loraName(data, cell.lora, t)];
  if (data.strengths.length > 1) parts.push(`${t("strength")} ${short(data.strengths[cell.strength])}`);
  const text = data.text_strengths[cell.text_strength];
  if (text != null) parts.push(`${t("text_encoder")} ${short(text)}`);
  parts.push(data.prompts[cell.prompt]);
  if (cell.score != null) parts.push(`${t("likeness")} ${cell.score.toFixed(3)}`);
  return parts.join(" · ");
}

/**
 * A LoRA's figures: mean likeness, how much it shows without the trigger, how much it changes other subjects.
 * @param {Comparison} data
 * @param {number} lora
 * @param {import("../shared/strings.js").Translate} t
 * @returns {{text: string, isOverfit: boolean}}
 */
export function verdict(data, lora, t) {
  const parts = [];
  if (data.means.length) parts.push(data.means[lora].toFixed(3));
  const leak = data.leaks[lora];
  if (leak != null) parts.push(t("leak", { share: Math.round(leak * 100) }));
  const changed = data.others_changed?.[lora];
  const isOverfit = changed != null && changed >= OVERFIT;
  if (changed != null) parts.push(t(isOverfit ? "overfit" : "others_changed", { share: Math.round(changed * 100) }));
  return { text: parts.join("\n"), isOverfit };
}
