// @ts-check
// Lifetime of a panel: it works while it is visible and ends with its node.

import { app } from "./comfy.js";
import { chain } from "./dom.js";
import { isInGraph } from "./graph.js";

const TICK_MS = 300;

/** What ends with each node. @type {Map<import("./comfy.js").GraphNode, () => void>} */
const living = new Map();

/**
 * Calls `end` once when a node leaves the graph, also where the page does not tell it so: in a subgraph, when another
 * workflow is opened.
 * @param {import("./comfy.js").GraphNode} node
 * @param {() => void} end
 */
export function endWith(node, end) {
  const before = living.get(node);
  living.set(node, before ? () => (before(), end()) : end);
  if (!before) chain(node, "onRemoved", () => finish(node));
}

/** Ends what belongs to nodes that are not in the graph any more. */
export function sweep() {
  for (const node of [...living.keys()]) if (!isInGraph(node)) finish(node);
}

/** @param {import("./comfy.js").GraphNode} node */
function finish(node) {
  const end = living.get(node);
  if (!end) return;
  living.delete(node);
  end();
  for (const widget of node.widgets ?? []) widget.onRemove?.(); // the page keeps those of a subgraph that goes
  requestAnimationFrame(() => requestAnimationFrame(() => replace(node))); // once the page has drawn what came instead
}

/**
 * Where another node comes under the same id at once, as when a change is undone, the new rendering keeps what it shows of
 * the one that is gone; that makes room.
 * @param {import("./comfy.js").GraphNode} gone
 */
function replace(gone) {
  const heir = [...living.keys()].find((node) => node.id === gone.id && node.comfyClass === gone.comfyClass && node.graph === app.canvas.graph);
  for (const { name, element } of gone.widgets ?? []) {
    const next = heir?.widgets?.find((widget) => widget.name === name)?.element;
    if (element?.isConnected && next && !next.isConnected) element.replaceWith(next);
  }
}

/**
 * Tells when an element comes into sight and goes, and ticks meanwhile.
 * @param {Element} element
 * @param {{enter: () => void, leave: () => void, tick?: () => void}} acts
 * @returns {() => void} ends it; `leave` is called where the element was in sight
 */
export function whileSeen(element, { enter, leave, tick }) {
  /** @type {ReturnType<typeof setInterval> | null} */
  let timer = null;
  const hide = () => {
    if (timer === null) return;
    clearInterval(timer);
    timer = null;
    leave();
  };
  const show = () => {
    if (timer !== null) return;
    timer = setInterval(() => (element.isConnected ? tick?.() : lose()), TICK_MS);
    enter();
  };
  const observer = new IntersectionObserver((entries) => (entries.at(-1)?.isIntersecting ? show() : hide()));
  /** Put elsewhere before the next frame, it has never gone for the browser, which then would not tell that it is there. */
  const lose = () => {
    hide();
    observer.unobserve(element);
    observer.observe(element);
  };
  observer.observe(element);
  return () => {
    observer.disconnect();
    hide();
  };
}
