// @ts-check
// The page's texts in the language of the page.

import { TEXTS as EN } from "./strings_en.js";
import { TEXTS as ZH } from "./strings_zh.js";

/** @type {Record<string, Record<string, string>>} */
const STRINGS = { en: EN, zh: ZH };

/** @typedef {(key: string, values?: Record<string, string | number>) => string} Translate */

/**
 * The texts of a language; English if it is missing.
 * @param {string | undefined} locale such as `zh`, `zh-TW`, `en`
 * @returns {Translate}
 */
export function translator(locale) {
  const texts = STRINGS[(locale ?? "en").split(/[-_]/)[0]] ?? STRINGS.en;
  return (key, values = {}) => {
    const text = texts[key] ?? STRINGS.en[key];
    if (text === undefined) throw new Error(`no text for ${key}`);
    return text.replace(/\{(\w+)\}/g, (whole, name) => String(values[name] ?? whole));
  };
}

/** Keys and languages, for the test that both are complete. */
export const KEYS = Object.fromEntries(Object.entries(STRINGS).map(([name, texts]) => [name, Object.keys(texts)]));
