// @ts-check
// Values of a node's inputs, followed through links, reroutes and subgraphs.

import { app } from "./comfy.js";

/**
 * @typedef {import("./comfy.js").Graph} Graph
 * @typedef {import("./comfy.js").GraphNode} GraphNode
 */

/** Id of the node that stands for a subgraph's inputs. */
const SUBGRAPH_INPUT = -10;
/** Modes of a node. */
const [MUTED, BYPASSED] = [2, 4];
/** What a link gives that nothing comes through: the widget behind it counts as if there were no link. */
const NOTHING = Symbol("nothing");
/** Nodes whose only widget is their output. */
const GIVERS = ["PrimitiveNode", "PrimitiveString", "PrimitiveStringMultiline"];
const MAX_DEPTH = 50;

/** The graph that holds all others. @returns {Graph} */
export const rootGraph = () => app.rootGraph ?? app.graph;

/** The whole graph and the subgraphs that are used in it. @returns {Set<Graph>} */
export function allGraphs() {
  const graphs = new Set([rootGraph()]);
  for (const graph of graphs) {
    for (const { subgraph } of graph._nodes) if (subgraph) graphs.add(subgraph);
  }
  return graphs;
}

/** All nodes of a kind, those in subgraphs too. @param {string} comfyClass @returns {GraphNode[]} */
export const nodesOf = (comfyClass) => [...allGraphs()].flatMap((graph) => graph._nodes.filter((node) => node.comfyClass === comfyClass));

/** Whether a node is part of what the page shows. @param {GraphNode} node */
export function isInGraph(node) {
  return node.graph != null && node.graph.getNodeById(node.id) === node && allGraphs().has(node.graph);
}

/** Whether a node is neither muted nor bypassed. @param {GraphNode} node */
const isOn = (node) => ![MUTED, BYPASSED].includes(node.mode ?? 0);

/**
 * What an input gets: the value of its widget, or of what is linked to it. A node in a subgraph that is used several
 * times may get several.
 * @param {GraphNode} node
 * @param {string} name
 * @returns {any[]} without duplicates; undefined among them is what only a run knows
 */
export const valuesOf = (node, name) => [...new Set(valuesOfInput(node, name, 0).map((value) => (value === NOTHING ? undefined : value)))];

/** @param {GraphNode} node @param {string} name @param {number} depth @returns {any[]} */
function valuesOfInput(node, name, depth) {
  const input = node.inputs?.find((each) => each.name === name);
  const widget = node.widgets?.find((each) => each.name === (input?.widget?.name ?? name));
  const own = widget ? widget.value : NOTHING;
  if (input?.link == null) return [own];
  if (!node.graph) return [undefined];
  return valuesBehind(node.graph, input.link, depth + 1).map((value) => (value === NOTHING ? own : value));
}

/** @param {Graph} graph @param {number} id @param {number} depth @returns {any[]} */
function valuesBehind(graph, id, depth) {
  const link = graph.getLink?.(id);
  if (!link || depth > MAX_DEPTH) return [undefined];
  const border = borderOf(graph, link);
  if (border) return border.hosts.flatMap((host) => valuesOfInput(host, border.name, depth + 1));
  const origin = graph.getNodeById(link.origin_id);
  return origin ? valuesFrom(origin, link.origin_slot, depth + 1) : [undefined];
}

/** @param {GraphNode} origin @param {number} slot @param {number} depth @returns {any[]} */
function valuesFrom(origin, slot, depth) {
  const kind = origin.comfyClass ?? origin.type ?? "";
  if (origin.mode === MUTED) return [NOTHING];
  if (origin.mode === BYPASSED) {
    const link = bypassInput(origin, slot)?.link;
    return link != null && origin.graph ? valuesBehind(origin.graph, link, depth) : [NOTHING];
  }
  if (origin.subgraph) {
    const inside = origin.subgraph.outputs?.[slot]?.linkIds?.[0];
    return inside == null ? [undefined] : valuesBehind(origin.subgraph, inside, depth);
  }
  if (kind === "Reroute") {
    const link = origin.inputs?.[0]?.link;
    return link != null && origin.graph ? valuesBehind(origin.graph, link, depth) : [undefined];
  }
  const name = GIVERS.includes(kind) ? origin.widgets?.[0]?.name : undefined;
  return name === undefined ? [undefined] : valuesOfInput(origin, name, depth);
}

