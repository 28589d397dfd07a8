// @ts-check
// Traits taken out of all captions: in the field of the Captions node that a dataset passes. Pure functions.

import { normal, tagsOf } from "./dataset_model.js";

/**
 * A list of tags with further ones at its end, each once.
 * @param {string} list tags separated by commas or lines, as Captions reads them
 * @param {string[]} tags
 */
export function withTags(list, tags) {
  const known = new Set(tagsOf(list.replaceAll("\n", ",")));
  const added = tags.filter((tag) => !known.has(normal(tag)));
  const before = list.trim().replace(/,$/, "");
  return [...(before ? [before] : []), ...added].join(", ");
}
