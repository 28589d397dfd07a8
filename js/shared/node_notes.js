// @ts-check
// What a node says when it has run: ComfyUI's page shows the texts of its own nodes alone.

import { chain, element, growTo, notesElement, setText } from "./dom.js";
import { endWith } from "./lifetime.js";

/** Nodes with panels of their own, which show what they say. */
const HAS_PANEL = new Set(["BakeryTrain", "BakeryLoadDataset"]);
const HEIGHT = { hidden: 0, one: 34, several: 84 };

/**
 * Shows the texts of a node's output as its last widget, unseen until there are any.
 * @param {import("./comfy.js").GraphNode} node
 */
export function showNotes(node) {
  if (HAS_PANEL.has(node.comfyClass ?? "")) return;
  /** @type {HTMLElement | null} */
  let notes = null;
  chain(node, "onExecuted", (output) => {
    const text = (output?.text ?? []).join("\n");
    if (!text && !notes) return; // most have nothing to say
    notes ??= addNotes(node);
    setText(notes, text);
    notes.hidden = !text;
    growTo(node, node.computeSize());
  });
}

/** @param {import("./comfy.js").GraphNode} node */
function addNotes(node) {
  const notes = notesElement();
  const height = () => (notes.hidden ? HEIGHT.hidden : notes.textContent?.includes("\n") ? HEIGHT.several : HEIGHT.one);
  const widget = node.addDOMWidget("bakery_notes", "bakery_notes", element("div", { class: "bakery" }, notes), {
    serialize: false, hideOnZoom: false, getMinHeight: height,
  });
  widget.serialize = false;
  endWith(node, () => {}); // the page keeps the widget of a node whose subgraph goes
  return notes;
}
