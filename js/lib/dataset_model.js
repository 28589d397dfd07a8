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

/** Edits that can be taken back, the last first. */
export class History {
  /** @type {Record<string, string>[]} captions before each edit */
  #steps = [];

  get isEmpty() {
    return this.#steps.length === 0;
  }

  /** @param {Record<string, string>} before captions by image name; an edit that changed nothing is left out */
  add(before) {
    if (Object.keys(before).length) this.#steps = [...this.#steps.slice(-99), before];
  }

  /** @returns {Record<string, string> | undefined} captions to write again */
  takeBack() {
    return this.#steps.pop();
  }
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
