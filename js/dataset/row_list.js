// @ts-check
// The rows of the gallery. Only rows near the visible part are in the page; the others are empty space.

import { element, focused, oncePerFrame } from "../shared/dom.js";

/**
 * @typedef {import("./dataset_model.js").Entry} Entry
 * @typedef {import("./image_row.js").ImageRow} ImageRow
 */

const BLOCK = 25;
/** Up to this many rows, all are in the page. */
const FEW = 200;
const ROW_HEIGHT_PX = 78;

export class RowList {
  /** @type {Entry[]} */
  #entries = [];
  /** @type {(entry: Entry) => ImageRow} */
  #rowOf = () => {
    throw new Error("nothing is shown");
  };

  constructor() {
    const fill = oncePerFrame(() => this.#fill());
    this.element = element("div", { class: "bakery-images", role: "list", "data-capture-wheel": "true", onscroll: fill });
  }

  clear() {
    this.#entries = [];
    this.element.replaceChildren();
  }

  /** @param {Entry[]} entries in order @param {(entry: Entry) => ImageRow} rowOf the row of an image, up to date */
  show(entries, rowOf) {
    this.#entries = entries;
    this.#rowOf = rowOf;
    const count = Math.ceil(entries.length / BLOCK);
    const blocks = this.element.children;
    while (blocks.length > count) blocks[blocks.length - 1].remove();
    while (blocks.length < count) this.element.append(element("div", { role: "presentation" }));
    this.#fill();
  }

  #fill() {
    const { scrollTop, clientHeight: height } = this.element;
    const current = focused();
    const blocks = /** @type {HTMLElement[]} */ ([...this.element.children]);
    const places = blocks.map((block) => [block.offsetTop, block.offsetTop + block.offsetHeight]);
    const [top] = places[0] ?? [0];
    const isNear = blocks.map((block, index) => {
      const [start, end] = [places[index][0] - top, places[index][1] - top];
      const isEmpty = end === start; // new, or nothing has been laid out: its place is guessed
      const [first, last] = isEmpty ? [index * BLOCK * ROW_HEIGHT_PX, (index + 1) * BLOCK * ROW_HEIGHT_PX] : [start, end];
      return this.#entries.length <= FEW || block.contains(current) || (last > scrollTop - height && first < scrollTop + 2 * height + 1);
    });
    blocks.forEach((block, index) => (isNear[index] ? this.#fillBlock(block, index) : this.#emptyBlock(block, index, places[index])));
    if (current && current !== focused() && current.isConnected) current.focus({ preventScroll: true }); // its row has moved
  }

  /** @param {HTMLElement} block @param {number} index */
  #fillBlock(block, index) {
    const rows = this.#entries.slice(index * BLOCK, (index + 1) * BLOCK).map((entry) => this.#rowOf(entry).element);
    const kept = new Set(rows);
    for (const row of [...block.children]) if (!kept.has(/** @type {HTMLDivElement} */ (row))) row.remove();
    let next = block.firstElementChild;
    for (const row of rows) {
      if (row === next) next = next.nextElementSibling;
      else block.insertBefore(row, next);
    }
    block.style.height = "";
  }

  /** @param {HTMLElement} block @param {number} index @param {number[]} place */
  #emptyBlock(block, index, [start, end]) {
    const count = Math.min(BLOCK, this.#entries.length - index * BLOCK);
    if (block.childElementCount) block.style.height = `${end - start}px`;
    else if (!block.style.height) block.style.height = `${count * ROW_HEIGHT_PX}px`;
    block.replaceChildren();
  }
}
