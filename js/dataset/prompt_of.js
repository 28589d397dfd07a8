// @ts-check
// The positive prompt that leads to a node of the graph. Pure functions.

/** @typedef {import("../shared/comfy.js").GraphNode} GraphNode */

/**
 * @param {GraphNode} node
 * @param {(id: number) => GraphNode | null | undefined} nodeOfLink the node at the start of a link
 * @returns {string} on one line; empty where none is found
 */
export function promptOf(node, nodeOfLink) {
  const seen = new Set();
  /** @type {(GraphNode | null | undefined)[]} */
  let wanted = [node];
  while (wanted.length) {
    const next = [];
    for (const current of wanted) {
      if (!current || seen.has(current)) continue;
      seen.add(current);
      const text = current === node ? null : textOf(current);
      if (text !== null) return text;
      const inputs = (current.inputs ?? []).filter((input) => input.link != null && input.name !== "negative");
      const positive = inputs.filter((input) => input.name === "positive");
      next.push(...[...positive, ...inputs].map((input) => nodeOfLink(/** @type {number} */ (input.link))));
    }
    wanted = next;
  }
  return "";
}

/** `prompts` has one a line, `text` is one whatever its lines. @param {GraphNode} node @returns {string | null} */
function textOf({ widgets }) {
  const text = widgets?.find(({ name }) => name === "text" || name === "prompts");
  if (typeof text?.value !== "string") return null;
  const lines = text.value.split("\n").map((line) => line.trim()).filter(Boolean);
  return text.name === "prompts" ? lines[0] ?? "" : lines.join(" ");
}
