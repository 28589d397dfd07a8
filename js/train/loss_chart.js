// @ts-check
// A chart of a run's loss on a canvas, in the colors of ComfyUI's theme.

import { element, oncePerFrame, setText } from "../shared/dom.js";
import { short } from "../shared/number_format.js";
import { drawAxes, drawDot, drawLine, drawMarks, MARGIN } from "./chart_drawing.js";
import * as math from "./chart_math.js";

/** Texts of the curves, by their colors. */
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
      class: "bakery-chart-canvas", role: "slider", "aria-label": t("chart"), "aria-valuenow": 0, tabindex: 0, // arrows read its values
      onpointermove: (event) => this.#hover(event.offsetX),
      onpointerleave: () => this.#hover(null),
      onkeydown: (event) => this.#onKey(event),
    });
    this.stepText = element("span");
    this.entries = Object.fromEntries(Object.keys(NAMES).map((color) => {
      const text = element("span");
      return [color, { text, swatch: element("span", { class: `bakery-key bakery-key-${color}` }, text) }];
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
    const pen = /** @type {CanvasRenderingContext2D} */ (this.canvas.getContext("2d"));
    pen.setTransform(density, 0, 0, density, 0, 0);
    pen.clearRect(0, 0, width, height);
    const run = this.#run;
    if (!run || !run.steps.length) return void (this.legend.hidden = true);
    const smoothed = math.smooth(run.losses, math.smoothingWeight(run.losses.length));
    const range = math.bounds([run.losses, run.validation.map(([, loss]) => loss)], this.#isLog);
    if (!range) return void (this.legend.hidden = true);
    const [low, high] = math.padded(range, this.#isLog);
    const steps = /** @type {[number, number]} */ ([run.steps[0], run.steps.at(-1)]);
    /** @type {import("./chart_drawing.js").Frame} */
    const frame = {
      x: math.scale([steps[0], Math.max(steps[1], steps[0] + 1)], [MARGIN.left, width - MARGIN.right]),
      y: math.scale([low, high], [height - MARGIN.bottom, MARGIN.top], this.#isLog),
      width, height, colors: this.#colors(),
    };
    const { faint, line, validation } = frame.colors;
    drawAxes(pen, frame, { low, high, isLog: this.#isLog }, steps);
    drawMarks(pen, frame, math.marks(run.stageEnds, run.rateChanges, this.t).filter(({ step }) => step <= run.step));
    drawLine(pen, frame, run.steps, run.losses, { color: faint, width: 1 });
    drawLine(pen, frame, run.steps, smoothed, { color: line, width: 2 });
    const [checked, checks] = [run.validation.map(([step]) => step), run.validation.map(([, loss]) => loss)];
    drawLine(pen, frame, checked, checks, { color: validation, width: 2, hasDots: true });
    this.#describe(pen, frame, run, smoothed);
  }

  #colors() {
    const style = getComputedStyle(this.canvas);
    const read = (/** @type {string} */ name) => style.getPropertyValue(`--bakery-${name}`).trim();
    return { text: read("muted"), grid: read("grid"), faint: read("faint"), line: read("line"), validation: read("validation") };
  }

  /** @param {number} step @param {Record<string, number | null | undefined>} values by color; undefined is not shown */
  #showLegend(step, values) {
    setText(this.stepText, `${step}:`);
    const told = Object.entries(values).flatMap(([color, value]) => (value === undefined ? [] : [`${this.t(NAMES[/** @type {keyof typeof NAMES} */ (color)])} ${short(value)}`]));
    this.canvas.ariaValueNow = String(step);
    this.canvas.ariaValueText = `${this.t("step_name", { step })}: ${told.join(", ")}`;
    for (const [color, { text, swatch }] of Object.entries(this.entries)) {
      swatch.hidden = values[color] === undefined;
      setText(text, `${this.t(NAMES[/** @type {keyof typeof NAMES} */ (color)])} ${short(values[color])}`);
    }
    this.legend.hidden = false;
  }

  /**
   * The legend tells the values under the pointer, else the last ones.
   * @param {CanvasRenderingContext2D} pen
   * @param {import("./chart_drawing.js").Frame} frame
   * @param {import("./run_model.js").Run} run
   * @param {(number | null)[]} smoothed
   */
  #describe(pen, { x, y, height, colors }, { steps, losses, validation }, smoothed) {
    const [first, last] = [steps[0], /** @type {number} */ (steps.at(-1))];
    const span = [x(first), x(last)];
    const share = this.#hoverX === null ? 1 : (this.#hoverX - span[0]) / (span[1] - span[0] || 1);
    const index = math.nearestIndex(steps, first + share * (last - first));
    const check = validation.filter(([step]) => step <= steps[index]).at(-1);
    this.#showLegend(steps[index], { faint: losses[index], line: smoothed[index], validation: check?.[1] });
    if (this.#hoverX === null) return;
    pen.strokeStyle = colors.text;
    pen.lineWidth = 1;
    pen.beginPath();
    pen.moveTo(x(steps[index]), MARGIN.top);
    pen.lineTo(x(steps[index]), height - MARGIN.bottom);
    pen.stroke();
    const value = smoothed[index];
    if (value == null) return;
    pen.fillStyle = colors.line;
    drawDot(pen, x(steps[index]), y(value), 3);
  }
}
