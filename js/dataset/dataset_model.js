// @ts-check
// What the page knows of a dataset: tags of captions, filters, the way back. Pure functions.

/** The form in which tags are compared; as training/data/tags.py has it. @param {string} tag */
export const normal = (tag) => tag.trim().toLowerCase().replaceAll("_", " ");

/**
 * Tags of a caption; commas inside parentheses do not part them.
 * @param {string} caption
 * @returns {string[]} in their normal form
 */
export function tagsOf(caption) {
  const pieces = [];
  let depth = 0;
  let piece = "";
  for (const character of caption) {
    if (character === "(") depth++;
    else if (character === ")") depth = Math.max(0, depth - 1);
    if (character === "," && depth === 0) {
      pieces.push(piece);
      piece = "";
    } else piece += character;
  }
  return [...pieces, piece].map(normal).filter(Boolean);
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
    const present = new Set(tagsOf(caption));
    return [...tags].every((tag) => present.has(tag));
  });
}

/**
 * @typedef {object} Edit
 * @property {string} action of the server's routes
 * @property {Record<string, any>} values sent with it, besides the folder
 */

/**
 * What takes an edit back.
 * @param {Edit} edit
 * @param {any} answer of the server to it
 * @returns {Edit | null} null where nothing was changed
 */
export function inverse({ action, values }, answer) {
  const isEmpty = (/** @type {object} */ before) => !Object.keys(before ?? {}).length;
  switch (action) {
    case "captions":
    case "tag":
      return isEmpty(answer.before) ? null : { action: "captions", values: { captions: answer.before } };
    case "mark":
      return isEmpty(answer.before) ? null : { action, values: { marks: answer.before } };
    case "exclude":
      return { action, values: { name: answer.name, is_excluded: !values.is_excluded } };
    case "add":
      return answer.names.length ? { action: "remove", values: { names: answer.names, is_removed: true } } : null;
    default:
      return null;
  }
}

/** What takes edits back, the last first; the oldest of more than 100 are forgotten. */
export class History {
  /** @type {Edit[]} */
  #steps = [];

  get isEmpty() {
    return this.#steps.length === 0;
  }

  /** @param {Edit | null} edit that takes back what was just done */
  add(edit) {
    if (edit) this.#steps = [...this.#steps.slice(-99), edit];
  }

  takeBack() {
    return this.#steps.pop();
  }
}

/**
 * How many images have each mark; excluded ones do not count.
 * @param {{mark: string | null, is_excluded: boolean}[]} images
 * @returns {{validation: number, regularization: number}}
 */
export function markCounts(images) {
  const count = (/** @type {string} */ mark) => images.filter((image) => image.mark === mark && !image.is_excluded).length;
  return { validation: count("validation"), regularization: count("regularization") };
}

/**
 * The positive prompt that leads to a node, by its inputs back through the graph.
 * @param {any} node
 * @param {(id: number) => any} nodeOfLink the node at the start of a link
 * @returns {string} empty where none is found
 */
export function promptOf(node, nodeOfLink) {
  const seen = new Set();
  let wanted = [node];
  while (wanted.length) {
    const next = [];
    for (const current of wanted) {
      if (!current || seen.has(current)) continue;
      seen.add(current);
      const text = current.widgets?.find((/** @type {any} */ widget) => widget.name === "text" || widget.name === "prompts");
      if (typeof text?.value === "string" && current !== node) return text.value.split("\n")[0];
      const inputs = (current.inputs ?? []).filter((/** @type {any} */ input) => input.link != null && input.name !== "negative");
      const positive = inputs.filter((/** @type {any} */ input) => input.name === "positive");
      next.push(...[...positive, ...inputs].map((input) => nodeOfLink(input.link)));
    }
    wanted = next;
  }
  return "";
}
