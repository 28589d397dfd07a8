// @ts-check
// The page's model of a dataset: tags of captions, filters, tag counts. Pure functions.

/**
 * @typedef {object} Entry an image of the folder, as training/data/entries.py has it
 * @property {string} name
 * @property {string} caption
 * @property {boolean} is_excluded
 * @property {"validation" | "regularization" | null} mark
 * @property {number} changed
 * @property {string} place its name, or the one it has once it is not left out any more
 * @property {string} version of the caption; an edit says what it is based on
 * @property {string} [same_as] version of the same caption before it was moved with its image, from this page
 * @property {string} caption_file images of one stem share it
 * @property {string} metadata file that the caption is from, where it is
 * @property {string} problem why the caption cannot be read
 *
 * @typedef {object} Source where Load Dataset reads
 * @property {string} folder below ComfyUI's input folder
 * @property {string} caption_extension
 * @property {string} metadata
 */

/** What Python takes for spaces; JavaScript knows one more and five fewer. */
const SPACES = "\\t-\\r\\x1c- \\x85\\xa0\\u1680\\u2000-\\u200a\\u2028\\u2029\\u202f\\u205f\\u3000";
const ENDS = new RegExp(`^[${SPACES}]+|[${SPACES}]+$`, "g");
const DIFFERING = /[\x1c-\x1f\x85\ufeff]/;

/** As Python's `strip`. @param {string} text */
const strip = (text) => (DIFFERING.test(text) ? text.replace(ENDS, "") : text.trim());

/** The form in which tags are compared; as training/data/tags.py has it. @param {string} tag */
export const normal = (tag) => strip(tag.replace(/\\([()])/g, "$1")).toLowerCase().replaceAll("_", " ");

/**
 * Tags of a caption, by the rule of training/data/tags.py: commas inside balanced parentheses do not part them, and a
 * parenthesis that is not closed, as in `:(`, holds nothing together.
 * @param {string} caption
 * @returns {string[]} in their normal form
 */
export function tagsOf(caption) {
  if (!/[()]/.test(caption.replace(/\\[()]/g, ""))) return simpleTagsOf(caption); // most captions, and many times faster
  const pieces = caption.split(",");
  let depth = 0;
  const ends = endsOf(pieces.map((piece) => (depth += openedIn(piece))));
  const tags = [];
  for (let start = 0; start < pieces.length; start = ends[start]) tags.push(normal(pieces.slice(start, ends[start]).join(",")));
  return tags.filter(Boolean);
}

/** The same where every comma parts two tags. @param {string} caption */
function simpleTagsOf(caption) {
  const trimmed = caption.split(",").map(strip).join(",");
  return normal(trimmed).split(",").filter(Boolean);
}

/**
 * Behind which piece the tag ends that begins with each one: the first after which no more parentheses are open than
 * before it, else the piece itself.
 * @param {number[]} depths open parentheses after each piece
 */
function endsOf(depths) {
  const ends = depths.map(() => 0);
  /** Places whose depth is below that of every place between, the nearest last. @type {number[]} */
  const later = [];
  for (let place = depths.length - 1; place >= 0; place--) {
    const before = place ? depths[place - 1] : 0;
    while (later.length && depths[later[later.length - 1]] >= depths[place]) later.pop();
    later.push(place);
    let [low, high] = [0, later.length]; // how many of them are at most `before`
    while (low < high) {
      const middle = (low + high) >> 1;
      if (depths[later[middle]] <= before) low = middle + 1;
      else high = middle;
    }
    ends[place] = (low ? later[low - 1] : place) + 1;
  }
  return ends;
}

/** Parentheses opened and not closed again; escaped ones do not count. @param {string} text */
function openedIn(text) {
  const plain = text.replace(/\\[()]/g, "");
  return plain.split("(").length - plain.split(")").length;
}

/**
 * Images that have all of the tags.
 * @template {{caption: string}} T
 * @param {T[]} images
 * @param {Set<string>} tags normal forms; none shows all
 * @returns {T[]}
 */
export function filtered(images, tags) {
  if (!tags.size) return images;
  return images.filter(({ caption }) => {
    const text = normal(caption);
    if (![...tags].every((tag) => text.includes(tag))) return false; // of thousands, few are looked at closely
    const present = new Set(tagsOf(caption));
    return [...tags].every((tag) => present.has(tag));
  });
}

/**
 * How often each tag occurs once an image has changed.
 * @param {Map<string, number>} counts changed in place
 * @param {{caption: string, is_excluded: boolean} | undefined} before undefined where the image is new
 * @param {{caption: string, is_excluded: boolean} | undefined} after
 */
export function recount(counts, before, after) {
  const add = (/** @type {typeof before} */ image, /** @type {number} */ number) => {
    if (!image || image.is_excluded) return;
    for (const tag of new Set(tagsOf(image.caption))) counts.set(tag, (counts.get(tag) ?? 0) + number);
  };
  add(before, -1);
  add(after, 1);
  for (const [tag, count] of counts) if (count <= 0) counts.delete(tag);
}

/**
 * Images that were left out, or put back, between two listings.
 * @param {{name: string, place: string}[]} before
 * @param {{name: string, place: string}[]} after
 * @returns {[string, string][]} old and new names
 */
export function movesBetween(before, after) {
  const names = new Set(after.map(({ name }) => name));
  const gone = new Map(before.filter(({ name }) => !names.has(name)).map(({ name, place }) => [place, name]));
  return after.flatMap(({ name, place }) => (gone.has(place) ? [[/** @type {string} */ (gone.get(place)), name]] : []));
}

/**
 * Images that share their caption file.
 * @param {{name: string, caption_file: string, metadata: string}[]} images
 * @returns {Map<string, string[]>} the others of an image by its name; without those that share with none
 */
export function sharersOf(images) {
  /** @type {Map<string, string[]>} */
  const byFile = new Map();
  for (const { name, caption_file: file, metadata } of images) {
    if (!metadata) byFile.set(file, [...(byFile.get(file) ?? []), name]);
  }
  const shared = [...byFile.values()].filter((names) => names.length > 1);
  return new Map(shared.flatMap((names) => names.map((name) => [name, names.filter((other) => other !== name)])));
}

/**
 * How many images have each mark; excluded ones do not count.
 * @param {{mark: string | null, is_excluded: boolean}[]} images
 * @returns {Record<string, number>}
 */
export function markCounts(images) {
  const count = (/** @type {string} */ mark) => images.filter((image) => image.mark === mark && !image.is_excluded).length;
  return { validation: count("validation"), regularization: count("regularization") };
}
