// @ts-check
// The wheel over a list, a strip or a grid of ours scrolls it; it does not zoom the canvas.

import { app } from "./comfy.js";
import { setting } from "./settings.js";

/** Marks what the wheel scrolls; ComfyUI's own panels are marked alike, and it asks for the focus besides. */
const SCROLLED = ".bakery [data-capture-wheel='true']";

/** Begins to listen, before ComfyUI does. With Ctrl or Cmd, as two fingers on a trackpad, the wheel zooms everywhere. */
export function keepWheel() {
  window.addEventListener("wheel", (event) => {
    if (!(event.target instanceof Element) || !event.target.closest(".bakery-panel")) return;
    if (event.ctrlKey || event.metaKey) return zoomCanvas(event);
    const part = event.target.closest(SCROLLED);
    if (!part) return;
    event.stopPropagation();
    if (part.scrollHeight <= part.clientHeight + 1 && !event.shiftKey) part.scrollLeft += event.deltaY; // nothing else to scroll
  }, { capture: true, passive: false });
}

/** In the classic rendering ComfyUI does not hear of a wheel over a panel: the browser would zoom the page. @param {WheelEvent} event */
function zoomCanvas(event) {
  if (setting(app, "Comfy.VueNodes.Enabled")) return;
  event.preventDefault();
  event.stopPropagation();
  app.canvas.processMouseWheel?.(event);
}
