// @ts-check
// A press of the pointer, until it is over.

/** A press counts no longer, in milliseconds: a native list, a scroll bar or a dialog may keep the release to itself. */
const LONGEST_MS = 3000;
const SIGNS = ["pointerup", "pointercancel", "pointermove", "blur"];

/**
 * Calls `act` once after the pointer, which is down now, has come up and has clicked, or has shown that it is up.
 * @param {() => void} act
 */
export function afterPress(act) {
  const listening = new AbortController();
  const end = () => {
    listening.abort();
    clearTimeout(timer);
    setTimeout(act); // the click comes first
  };
  const timer = setTimeout(end, LONGEST_MS);
  const look = (/** @type {Event} */ event) => {
    const isDown = event instanceof PointerEvent && event.type === "pointermove" && event.buttons !== 0;
    const isOfField = event.type === "blur" && event.target !== window;
    if (!isDown && !isOfField) end();
  };
  for (const sign of SIGNS) window.addEventListener(sign, look, { capture: true, signal: listening.signal });
}
