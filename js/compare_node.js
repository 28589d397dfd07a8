// @ts-check
// Puts the pictures on Compare LoRAs (nodes/compare.py): look, vote, pick.

import { app } from "./lib/comfy.js";
import { growTo, loadStyles } from "./lib/dom.js";
import { translator } from "./lib/strings.js";
import { ComparePanel } from "./widgets/compare_panel.js";

const NODE = "BakeryCompare";
const HEIGHT = { empty: 40, full: 320 };
const MIN_WIDTH = 420;

/** Adds the panel as the node's last widget. */
function addPanel(node) {
  const panel = new ComparePanel(translator(app.ui.settings.getSettingValue("Comfy.Locale")));
  let isFull = false;
  const widget = node.addDOMWidget("bakery_compare", "bakery_compare", panel.element, {
    serialize: false, hideOnZoom: false, getMinHeight: () => (isFull ? HEIGHT.full : HEIGHT.empty),
  });
  widget.serialize = false;
  const executed = node.onExecuted;
  node.onExecuted = function (output) {
    executed?.apply(this, arguments);
    const [data] = output?.bakery_compare ?? [];
    if (!data) return;
    isFull = true;
    panel.show(data);
    growTo(node, node.computeSize());
  };
  growTo(node, [MIN_WIDTH, node.size[1]]);
}

app.registerExtension({
  name: "LoRABakery.Compare",
  setup: loadStyles,
  nodeCreated(node) {
    if (node.comfyClass === NODE) addPanel(node);
  },
});
