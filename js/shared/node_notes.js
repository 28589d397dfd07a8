// @ts-check
// What a node says when it has run: ComfyUI's page shows the texts of its own nodes alone.

import { api } from "./comfy.js";
import { chain, element, growTo, notesElement, setText } from "./dom.js";
import { allGraphs } from "./graph.js";
import { locale } from "./language.js";
import { endWith } from "./lifetime.js";
import { said } from "./said.js";

/** Nodes with panels of their own, which show what they say. */
const HAS_PANEL = new Set(["BakeryTrain", "BakeryLoadDataset"]);
const HEIGHT = { hidden: 0, one: 34, several: 84 };

/**
 * What a node said, in the page's language.
 * @param {{text?: string[]} | undefined} output
 */
export const notesOf = (output) => (output?.text ?? []).map((text) => said(text, locale()));

/**
 * Shows the texts of a node's output as its last widget, unseen until there are any.
 * @param {import("./comfy.js").GraphNode} node
 */
export function showNotes(node) {
  if (HAS_PANEL.has(node.comfyClass ?? "")) return;
  /** @type {HTMLElement | null} */
  let notes = null;
  chain(node, "onExecuted", (output) => {
    const text = notesOf(output).join("\n");
    if (!text && !notes) return; // most have nothing to say
    notes ??= addNotes(node);
    setText(notes, text);
    notes.hidden = !text;
    growTo(node, node.computeSize());
  });
}

/**
 * What nodes say while they run is shown by ComfyUI's page; `capture` has it translated before the page reads it. Ids in
 * subgraphs have those of the graphs around them in front.
 */
export function translateProgress() {
  const isOurs = (/** @type {string | undefined} */ id) => [...allGraphs()].some((graph) => graph._nodes.some((node) => String(node.id) === id && node.comfyClass?.startsWith("Bakery")));
  api.addEventListener("progress_text", ({ detail }) => {
    if (isOurs(String(detail.nodeId).split(":").at(-1))) detail.text = said(detail.text, locale());
  }, { capture: true });
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
