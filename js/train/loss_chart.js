// @ts-check
// A chart of a run's loss on a canvas, in the colours of ComfyUI's theme.

import * as math from "./chart_math.js";
import { element, oncePerFrame, setText } from "../shared/dom.js";

const MARGIN = { left: 44, right: 10, top: 14, bottom: 18 };
const FONT = "10px sans-serif";
/** Texts of the curves, by their colours. */
const NAMES = { faint: "loss", line: "smoothed", validation: "validation" };

export class LossChart {
  /** @type {import("./run_model.js").Run | null} */
  #run = null;
  #isLog = false;
  /** @type {number | null} */
  #hoverX = null;

  /** @param {import("../shared/strings.js").Translate} t */
  constructor(t) {
    this.t = t;
    this.canvas = element("canvas", {
      class: "bakery-chart-canvas", role: "img", "aria-label": t("chart"), tabindex: 0,
      onpointermove: (/** @type {PointerEvent} */ event) => this.#hover(event.offsetX),
      onpointerleave: () => this.#hover(null),
      onkeydown: (/** @type {KeyboardEvent} */ event) => this.#onKey(event),
    });
    this.stepText = element("span");
    this.entries = Object.fromEntries(Object.keys(NAMES).map((colour) => {
      const text = element("span");
      return [colour, { text, swatch: element("span", { class: `bakery-key bakery-key-${colour}` }, text) }];
    }));
    const swatches = Object.values(this.entries).map(({ swatch }) => swatch);
    this.legend = element("div", { class: "bakery-legend", "aria-live": "off", hidden: true }, this.stepText, ...swatches);
    this.logButton = element("button", {
      class: "bakery-small", type: "button", title: t("log_hint"), "aria-pressed": "false", text: t("log"),
      onclick: () => this.#toggleLog(),
    });
    this.element = element(
      "div", { class: "bakery-chart" },
      element("div", { class: "bakery-chart-head" }, this.legend, this.logButton), this.canvas,
    );
    this.redraw = oncePerFrame(() => this.#draw());
  }

  /** @param {import("./run_model.js").Run | null} run */
  show(run) {
    this.#run = run;
    this.redraw();
  }

  /** @param {number | null} x */
  #hover(x) {
    this.#hoverX = x;
    this.redraw();
  }

  #toggleLog() {
    this.#isLog = !this.#isLog;
    this.logButton.setAttribute("aria-pressed", String(this.#isLog));
    this.redraw();
  }

  /** @param {KeyboardEvent} event */
  #onKey(event) {
    const step = { ArrowLeft: -8, ArrowRight: 8 }[event.key];
    if (step === undefined) return;
    event.preventDefault();
    event.stopPropagation();
    this.#hover(Math.max(MARGIN.left, Math.min(this.canvas.clientWidth, (this.#hoverX ?? MARGIN.left) + step)));
  }

