// @ts-check
// Small helpers to build elements. Text is always set as text, never as HTML.

/**
 * An element with attributes, listeners (`onclick`, ...) and children; a string becomes text.
 * @param {string} tag
 * @param {Record<string, any>} [attributes] `class`, `text`, `on...`; false and null leave an attribute out
 * @param {...(Node | string)} children
 * @returns {any}
 */
export function element(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name === "text") made.textContent = value;
    else if (name.startsWith("on")) made.addEventListener(name.slice(2), value);
    else if (value !== false && value != null) made.setAttribute(name, value === true ? "" : String(value));
  }
  made.append(...children);
  return made;
}

/**
 * Sets a text only where it differs, so that nothing is laid out anew for nothing.
 * @param {Element} target
 * @param {string} text
 */
export function setText(target, text) {
  if (target.textContent !== text) target.textContent = text;
}

/** Loads the pack's style sheet, once. */
export function loadStyles() {
  const id = "lora-bakery-styles";
  if (document.getElementById(id)) return;
  const href = new URL("../bakery.css", import.meta.url).href;
  document.head.append(element("link", { id, rel: "stylesheet", href }));
}

/**
 * Calls `act` once per frame at most, however often it is asked to.
 * @param {() => void} act
 * @returns {() => void}
 */
export function oncePerFrame(act) {
  let isAsked = false;
  return () => {
    if (isAsked) return;
    isAsked = true;
    requestAnimationFrame(() => {
      isAsked = false;
      act();
    });
  };
}

/**
 * Tab goes round inside a dialog.
 * @param {any} dialog
 * @param {KeyboardEvent} event
 */
export function keepFocus(dialog, event) {
  const controls = "[tabindex='0'], select, input, textarea, button";
  const stops = [...dialog.querySelectorAll(controls)].filter((part) => !part.disabled);
  const next = (stops.indexOf(document.activeElement) + (event.shiftKey ? -1 : 1) + stops.length) % stops.length;
  event.preventDefault();
  stops[next]?.focus();
}

/**
 * Makes a node at least so large.
 * @param {any} node
 * @param {number[]} size
 */
export function growTo(node, [width, height]) {
  const [oldWidth, oldHeight] = node.size;
  if (width <= oldWidth && height <= oldHeight) return;
  node.setSize([Math.max(width, oldWidth), Math.max(height, oldHeight)]);
  node.setDirtyCanvas?.(true, true); // DOM widgets are laid out when the canvas is drawn
}

/**
 * Calls `act` after what a handler did before, with the same values.
 * @param {any} owner
 * @param {string} name
 * @param {(...values: any[]) => void} act
 */
export function chain(owner, name, act) {
  const before = owner[name];
  owner[name] = function (/** @type {any[]} */ ...values) {
    const result = before?.apply(this, values);
    act(...values);
    return result;
  };
}
