// @ts-check
// Traits taken out of all captions: in the field of the Captions node that a dataset passes. Pure functions.

/**
 * A list of tags with further ones at its end, each once.
 * @param {string} list tags separated by commas or lines, as Captions reads them
 * @param {string[]} tags
 */
export function withTags(list, tags) {
  const known = new Set(list.split(/[,\n]/).map(plain));
  const added = tags.filter((tag) => !known.has(plain(tag)));
  const before = list.trim().replace(/,$/, "");
  return [...(before ? [before] : []), ...added].join(", ");
}

/** @param {string} tag */
const plain = (tag) => tag.trim().toLowerCase().replaceAll("_", " ");
