// @ts-check
// The strip of previews: a row a prompt, a column a step. Only what can be seen is in the page.

import { element, oncePerFrame } from "../shared/dom.js";
import { LABEL_HEIGHT, layout, move, place, visibleColumns } from "./preview_grid.js";
import { previewUrl } from "./run_service.js";

export class PreviewStrip {
  /** @type {import("./run_model.js").Run | null} */
  #run = null;
  /** @type {Map<string, any>} cells in the page, by step and prompt */
  #cells = new Map();
  /** @type {any} */
  #grid = null;
  #runKey = "";
  #focus = { column: 0, row: 0 };
  /** Shows the newest column while nobody has scrolled away from it. */
  #followsEnd = true;

  /**
   * @param {import("../shared/strings.js").Translate} t
   * @param {(column: number, row: number) => void} onOpen
   */
  constructor(t, onOpen) {
    this.t = t;
    this.onOpen = onOpen;
    this.content = element("div", { class: "bakery-strip-content" });
    this.element = element(
      "div",
      {
        class: "bakery-strip", role: "grid", "aria-label": t("strip"), hidden: true,
        onscroll: () => this.#onScroll(), onkeydown: (/** @type {KeyboardEvent} */ event) => this.#onKey(event),
      },
      this.content,
    );
    this.redraw = oncePerFrame(() => this.#draw());
  }

  get set() {
    return this.#run?.previews[0] ?? null;
  }

  /** @param {import("./run_model.js").Run | null} run */
  show(run) {
    const key = `${run?.name}/${run?.id}/${run?.previews[0]?.key}`;
    const isOther = key !== this.#runKey;
    this.#run = run;
    this.#runKey = key;
    if (isOther) {
      this.#clear();
      this.#followsEnd = true;
    }
    this.element.hidden = !this.set;
    if (!this.set) return;
    this.redraw();
  }

  #onScroll() {
    this.#followsEnd = this.element.scrollLeft + this.element.clientWidth >= this.content.offsetWidth - 8;
    this.redraw();
  }

  /** Cell sizes follow the room there is. */
  #measure() {
    const set = this.set;
    if (!set || !this.element.clientHeight) return;
    const room = { width: this.element.clientWidth, height: this.element.clientHeight };
    this.#grid = layout(room, set.steps.length, set.prompts.length, set.width / set.height);
    this.content.style.width = `${this.#grid.width}px`;
    this.content.style.height = `${this.#grid.height}px`;
    if (this.#followsEnd) this.element.scrollLeft = this.content.offsetWidth;
  }

  #clear() {
    this.#cells.clear();
    this.content.replaceChildren();
    this.#focus = { column: 0, row: 0 };
  }

  #draw() {
    this.#measure();
    const { set } = this;
    if (!set || !this.#grid || !this.element.clientWidth) return;
    const [first, end] = visibleColumns(this.#grid, this.element.scrollLeft, this.element.clientWidth);
    const wanted = new Set();
    for (let column = first; column < end; column++) {
      wanted.add(this.#header(column));
      for (let row = 0; row < set.prompts.length; row++) wanted.add(this.#cell(column, row));
    }
    set.prompts.forEach((prompt, row) => wanted.add(this.#label(prompt, row)));
    for (const [key, cell] of this.#cells) {
      if (wanted.has(key)) continue;
      cell.remove();
      this.#cells.delete(key);
    }
  }

  /** @param {string} key @param {() => any} make @param {object} box */
  #put(key, make, box) {
    let cell = this.#cells.get(key);
    if (!cell) {
      cell = make();
      this.#cells.set(key, cell);
      this.content.append(cell);
    }
    for (const [side, pixels] of Object.entries(box)) {
      const value = `${pixels}px`;
      if (cell.style[side] !== value) cell.style[side] = value;
    }
    return cell;
  }

  /** @param {number} column */
  #header(column) {
    const step = this.set.steps[column];
    const key = `step ${step}`;
    const { left } = place(this.#grid, column, 0);
    const cell = this.#put(key, () => element("div", { class: "bakery-step" }), { left, top: 0, width: this.#grid.cellWidth });
    const isPicked = this.#run?.pick === step;
    const text = isPicked ? `★ ${step}` : String(step);
    if (cell.textContent !== text) cell.textContent = text;
    cell.classList.toggle("bakery-picked", isPicked);
    return key;
  }

  /** @param {string} prompt @param {number} row */
  #label(prompt, row) {
    const key = `prompt ${row}`;
    const top = place(this.#grid, 0, row).top - LABEL_HEIGHT;
    const make = () => element("div", { class: "bakery-prompt", role: "rowheader", text: prompt, title: prompt });
    this.#put(key, make, { left: this.element.scrollLeft, top, width: this.element.clientWidth - 8 });
    return key;
  }

  /** @param {number} column @param {number} row */
  #cell(column, row) {
    const { set } = this;
    const step = set.steps[column];
    const key = `${step}-${row}`;
    const { cellWidth: width, cellHeight: height } = this.#grid;
    const cell = this.#put(key, () => this.#makeCell(step, row), { ...place(this.#grid, column, row), width, height });
    cell.tabIndex = column === this.#focus.column && row === this.#focus.row ? 0 : -1;
    cell.classList.toggle("bakery-picked", this.#run?.pick === step);
    return key;
  }

  /** @param {number} step @param {number} row */
  #makeCell(step, row) {
    const label = this.t("preview", { step, prompt: this.set.prompts[row] });
    const src = previewUrl(this.#run, this.set.key, step, row, 256);
    return element(
      "button",
      {
        class: "bakery-cell", type: "button", role: "gridcell", "aria-label": label, title: label,
        onclick: () => this.onOpen(this.set.steps.indexOf(step), row),
        onfocus: () => (this.#focus = { column: this.set.steps.indexOf(step), row }),
      },
      element("img", { src, alt: "", loading: "lazy", decoding: "async", draggable: "false" }),
    );
  }

  /** @param {KeyboardEvent} event */
  #onKey(event) {
    const { set } = this;
    const target = set && move(this.#focus, event.key, set.steps.length, set.prompts.length);
    if (!target) return;
    event.preventDefault();
    event.stopPropagation();
    this.#focus = target;
    const { left } = place(this.#grid, target.column, target.row);
    const { clientWidth, scrollLeft } = this.element;
    if (left < scrollLeft) this.element.scrollLeft = left;
    else if (left + this.#grid.cellWidth > scrollLeft + clientWidth) this.element.scrollLeft = left + this.#grid.cellWidth - clientWidth + 8;
    this.#draw();
    this.#cells.get(`${set.steps[target.column]}-${target.row}`)?.focus({ preventScroll: true });
  }
}
