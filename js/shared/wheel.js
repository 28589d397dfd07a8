// @ts-check
// The wheel over a list, a strip or a grid of ours scrolls it; it does not zoom the canvas.

/** Marks what the wheel scrolls; ComfyUI's own panels are marked alike, and it asks for the focus besides. */
const SCROLLED = ".bakery [data-capture-wheel='true']";

/** Begins to listen, before ComfyUI does. With Ctrl or Cmd the wheel zooms everywhere. */
export function keepWheel() {
  window.addEventListener("wheel", (event) => {
    const part = event.target instanceof Element ? event.target.closest(SCROLLED) : null;
    if (!part || event.ctrlKey || event.metaKey) return;
    event.stopPropagation();
    if (part.scrollHeight <= part.clientHeight + 1 && !event.shiftKey) part.scrollLeft += event.deltaY; // nothing else to scroll
  }, { capture: true, passive: true });
}
