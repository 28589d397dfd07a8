// @ts-check
// One listener on ComfyUI's socket for the whole page: `bakery.*` messages become events of one EventTarget.

import { api } from "../shared/comfy.js";
import { sweep } from "../shared/lifetime.js";

const KINDS = ["step", "sample", "state", "try"];
const target = new EventTarget();
let isListening = false;

/** @param {string} kind @param {any} detail */
function tell(kind, detail) {
  sweep(); // a panel that is gone must not ask the server
  target.dispatchEvent(new CustomEvent(kind, { detail }));
}

/** Begins to listen. Called when the page loads: it complains of messages that nobody listens to. */
export function listen() {
  if (isListening) return;
  isListening = true;
  for (const kind of KINDS) {
    api.addEventListener(`bakery.${kind}`, (/** @type {CustomEvent} */ { detail }) => tell(kind, detail));
  }
  // What happened while the socket was down is asked for again; so is what a finished prompt left behind.
  for (const name of ["reconnected", "execution_success", "execution_error", "execution_interrupted"]) {
    api.addEventListener(name, () => tell("refresh", {}));
  }
}

/**
 * Hears of runs until the returned function is called.
 * @param {Record<string, (detail: any) => void>} handlers by kind: step, sample, state, try, refresh
 * @returns {() => void}
 */
export function subscribe(handlers) {
  const bound = Object.entries(handlers).map(([kind, handler]) => {
    const listener = (/** @type {any} */ event) => handler(event.detail);
    target.addEventListener(kind, listener);
    return () => target.removeEventListener(kind, listener);
  });
  return () => bound.forEach((unbind) => unbind());
}