  #draw() {
    const { clientWidth: width, clientHeight: height } = this.canvas;
    if (!width || !height) return; // collapsed or off the screen: nothing to draw on
    const density = Math.min(2, window.devicePixelRatio || 1) * 1.5; // sharp when the canvas is zoomed in a little
    const [pixelWidth, pixelHeight] = [Math.round(width * density), Math.round(height * density)];
    if (this.canvas.width !== pixelWidth || this.canvas.height !== pixelHeight) {
      Object.assign(this.canvas, { width: pixelWidth, height: pixelHeight });
    }
    const pen = this.canvas.getContext("2d");
    pen.setTransform(density, 0, 0, density, 0, 0);
    pen.clearRect(0, 0, width, height);
    const run = this.#run;
    if (!run || !run.steps.length) return void (this.legend.hidden = true);
    const smoothed = math.smooth(run.losses, math.smoothingWeight(run.losses.length));
    const range = math.bounds([run.losses, run.validation.map(([, loss]) => loss)], this.#isLog);
    if (!range) return void (this.legend.hidden = true);
    const [low, high] = math.padded(range, this.#isLog);
    const x = math.scale([run.steps[0], Math.max(run.steps.at(-1) ?? 0, run.steps[0] + 1)], [MARGIN.left, width - MARGIN.right]);
    const y = math.scale([low, high], [height - MARGIN.bottom, MARGIN.top], this.#isLog);
    const colours = this.#colours();
    drawAxes(pen, { x, y, low, high, width, height, isLog: this.#isLog, run, colours });
    drawMarks(pen, math.marks(run.stageEnds, run.rates, this.t), x, { width, height, colours, last: run.step });
    drawLine(pen, run.steps, run.losses, x, y, colours.faint, 1);
    drawLine(pen, run.steps, smoothed, x, y, colours.line, 2);
    drawLine(pen, run.validation.map(([step]) => step), run.validation.map(([, loss]) => loss), x, y, colours.validation, 2, true);
    this.#describe(pen, run, smoothed, x, y, height, colours);
  }

  #colours() {
    const style = getComputedStyle(this.canvas);
    const read = (/** @type {string} */ name) => style.getPropertyValue(`--bakery-${name}`).trim();
    return { text: read("muted"), grid: read("grid"), faint: read("faint"), line: read("line"), validation: read("validation") };
  }

  /** @param {number} step @param {Record<string, number | null | undefined>} values by colour; undefined is not shown */
  #showLegend(step, values) {
    setText(this.stepText, `${step}:`);
    for (const [colour, { text, swatch }] of Object.entries(this.entries)) {
      swatch.hidden = values[colour] === undefined;
      setText(text, `${this.t(NAMES[/** @type {keyof typeof NAMES} */ (colour)])} ${math.short(values[colour])}`);
    }
    this.legend.hidden = false;
  }

  /** The legend tells the values under the pointer, else the last ones. */
  #describe(pen, run, smoothed, x, y, height, colours) {
    const isHovering = this.#hoverX != null;
    const span = [x(run.steps[0]), x(run.steps.at(-1))];
    const share = isHovering ? (this.#hoverX - span[0]) / (span[1] - span[0] || 1) : 1;
    const index = math.nearestIndex(run.steps, run.steps[0] + share * (run.steps.at(-1) - run.steps[0]));
    const check = run.validation.filter(([step]) => step <= run.steps[index]).at(-1);
    this.#showLegend(run.steps[index], { faint: run.losses[index], line: smoothed[index], validation: check?.[1] });
    if (!isHovering) return;
    pen.strokeStyle = colours.text;
    pen.lineWidth = 1;
    pen.beginPath();
    pen.moveTo(x(run.steps[index]), MARGIN.top);
    pen.lineTo(x(run.steps[index]), height - MARGIN.bottom);
    pen.stroke();
    if (smoothed[index] == null) return;
    pen.fillStyle = colours.line;
    pen.beginPath();
    pen.arc(x(run.steps[index]), y(smoothed[index]), 3, 0, 2 * Math.PI);
    pen.fill();
  }
}

function drawAxes(pen, { x, y, low, high, width, height, isLog, run, colours }) {
  Object.assign(pen, { font: FONT, fillStyle: colours.text, strokeStyle: colours.grid, lineWidth: 1 });
  Object.assign(pen, { textAlign: "right", textBaseline: "middle" });
  const wanted = Math.max(3, Math.floor(height / 35));
  for (const tick of isLog ? math.logTicks(low, high) : math.ticks(low, high, wanted)) {
    const at = Math.round(y(tick)) + 0.5;
    pen.beginPath();
    pen.moveTo(MARGIN.left, at);
    pen.lineTo(width - MARGIN.right, at);
    pen.stroke();
    pen.fillText(math.short(tick), MARGIN.left - 5, at);
  }
  Object.assign(pen, { textAlign: "center", textBaseline: "top" });
  for (const tick of math.ticks(run.steps[0], run.steps.at(-1), Math.max(2, Math.floor(width / 90)))) {
    const half = pen.measureText(String(tick)).width / 2;
    if (Number.isInteger(tick)) pen.fillText(String(tick), Math.min(x(tick), width - half), height - MARGIN.bottom + 5);
  }
}

/** Dashed lines where a stage began or the learning rate was changed, with what it was above them. */
function drawMarks(pen, marks, x, { width, height, colours, last }) {
  Object.assign(pen, { font: FONT, strokeStyle: colours.text, fillStyle: colours.text, textBaseline: "bottom" });
  let free = MARGIN.left;
  for (const { step, text } of marks.filter((mark) => mark.step <= last)) {
    pen.setLineDash([3, 3]);
    pen.beginPath();
    pen.moveTo(x(step), MARGIN.top);
    pen.lineTo(x(step), height - MARGIN.bottom);
    pen.stroke();
    pen.setLineDash([]);
    const half = pen.measureText(text).width / 2;
    const at = Math.min(x(step), width - half - 1);
    if (at - half < free) continue; // no text over another
    pen.textAlign = "center";
    pen.fillText(text, at, MARGIN.top - 2);
    free = at + half + 4;
  }
}

function drawLine(pen, steps, values, x, y, colour, width, hasDots = false) {
  Object.assign(pen, { strokeStyle: colour, fillStyle: colour, lineWidth: width, lineJoin: "round" });
  pen.beginPath();
  let isOpen = false;
  steps.forEach((step, i) => {
    const value = values[i];
    if (value == null) return void (isOpen = false);
    if (isOpen) pen.lineTo(x(step), y(value));
    else pen.moveTo(x(step), y(value));
    isOpen = true;
  });
  pen.stroke();
  if (!hasDots) return;
  for (const [i, step] of steps.entries()) {
    pen.beginPath();
    pen.arc(x(step), y(values[i]), 2.5, 0, 2 * Math.PI);
    pen.fill();
  }
}
