// @ts-check
// What the server's nodes say, in the language of the page. The server speaks English; sentences that the table does not
// have stay as they are.

import { CHINESE } from "./option_names.js";
import { SENTENCES } from "./said_zh.js";

/** What stands in a sentence: a number, the s of a plural, a text that is translated itself, anything. */
const VALUES = /** @type {Record<string, string>} */ ({ "{n}": "([-+\\d.,e%]+)", "{s}": "s?", "{t}": "(.+)", "{}": "(.+?)" });
/** Between the sentences of one text. */
const ENDS = /(; | · |\n)/;
const CHINESE_ENDS = /** @type {Record<string, string>} */ ({ "; ": "；" });

/** @typedef {{pattern: RegExp, values: string[], text: string}} Sentence */

/**
 * The English as an expression whose groups are its values.
 * @param {string} english
 */
const patternOf = (english) => {
  const parts = english.replaceAll("|", "").split(/(\{\w?\})/);
  const found = parts.map((part) => VALUES[part] ?? part.replace(/[.*+?^$()|[\]\\]/g, "\\$&"));
  return new RegExp(`^${found.join("")}$`);
};

/** @type {Sentence[]} */
const KNOWN = SENTENCES.map(([english, text]) => ({
  pattern: patternOf(english),
  values: english.match(/\{[nt]?\}/g) ?? [],
  text,
}));

/**
 * A node's text for the page.
 * @param {string} text
 * @param {string | undefined} locale such as `zh`, `zh-TW`, `en`
 */
export const said = (text, locale) => (locale?.split(/[-_]/)[0] === "zh" ? inChinese(text) : text);

/** @param {string} text @returns {string} */
const inChinese = (text) => text.split(ENDS).map((part) => CHINESE_ENDS[part] ?? sentence(part)).join("");

/** @param {string} english @returns {string} */
function sentence(english) {
  const bare = english.trim();
  if (CHINESE.subject[bare]) return CHINESE.subject[bare];
  for (const { pattern, values, text } of KNOWN) {
    const found = pattern.exec(bare);
    if (!found) continue;
    const told = text.replace(/\{(\d)\}/g, (_, index) => (values[index - 1] === "{t}" ? inChinese(found[index]) : found[index]));
    return english.replace(bare, () => told);
  }
  return english;
}
