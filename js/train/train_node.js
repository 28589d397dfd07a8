// @ts-check
// Puts the live panel on Train LoRA (nodes/training/train.py).

import { app } from "../shared/comfy.js";
import { chain, growTo, loadStyles } from "../shared/dom.js";
import { translator } from "../shared/strings.js";
import { listen } from "./training_events.js";
import { TrainPanel } from "./train_panel.js";

const NODE = "BakeryTrain";
const MIN_WIDTH = 470;
/** Modes of nodes that the host leaves out: with what hangs on them, and passing on what comes in. */
const MUTED = 2;
const BYPASSED = 4;
/** A name that comes through a link is known only once the node runs; the node keeps it for a reloaded page. */
const PROPERTY = "bakery_run_name";

/** Adds the panel as the node's last widget; it works in the classic and the new rendering of nodes. */
function addPanel(node) {
  const t = translator(app.ui.settings.getSettingValue("Comfy.Locale"));
  const nameWidget = node.widgets.find((widget) => widget.name === "name");
  const isLinked = () => isConnected(node, "name");
  const valueOf = (name) => node.widgets.find((widget) => widget.name === name).value;
  const overruled = () => (hasSource(node, "stages") ? { steps: valueOf("steps"), batch: valueOf("batch_size") } : null);
  const nameOf = (event) => {
    if (!isLinked()) return event.name === nameWidget.value ? event.name : null;
    if (!isNode(event.node, node)) return null;
    node.properties[PROPERTY] = event.name;
    return event.name;
  };
  // Once the frame is over: the widget's new height counts only then.
  const panel = new TrainPanel(t, nameOf, overruled, () => requestAnimationFrame(() => growTo(node, node.computeSize())));
  const widget = node.addDOMWidget("bakery_training", "bakery_training", panel.element, {
    serialize: false, hideOnZoom: false, getMinHeight: () => panel.minHeight,
  });
  widget.serialize = false;
  const showName = () => panel.setName(isLinked() ? node.properties[PROPERTY] ?? "" : nameWidget.value);
  chain(nameWidget, "callback", showName);
  chain(node, "onConfigure", showName);
  chain(node, "onConnectionsChange", () => {
    showName();
    panel.render();
  });
  for (const name of ["steps", "batch_size"]) chain(node.widgets.find((widget) => widget.name === name), "callback", panel.render);
  chain(node, "onExecuted", (output) => panel.setNotes((output?.text ?? []).slice(1)));
  chain(node, "onRemoved", () => panel.remove());
  growTo(node, [MIN_WIDTH, node.size[1]]);
  showName();
}

const isConnected = (node, name) => Boolean(node.inputs?.some((input) => input.name === name && input.link != null));

/**
 * Whether an input gets something: of a muted node it gets nothing, behind bypassed ones there may be nothing.
 * @param {any} node
 * @param {string} name of the input; a bypassed node passes on what comes in under the same name
 * @returns {boolean}
 */
function hasSource(node, name) {
  const link = node.graph?.getLink?.(node.inputs?.find((input) => input.name === name)?.link);
  const origin = link && node.graph.getNodeById(link.origin_id);
  if (origin?.mode === BYPASSED) return hasSource(origin, name);
  return origin?.mode !== MUTED && isConnected(node, name);
}

/**
 * Whether the server's id of a node, with those of the subgraphs around it before, is that of a node of the page.
 * @param {string | null} id such as `5`, or `12:5` in a subgraph
 * @param {any} node
 */
function isNode(id, node) {
  const path = (id ?? "").split(":");
  return path.at(-1) === String(node.id) && path.length > 1 === (node.graph !== app.graph && node.graph !== app.rootGraph);
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
