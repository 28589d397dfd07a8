// @ts-check
// Math of the chart: smoothing, thinning, ticks, scales. Pure functions; steps ascend.

import { short } from "../shared/number_format.js";

/**
 * Exponential moving average, not biased toward the start: each value weighs `weight` times the next.
 * Gaps (null) stay gaps.
 * @param {(number | null)[]} values
 * @param {number} weight 0..1; 0 gives the values back
 * @returns {(number | null)[]}
 */
export function smooth(values, weight) {
  let sum = 0;
  let total = 0;
  return values.map((value) => {
    if (value == null) return null;
    sum = sum * weight + value;
    total = total * weight + 1;
    return sum / total;
  });
}

/**
 * Smoothing that fits the number of points: the mean reaches over about a twentieth of them, 3 to 100.
 * @param {number} numPoints
 * @returns {number} weight for `smooth`
 */
export function smoothingWeight(numPoints) {
  return 1 - 1 / Math.max(3, Math.min(100, numPoints / 20));
}

/**
 * Halves the points: each pair becomes its mean at the later step.
 * @param {number[]} steps
 * @param {(number | null)[]} values
 * @returns {{steps: number[], values: (number | null)[]}}
 */
export function halve(steps, values) {
  const kept = { steps: /** @type {number[]} */ ([]), values: /** @type {(number | null)[]} */ ([]) };
  for (let i = 0; i < steps.length; i += 2) {
    const last = Math.min(i + 1, steps.length - 1);
    const pair = values.slice(i, last + 1).filter((value) => value != null);
    kept.steps.push(steps[last]);
    kept.values.push(pair.length ? pair.reduce((a, b) => a + b, 0) / pair.length : null);
  }
  return kept;
}

/**
 * Smallest and largest of all values; null without any. Values of 0 and below count only on a linear scale.
 * @param {(number | null)[][]} columns
 * @param {boolean} isLog
 * @returns {[number, number] | null}
 */
export function bounds(columns, isLog) {
  let low = Infinity;
  let high = -Infinity;
  for (const column of columns) {
    for (const value of column) {
      if (value == null || !Number.isFinite(value) || (isLog && value <= 0)) continue;
      low = Math.min(low, value);
      high = Math.max(high, value);
    }
  }
  return low <= high ? [low, high] : null;
}

/**
 * Bounds with a little margin, never of zero width.
 * @param {[number, number]} range
 * @param {boolean} isLog
 * @returns {[number, number]}
 */
export function padded([low, high], isLog) {
  if (isLog) {
    const air = Math.max(1.05, (high / low) ** 0.05);
    return [low / air, high * air];
  }
  const air = high > low ? (high - low) * 0.05 : Math.max(Math.abs(high) * 0.1, 1e-6);
  return [low - air, high + air];
}

/**
 * Round numbers in a range: 1, 2 or 5 times a power of ten apart.
 * @param {number} low
 * @param {number} high
 * @param {number} wanted about how many
 * @returns {number[]}
 */
export function ticks(low, high, wanted) {
  const rough = (high - low) / Math.max(1, wanted);
  if (!(rough > 0) || !Number.isFinite(rough)) return [];
  const power = 10 ** Math.floor(Math.log10(rough));
  const size = [1, 2, 5, 10].map((factor) => factor * power).find((step) => step >= rough * 0.999) ?? 10 * power;
  const first = Math.ceil(low / size - 1e-9);
  const last = Math.floor(high / size + 1e-9);
  return Array.from({ length: Math.max(0, last - first + 1) }, (_, i) => Number(((first + i) * size).toPrecision(12)));
}

/**
 * Ticks of a logarithmic axis: powers of ten, with 2 and 5 times them where those are few.
 * @param {number} low above 0
 * @param {number} high
 * @returns {number[]}
 */
export function logTicks(low, high) {
  const powers = Math.log10(high / low);
  const factors = powers > 3 ? [1] : [1, 2, 5];
  const found = [];
  for (let power = Math.floor(Math.log10(low)); power <= Math.ceil(Math.log10(high)); power++) {
    for (const factor of factors) {
      const tick = Number((factor * 10 ** power).toPrecision(12));
      if (tick >= low && tick <= high) found.push(tick);
    }
  }
  return found.length > 1 ? found : ticks(low, high, 6).filter((tick) => tick > 0);
}

/**
 * Maps a range onto pixels.
 * @param {[number, number]} from
 * @param {[number, number]} to
 * @param {boolean} [isLog]
 * @returns {(value: number) => number}
 */
export function scale([low, high], [start, end], isLog = false) {
  const bend = isLog ? Math.log : (/** @type {number} */ value) => value;
  const width = bend(high) - bend(low) || 1;
  return (value) => start + ((bend(value) - bend(low)) / width) * (end - start);
}

/**
 * What happened at which step, in order: a stage began, the learning rate was changed by hand.
 * @param {number[]} stageEnds last step of each stage but the last
 * @param {[number, number][]} rates step, and the factor of the rate from there on
 * @param {(key: string, values: Record<string, number>) => string} t
 * @returns {{step: number, text: string}[]}
 */
export function marks(stageEnds, rates, t) {
  const stages = stageEnds.map((step, index) => ({ step, text: t("stage", { number: index + 2 }) }));
  const changes = rates.map(([step, factor]) => ({ step, text: `×${short(factor)}` }));
  return [...stages, ...changes].sort((a, b) => a.step - b.step);
}

/**
 * Index of the step nearest to `step`; -1 without steps.
 * @param {number[]} steps ascending
 * @param {number} step
 * @returns {number}
 */
export function nearestIndex(steps, step) {
  let low = 0;
  let high = steps.length - 1;
  while (high - low > 1) {
    const middle = (low + high) >> 1;
    if (steps[middle] <= step) low = middle;
    else high = middle;
  }
  if (high < 0) return -1;
  return Math.abs(steps[high] - step) < Math.abs(steps[low] - step) ? high : low;
}
