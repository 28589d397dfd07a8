// @ts-check
// Inputs with another default for new nodes than for old ones (`EARLIER` of nodes/inputs/defaults.py): what was saved
// without them keeps the value it had.

const EARLIER = "earlier_default";

/** Inputs of a node and their earlier values, as its description has them. @param {any} node @returns {[string, unknown][]} */
function earlierValues({ constructor }) {
  const { required, optional } = constructor?.nodeData?.input ?? {};
  const described = Object.entries({ ...required, ...optional });
  return described.flatMap(([name, [, options]]) => (options && EARLIER in options ? [[name, options[EARLIER]]] : []));
}

/**
 * Sets the inputs of a loaded node that it was saved without.
 * @param {import("./comfy.js").GraphNode} node
 * @param {unknown[] | Record<string, unknown> | null | undefined} saved values in the order of the widgets, or by name
 */
export function keepEarlier(node, saved) {
  const kept = (node.widgets ?? []).filter((widget) => widget.serialize !== false);
  for (const [name, value] of earlierValues(node)) {
    const index = kept.findIndex((widget) => widget.name === name);
    const isSaved = Array.isArray(saved) ? index < saved.length : saved != null && name in saved;
    if (index >= 0 && !isSaved) kept[index].value = value;
  }
}
