// @ts-check
// Puts the live panel on Train LoRA (nodes/train.py).

import { app } from "./lib/comfy.js";
import { chain, growTo, loadStyles } from "./lib/dom.js";
import { translator } from "./lib/strings.js";
import { listen } from "./lib/training_events.js";
import { TrainPanel } from "./widgets/train_panel.js";

const NODE = "BakeryTrain";
const MIN_WIDTH = 470;

/** Adds the panel as the node's last widget; it works in the classic and the new rendering of nodes. */
function addPanel(node) {
  const t = translator(app.ui.settings.getSettingValue("Comfy.Locale"));
  const nameWidget = node.widgets.find((widget) => widget.name === "name");
  const nameOf = (event) => {
    const isLinked = node.inputs?.some((input) => input.name === "name" && input.link != null);
    if (isLinked) return event.node === String(node.id) ? event.name : null;
    return event.name === nameWidget.value ? event.name : null;
  };
  // Once the frame is over: the widget's new height counts only then.
  const panel = new TrainPanel(t, nameOf, () => requestAnimationFrame(() => growTo(node, node.computeSize())));
  const widget = node.addDOMWidget("bakery_training", "bakery_training", panel.element, {
    serialize: false, hideOnZoom: false, getMinHeight: () => panel.minHeight,
  });
  widget.serialize = false;
  chain(nameWidget, "callback", () => panel.setName(nameWidget.value));
  chain(node, "onConfigure", () => panel.setName(nameWidget.value));
  chain(node, "onRemoved", () => panel.remove());
  growTo(node, [MIN_WIDTH, node.size[1]]);
  panel.setName(nameWidget.value);
}

app.registerExtension({
  name: "LoRABakery.Train",
  setup() {
    loadStyles();
    listen();
  },
  nodeCreated(node) {
    if (node.comfyClass === NODE) addPanel(node);
  },
});