/**
 * The input that a bypassed node passes on to an output: the one beside it, else the first of its type.
 * @param {GraphNode} node
 * @param {number} slot of the output
 */
function bypassInput({ inputs = [], outputs = [] }, slot) {
  const fits = (/** @type {import("./comfy.js").Slot | undefined} */ input) => input !== undefined && input.type === outputs[slot]?.type;
  return fits(inputs[slot]) ? inputs[slot] : inputs.find(fits);
}

/**
 * Where a link comes into a subgraph from outside.
 * @param {Graph} graph that holds the link
 * @param {import("./comfy.js").Link} link
 * @returns {{hosts: GraphNode[], name: string} | null} the nodes that show the subgraph, one each time it is used, those
 *   that are switched off only where all are, and their input; null for a link that begins inside
 */
export function borderOf(graph, link) {
  if (Number(link.origin_id) !== SUBGRAPH_INPUT) return null;
  const all = [...allGraphs()].flatMap((each) => each._nodes.filter((node) => node.subgraph === graph));
  const on = all.filter(isOn);
  return { hosts: on.length ? on : all, name: graph.inputs?.[link.origin_slot]?.name ?? "" };
}

/**
 * The nearest node of a kind that an input comes from, along inputs of the same name; null where there is none.
 * @param {GraphNode} node
 * @param {string} name
 * @param {string} comfyClass
 * @returns {GraphNode | null}
 */
export function nodeBehind(node, name, comfyClass) {
  /** @type {GraphNode | null} */
  let at = node;
  for (let depth = 0; at && depth < MAX_DEPTH; depth++) {
    at = originOf(at, name);
    if (at?.comfyClass === comfyClass) return at;
  }
  return null;
}

/** @param {GraphNode} node @param {string} name @returns {GraphNode | null} */
function originOf(node, name) {
  const { graph, inputs, subgraph } = node;
  if (subgraph) return subgraph.getNodeById(linkOf(subgraph, subgraph.outputs?.find((each) => each.name === name)?.linkIds?.[0])?.origin_id ?? "");
  const input = node.comfyClass ? inputs?.find((each) => each.name === name) : inputs?.[0]; // a reroute's has any name
  const link = graph && linkOf(graph, input?.link);
  if (!graph || !link) return null;
  const border = borderOf(graph, link);
  return border?.hosts[0] ? originOf(border.hosts[0], border.name) : graph.getNodeById(link.origin_id);
}

/** @param {Graph} graph @param {number | null | undefined} id */
const linkOf = (graph, id) => (id == null ? undefined : graph.getLink?.(id));

/**
 * Puts a new node between where an input comes from and all that is linked there.
 * @param {GraphNode} node
 * @param {string} name of the input, and of the new node's
 * @param {string} comfyClass whose first output goes on
 * @returns {GraphNode | null} null where the input is not linked, or linked to a subgraph's border
 */
export function insertBehind(node, name, comfyClass) {
  const { graph } = node;
  const link = graph && linkOf(graph, node.inputs?.find((each) => each.name === name)?.link);
  const origin = graph && link && !borderOf(graph, link) ? graph.getNodeById(link.origin_id) : null;
  const made = origin && /** @type {any} */ (globalThis).LiteGraph?.createNode(comfyClass);
  if (!graph || !link || !origin || !made) return null;
  const ends = (origin.outputs?.[link.origin_slot]?.links ?? []).map((id) => ({ ...linkOf(graph, id) }));
  made.pos = [origin.pos[0], origin.pos[1] + origin.size[1] + 60];
  graph.add?.(made);
  origin.connect?.(link.origin_slot, made, made.inputs.findIndex((/** @type {import("./comfy.js").Slot} */ each) => each.name === name));
  for (const { target_id: target, target_slot: slot } of ends) {
    const end = target == null ? null : graph.getNodeById(target);
    if (end) made.connect(0, end, slot);
  }
  return made;
}

/**
 * What a node output in its last run.
 * @param {GraphNode} node
 * @returns {Record<string, any>}
 */
export function outputsOf({ id, graph }) {
  const key = graph && graph !== rootGraph() ? `${graph.id}:${id}` : String(id);
  return app.nodeOutputs?.[key] ?? {};
}
