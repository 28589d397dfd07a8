// @ts-check
// Small helpers to build elements. Text is always set as text, never as HTML.

/**
 * `class`, `text`, listeners (`onclick`, ...) and attributes by name; false and null leave one out.
 * @typedef {{[K in keyof GlobalEventHandlersEventMap as `on${K}`]?: (event: GlobalEventHandlersEventMap[K]) => any}
 *   & Record<string, unknown>} Attributes
 */

/**
 * An element with attributes, listeners and children; a string becomes text.
 * @template {keyof HTMLElementTagNameMap} K
 * @param {K} tag
 * @param {Attributes} [attributes]
 * @param {...(Node | string)} children
 * @returns {HTMLElementTagNameMap[K]}
 */
export function element(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name === "text") made.textContent = String(value);
    else if (name.startsWith("on")) made.addEventListener(name.slice(2), /** @type {EventListener} */ (value));
    else if (value !== false && value != null) made.setAttribute(name, value === true ? "" : String(value));
  }
  made.append(...children);
  return made;
}

/** For what a node says; where that is long, keys and the wheel scroll it. */
export const notesElement = () => element("div", { class: "bakery-hint bakery-notes", role: "status", tabindex: 0, "data-capture-wheel": "true", hidden: true });

/**
 * Sets a text only if it differs, to avoid needless layout.
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
 * Tab cycles inside a dialog.
 * @param {HTMLElement} dialog
 * @param {KeyboardEvent} event
 */
export function keepFocus(dialog, event) {
  const controls = ":is([tabindex='0'], select, input, textarea, button):not(:disabled)";
  const stops = /** @type {HTMLElement[]} */ ([...dialog.querySelectorAll(controls)]);
  const next = (stops.indexOf(/** @type {HTMLElement} */ (document.activeElement)) + (event.shiftKey ? -1 : 1) + stops.length) % stops.length;
  event.preventDefault();
  stops[next]?.focus();
}

/** The element that has the keyboard. */
export const focused = () => /** @type {HTMLElement | null} */ (document.activeElement);

/**
 * Does what may hide or remove the element that has the keyboard; another one then has it, else keys would reach the canvas.
 * @param {Element} part what is changed
 * @param {() => void} act
 * @param {() => HTMLElement | null | undefined} next
 */
export function keepingFocus(part, act, next) {
  const hadFocus = part.contains(focused());
  act();
  if (hadFocus && !(part.contains(focused()) && focused()?.checkVisibility())) next()?.focus({ preventScroll: true });
}

/** Keys typed into a field are not also the canvas's. @param {Event} event */
export const keepKeys = (event) => event.stopPropagation();

/**
 * Keeps keys on a panel's buttons from the canvas (Delete, R); those with Ctrl or Cmd still reach the page. Enter that is
 * held presses a button once.
 * @param {KeyboardEvent} event
 */
export function keepPlainKeys(event) {
  if (event.repeat && event.key === "Enter" && event.target instanceof HTMLButtonElement) event.preventDefault();
  if (!event.ctrlKey && !event.metaKey && event.key !== "Escape") event.stopPropagation();
}

/**
 * Makes a node at least this large.
 * @param {import("./comfy.js").GraphNode} node
 * @param {[number, number]} size
 */
export function growTo(node, [width, height]) {
  const [oldWidth, oldHeight] = node.size;
  if (width <= oldWidth && height <= oldHeight) return;
  node.setSize([Math.max(width, oldWidth), Math.max(height, oldHeight)]);
  node.setDirtyCanvas?.(true, true); // DOM widgets are laid out when the canvas is drawn
}

/**
 * Calls `act` after what a handler did before, with the same values.
 * @template {object} T
 * @param {T} owner
 * @param {keyof T} name
 * @param {(...values: any[]) => void} act
 */
export function chain(owner, name, act) {
  const before = /** @type {Function | undefined} */ (owner[name]);
  /** @type {any} */ (owner)[name] = function (/** @type {any[]} */ ...values) {
    const result = before?.apply(this, values);
    act(...values);
    return result;
  };
}
