// @ts-check
// The strip of previews: a row per prompt, a column per step. Only visible cells are in the page.

import { move } from "../shared/arrow_keys.js";
import { element, focused, oncePerFrame, setText } from "../shared/dom.js";
import { LABEL_HEIGHT, layout, place, visibleColumns } from "./preview_grid.js";
import { rowName } from "./run_model.js";
import { previewUrl } from "./run_service.js";

/**
 * @typedef {object} View what is drawn
 * @property {import("./run_model.js").Run} run
 * @property {import("./run_model.js").PreviewSet} set
 * @property {import("./preview_grid.js").Grid} grid
 */

export class PreviewStrip {
  /** @type {import("./run_model.js").Run | null} */
  #run = null;
  /** Cells in the page, by step and prompt. @type {Map<string, HTMLElement>} */
  #cells = new Map();
  /** The steps, then a row a prompt. @type {HTMLElement[]} */
  #rows = [];
  #runKey = "";
  /** The cell that Tab reaches; arrow keys lead to the others. */
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
    this.content = element("div", { class: "bakery-strip-content", role: "presentation" });
    this.element = element(
      "div",
      { class: "bakery-strip", role: "grid", "data-capture-wheel": "true", "aria-label": t("strip"), hidden: true, onscroll: () => this.#onScroll(), onkeydown: (event) => this.#onKey(event) },
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
    this.#run = run;
    if (key !== this.#runKey) this.#clear();
    this.#runKey = key;
    this.element.hidden = !this.set;
    if (this.set) this.redraw();
  }

  #clear() {
    this.#cells.clear();
    this.#rows = [];
    this.content.replaceChildren();
    this.#focus = { column: 0, row: 0 };
    this.#followsEnd = true;
  }

  #onScroll() {
    this.#followsEnd = this.element.scrollLeft + this.element.clientWidth >= this.content.offsetWidth - 8;
    this.redraw();
  }

  /** Sizes of cells follow the room there is; null where nothing can be drawn. @returns {View | null} */
  #measure() {
    const [run, set] = [this.#run, this.set];
    const { clientWidth: width, clientHeight: height } = this.element;
    if (!run || !set || !width || !height) return null;
    const grid = layout({ width, height }, set.steps.length, set.prompts.length, set.width / set.height);
    this.content.style.width = `${grid.width}px`;
    this.content.style.height = `${grid.height}px`;
    this.element.setAttribute("aria-colcount", String(set.steps.length));
    if (this.#followsEnd) this.element.scrollLeft = this.content.offsetWidth;
    return { run, set, grid };
  }

  #draw() {
    const view = this.#measure();
    if (!view) return;
    const { set, grid } = view;
    this.#makeRows(set.prompts.length + 1);
    const [first, end] = visibleColumns(grid, this.element.scrollLeft, this.element.clientWidth);
    const columns = new Set(Array.from({ length: end - first }, (_, index) => first + index));
    if (this.content.contains(focused())) columns.add(this.#focus.column); // a cell that goes would lose the keyboard
    else if (!columns.has(this.#focus.column)) this.#focus.column = Math.max(first, Math.min(end - 1, this.#focus.column));
    const wanted = new Set();
    for (const column of [...columns].sort((a, b) => a - b)) {
      wanted.add(this.#header(view, column));
      for (let row = 0; row < set.prompts.length; row++) wanted.add(this.#cell(view, column, row));
    }
    set.prompts.forEach((_, row) => wanted.add(this.#label(view, rowName(set, row), row)));
    for (const [key, cell] of this.#cells) {
      if (wanted.has(key)) continue;
      cell.remove();
      this.#cells.delete(key);
    }
  }

  /** @param {number} count */
  #makeRows(count) {
    while (this.#rows.length < count) {
      const row = element("div", { class: "bakery-strip-row", role: "row" });
      this.#rows.push(row);
      this.content.append(row);
    }
  }

  /**
   * @param {string} key
   * @param {HTMLElement} row
   * @param {() => HTMLElement} make
   * @param {Record<string, number>} box pixels by side
   */
  #put(key, row, make, box) {
    const cell = this.#cells.get(key) ?? make();
    if (!this.#cells.has(key)) row.append(cell);
    this.#cells.set(key, cell);
    for (const [side, pixels] of Object.entries(box)) {
      const value = `${pixels}px`;
      if (cell.style.getPropertyValue(side) !== value) cell.style.setProperty(side, value);
    }
    return cell;
  }

  /** @param {View} view @param {number} column */
  #header({ run, set, grid }, column) {
    const step = set.steps[column];
    const key = `step ${step}`;
    const make = () => element("div", { class: "bakery-step", role: "columnheader", "aria-colindex": column + 1 });
    const cell = this.#put(key, this.#rows[0], make, { left: place(grid, column, 0).left, top: 0, width: grid.cellWidth });
    setText(cell, run.pick === step ? `★ ${step}` : String(step));
    cell.classList.toggle("bakery-picked", run.pick === step);
    return key;
  }

  /** @param {View} view @param {string} prompt @param {number} row */
  #label({ grid }, prompt, row) {
    const key = `prompt ${row}`;
    const top = place(grid, 0, row).top - LABEL_HEIGHT;
    const make = () => element("div", { class: "bakery-prompt", role: "rowheader", text: prompt, title: prompt });
    this.#put(key, this.#rows[row + 1], make, { left: this.element.scrollLeft, top, width: this.element.clientWidth - 8 });
    return key;
  }

  /** @param {View} view @param {number} column @param {number} row */
  #cell(view, column, row) {
    const { run, set, grid } = view;
    const step = set.steps[column];
    const key = `${step}-${row}`;
    const box = { ...place(grid, column, row), width: grid.cellWidth, height: grid.cellHeight };
    const cell = this.#put(key, this.#rows[row + 1], () => this.#makeCell(view, step, row), box);
    cell.tabIndex = column === this.#focus.column && row === this.#focus.row ? 0 : -1;
    cell.setAttribute("aria-colindex", String(column + 1));
    cell.classList.toggle("bakery-picked", run.pick === step);
    return key;
  }

  /** @param {View} view @param {number} step @param {number} row */
  #makeCell({ run, set }, step, row) {
    const label = this.t("preview", { step, prompt: rowName(set, row) });
    const src = previewUrl(run, set.key, step, row, 256);
    const column = () => /** @type {import("./run_model.js").PreviewSet} */ (this.set).steps.indexOf(step); // it moves as steps come
    return element(
      "button",
      {
        class: "bakery-cell", type: "button", role: "gridcell", "aria-label": label, title: label,
        onclick: () => this.onOpen(column(), row), onfocus: () => (this.#focus = { column: column(), row }),
      },
      element("img", { src, alt: "", loading: "lazy", decoding: "async", draggable: "false" }),
    );
  }

  /** @param {KeyboardEvent} event */
  #onKey(event) {
    const view = this.#measure();
    const target = view && move(this.#focus, event.key, view.set.steps.length, view.set.prompts.length);
    if (!view || !target) return;
    event.preventDefault();
    event.stopPropagation();
    this.#focus = target;
    this.#followsEnd = target.column === view.set.steps.length - 1;
    const { left } = place(view.grid, target.column, target.row);
    const { clientWidth, scrollLeft } = this.element;
    if (left < scrollLeft) this.element.scrollLeft = left;
    else if (left + view.grid.cellWidth > scrollLeft + clientWidth) this.element.scrollLeft = left + view.grid.cellWidth - clientWidth + 8;
    this.#draw();
    this.#cells.get(`${view.set.steps[target.column]}-${target.row}`)?.focus({ preventScroll: true });
  }
}
