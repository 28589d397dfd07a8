// @ts-check
// Puts a button on Inspect Dataset (nodes/dataset/inspect_dataset.py): the traits that its report names are taken out
// of the captions with one click.

import { app } from "../shared/comfy.js";
import { chain, element, growTo, setText } from "../shared/dom.js";
import { insertBehind, nodeBehind } from "../shared/graph.js";
import { texts } from "../shared/language.js";
import { endWith } from "../shared/lifetime.js";
import { noteChange } from "../shared/undo.js";
import { withTags } from "./traits.js";

const NODE = "BakeryInspectDataset";
const CAPTIONS = "BakeryCaptions";
const HEIGHT = 52;

/** Adds the button as the node's last widget, unseen until there are traits. @param {import("../shared/comfy.js").GraphNode} node */
function addStrip(node) {
  const t = texts();
  const button = element("button", { type: "button", onclick: () => strip() });
  const hint = element("div", { class: "bakery-hint" });
  const panel = element("div", { class: "bakery-panel", hidden: true }, button, hint);
  /** @type {string[]} */
  let traits = [];
  const widget = node.addDOMWidget("bakery_traits", "bakery_traits", element("div", { class: "bakery" }, panel), {
    serialize: false, hideOnZoom: false, getMinHeight: () => (panel.hidden ? 0 : HEIGHT),
  });
  widget.serialize = false;
  endWith(node, () => {});

  function strip() {
    const captions = nodeBehind(node, "dataset", CAPTIONS) ?? insertBehind(node, "dataset", CAPTIONS);
    const field = captions?.widgets?.find((each) => each.name === "prune");
    if (!captions || !field) return setText(hint, t("strip_by_hand", { tags: traits.join(", ") }));
    field.value = withTags(String(field.value ?? ""), traits);
    field.callback?.(field.value);
    captions.setDirtyCanvas?.(true, true);
    noteChange();
    button.disabled = true;
    setText(hint, t("stripped"));
  }

  chain(node, "onExecuted", (output) => {
    traits = output?.bakery_traits ?? [];
    panel.hidden = !traits.length;
    button.disabled = false;
    setText(button, t("strip_tags", { tags: traits.join(", ") }));
    setText(hint, t("strip_hint"));
    growTo(node, node.computeSize());
  });
}

app.registerExtension({
  name: "LoRABakery.Inspect",
  nodeCreated(node) {
    if (node.comfyClass === NODE) addStrip(node);
  },
});
