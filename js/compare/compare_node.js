// @ts-check
// Puts the pictures on Compare LoRAs (nodes/tools/compare.py): look, vote, choose.

import { app } from "../shared/comfy.js";
import { chain, growTo } from "../shared/dom.js";
import { texts } from "../shared/language.js";
import { endWith } from "../shared/lifetime.js";
import { noteChange } from "../shared/undo.js";
import { ComparePanel } from "./compare_panel.js";

const NODE = "BakeryCompare";
const HEIGHT = { empty: 80, full: 340 };
const MIN_WIDTH = 420;
/** The node keeps the id of what it shows, so that a reloaded page shows it again. */
const PROPERTY = "bakery_comparison";

/** Adds the panel as the node's last widget. @param {import("../shared/comfy.js").GraphNode} node */
function addPanel(node) {
  let isFull = false;
  const panel = new ComparePanel(texts(), () => {
    isFull = true;
    growTo(node, node.computeSize());
  });
  const widget = node.addDOMWidget("bakery_compare", "bakery_compare", panel.element, {
    serialize: false, hideOnZoom: false, getMinHeight: () => (isFull ? HEIGHT.full : HEIGHT.empty),
  });
  widget.serialize = false;
  chain(node, "onExecuted", (output) => {
    const [shown] = output?.bakery_compare ?? [];
    if (!shown) return;
    node.properties[PROPERTY] = shown.id;
    noteChange();
    void panel.load(shown.id);
  });
  chain(node, "onConfigure", () => {
    const id = node.properties[PROPERTY];
    if (/^[0-9a-f]{24}$/.test(id)) void panel.load(id);
  });
  endWith(node, () => panel.remove());
  growTo(node, [MIN_WIDTH, node.size[1]]);
}

app.registerExtension({
  name: "LoRABakery.Compare",
  nodeCreated(node) {
    if (node.comfyClass === NODE) addPanel(node);
  },
});
