// @ts-check
// Puts the live panel on Train LoRA (nodes/training/train.py).

import { app } from "../shared/comfy.js";
import { chain, growTo } from "../shared/dom.js";
import { borderOf, rootGraph, valuesOf } from "../shared/graph.js";
import { texts } from "../shared/language.js";
import { endWith } from "../shared/lifetime.js";
import { notesOf } from "../shared/node_notes.js";
import { listen } from "./training_events.js";
import { TrainPanel } from "./train_panel.js";

const NODE = "BakeryTrain";
const MIN_WIDTH = 470;
/** Modes of nodes that the host leaves out: with what hangs on them, and passing on what comes in. */
const MUTED = 2;
const BYPASSED = 4;
/** A name that comes through a link is known only once the node runs; the node keeps it for a reloaded page. */
const PROPERTY = "bakery_run_name";

/**
 * @typedef {import("../shared/comfy.js").GraphNode} GraphNode
 * @typedef {import("../shared/comfy.js").Widget} Widget
 */

/** Adds the panel as the node's last widget; it works in the classic and the new rendering of nodes. @param {GraphNode} node */
function addPanel(node) {
  const widgetOf = (/** @type {string} */ name) => /** @type {Widget} */ (node.widgets?.find((widget) => widget.name === name));
  const length = () => ({ steps: valuesOf(node, "steps")[0], batch: valuesOf(node, "batch_size")[0] });
  const panel = new TrainPanel(texts(), {
    nameOf: (event) => nameOf(node, event),
    overruled: () => (hasSource(node, "stages") ? length() : null),
    // Once the frame is over: the widget's new height counts only then.
    onTaller: () => requestAnimationFrame(() => growTo(node, node.computeSize())),
    onTick: () => showName(),
  });
  const showName = () => panel.setName(knownName(node) ?? node.properties[PROPERTY] ?? "");
  const widget = node.addDOMWidget("bakery_training", "bakery_training", panel.element, {
    serialize: false, hideOnZoom: false, getMinHeight: () => panel.minHeight,
  });
  widget.serialize = false;
  chain(widgetOf("name"), "callback", showName);
  chain(node, "onConfigure", showName);
  chain(node, "onConnectionsChange", () => {
    showName();
    panel.render();
  });
  for (const name of ["steps", "batch_size"]) chain(widgetOf(name), "callback", panel.render);
  chain(node, "onExecuted", (output) => panel.setNotes(notesOf(output).slice(1)));
  endWith(node, () => panel.remove());
  growTo(node, [MIN_WIDTH, node.size[1]]);
  showName();
}

/** The run's name, where the graph alone says it; the node's own may be empty. @param {GraphNode} node @returns {string | null} */
function knownName(node) {
  const names = valuesOf(node, "name");
  if (names.length !== 1 || names[0] === undefined) return null;
  return String(names[0]) || (isConnected(node, "name") ? null : "");
}

/**
 * The run's name by an event, where it is about this node.
 * @param {GraphNode} node
 * @param {import("./run_model.js").RunEvent} event
 */
function nameOf(node, event) {
  const name = knownName(node);
  if (name !== null) return event.name === name ? name : null;
  if (event.node === null && event.name === node.properties[PROPERTY]) return event.name; // such as a pick in another tab
  if (!isNode(event.node, node)) return null;
  node.properties[PROPERTY] = event.name;
  return event.name;
}

/** @param {GraphNode} node @param {string} name */
const isConnected = (node, name) => Boolean(node.inputs?.some((input) => input.name === name && input.link != null));

/**
 * Whether an input gets something: of a muted node it gets nothing, behind bypassed ones and the borders of subgraphs
 * there may be nothing.
 * @param {GraphNode} node
 * @param {string} name of the input; a bypassed node passes on what comes in under the same name
 * @returns {boolean}
 */
function hasSource(node, name) {
  const link = node.graph?.getLink?.(node.inputs?.find((input) => input.name === name)?.link);
  if (!link || !node.graph) return false;
  const border = borderOf(node.graph, link);
  if (border) return border.hosts.some((host) => hasSource(host, border.name));
  const origin = node.graph.getNodeById(link.origin_id);
  if (origin?.mode === BYPASSED) return hasSource(origin, name);
  return origin?.mode !== MUTED;
}

/**
 * Whether the server's id of a node, with those of the subgraphs around it before, is that of a node of the page.
 * @param {string | null} id such as `5`, or `12:5` in a subgraph
 * @param {GraphNode} node
 */
function isNode(id, node) {
  const path = (id ?? "").split(":");
  return path.at(-1) === String(node.id) && path.length > 1 === (node.graph !== rootGraph());
}

app.registerExtension({
  name: "LoRABakery.Train",
  setup: listen,
  nodeCreated(node) {
    if (node.comfyClass === NODE) addPanel(node);
  },
});
