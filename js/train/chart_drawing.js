// @ts-check
// Strokes of a chart on a canvas: axes, marks, curves.

import { short } from "../shared/number_format.js";
import { logTicks, ticks } from "./chart_math.js";

export const MARGIN = { left: 44, right: 10, top: 14, bottom: 18 };
const FONT = "10px sans-serif";

/**
 * @typedef {CanvasRenderingContext2D} Pen
 * @typedef {(value: number) => number} Scale onto pixels
 *
 * @typedef {object} Frame what all strokes of one drawing share
 * @property {Scale} x of steps
 * @property {Scale} y of losses
 * @property {number} width
 * @property {number} height
 * @property {Record<"text" | "grid" | "faint" | "line" | "validation", string>} colors
 */

/**
 * @param {Pen} pen
 * @param {Frame} frame
 * @param {{low: number, high: number, isLog: boolean}} losses
 * @param {[number, number]} steps first and last
 */
export function drawAxes(pen, { x, y, width, height, colors }, { low, high, isLog }, [first, last]) {
  Object.assign(pen, { font: FONT, fillStyle: colors.text, strokeStyle: colors.grid, lineWidth: 1 });
  Object.assign(pen, { textAlign: "right", textBaseline: "middle" });
  const wanted = Math.max(3, Math.floor(height / 35));
  for (const tick of isLog ? logTicks(low, high) : ticks(low, high, wanted)) {
    const at = Math.round(y(tick)) + 0.5;
    pen.beginPath();
    pen.moveTo(MARGIN.left, at);
    pen.lineTo(width - MARGIN.right, at);
    pen.stroke();
    pen.fillText(short(tick), MARGIN.left - 5, at);
  }
  Object.assign(pen, { textAlign: "center", textBaseline: "top" });
  for (const tick of ticks(first, last, Math.max(2, Math.floor(width / 90)))) {
    const half = pen.measureText(String(tick)).width / 2;
    if (Number.isInteger(tick)) pen.fillText(String(tick), Math.min(x(tick), width - half), height - MARGIN.bottom + 5);
  }
}

/**
 * Dashed lines where a stage began or the learning rate was changed, labeled above.
 * @param {Pen} pen
 * @param {Frame} frame
 * @param {{step: number, text: string}[]} marks ascending
 */
export function drawMarks(pen, { x, width, height, colors }, marks) {
  Object.assign(pen, { font: FONT, strokeStyle: colors.text, fillStyle: colors.text, textBaseline: "bottom" });
  let free = MARGIN.left;
  for (const { step, text } of marks) {
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

/**
 * @param {Pen} pen
 * @param {Frame} frame
 * @param {number[]} steps
 * @param {(number | null)[]} values by step; null is a gap
 * @param {{color: string, width: number, hasDots?: boolean}} look
 */
export function drawLine(pen, { x, y }, steps, values, { color, width, hasDots = false }) {
  Object.assign(pen, { strokeStyle: color, fillStyle: color, lineWidth: width, lineJoin: "round" });
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
  steps.forEach((step, i) => values[i] != null && drawDot(pen, x(step), y(values[i]), 2.5));
}

/** @param {Pen} pen @param {number} x @param {number} y @param {number} radius */
export function drawDot(pen, x, y, radius) {
  pen.beginPath();
  pen.arc(x, y, radius, 0, 2 * Math.PI);
  pen.fill();
}
