import assert from "node:assert/strict";
import test from "node:test";
import * as math from "../../js/train/chart_math.js";

test("smoothing keeps a constant, and the mean of alternating values", () => {
  assert.deepEqual(math.smooth([2, 2, 2], 0.9), [2, 2, 2]);
  const values = Array.from({ length: 2000 }, (_, i) => i % 2);
  assert.ok(Math.abs(math.smooth(values, 0.99).at(-1) - 0.5) < 0.01);
  assert.deepEqual(math.smooth([1, null, 3], 0), [1, null, 3]);
});

test("smoothing is the weighted mean written out", () => {
  const [weight, values] = [0.7, [3, 1, 4, 1, 5, 9, 2, 6]];
  values.forEach((_, end) => {
    const weights = values.slice(0, end + 1).map((_, i) => weight ** (end - i));
    const mean = values.slice(0, end + 1).reduce((sum, value, i) => sum + value * weights[i], 0) / weights.reduce((a, b) => a + b);
    assert.ok(Math.abs(math.smooth(values, weight)[end] - mean) < 1e-12);
  });
});

test("halving keeps the mean and the last step", () => {
  const steps = Array.from({ length: 1001 }, (_, i) => i + 1);
  const halved = math.halve(steps, steps);
  assert.equal(halved.steps.length, 501);
  assert.equal(halved.steps.at(-1), 1001);
  assert.equal(halved.values[0], 1.5);
  assert.deepEqual(math.halve([], []), { steps: [], values: [] });
});

test("ticks are round, inside, and about as many as wanted", () => {
  for (const [low, high] of [[0, 1], [0.013, 0.0171], [-3, 1e6], [5, 5.0001], [0, 10000]]) {
    for (const wanted of [2, 5, 9]) {
      const found = math.ticks(low, high, wanted);
      assert.ok(found.length <= wanted + 2, `${low}..${high}: ${found}`);
      assert.ok(found.every((tick) => tick >= low - 1e-9 * Math.abs(low) && tick <= high + 1e-9 * Math.abs(high)));
    }
  }
  assert.deepEqual(math.ticks(0, 1, 5), [0, 0.2, 0.4, 0.6, 0.8, 1]);
  assert.deepEqual(math.ticks(1, 1, 5), []);
});

test("logarithmic ticks are inside and there is more than one", () => {
  for (const [low, high] of [[0.01, 100], [0.11, 0.19], [0.5, 3]]) {
    const found = math.logTicks(low, high);
    assert.ok(found.length > 1);
    assert.ok(found.every((tick) => tick >= low && tick <= high));
  }
});

test("scale maps the ends, and the middle of powers on a log scale", () => {
  const linear = math.scale([10, 20], [0, 100]);
  assert.deepEqual([linear(10), linear(15), linear(20)], [0, 50, 100]);
  assert.ok(Math.abs(math.scale([1, 100], [0, 1], true)(10) - 0.5) < 1e-12);
  assert.ok(Number.isFinite(math.scale([3, 3], [0, 1])(3)));
});

test("bounds pass over gaps, NaN, and what a log scale cannot show", () => {
  assert.deepEqual(math.bounds([[null, 3, NaN], [1]], false), [1, 3]);
  assert.deepEqual(math.bounds([[0, -1, 2]], true), [2, 2]);
  assert.equal(math.bounds([[null]], false), null);
  for (const isLog of [false, true]) {
    const [low, high] = math.padded([2, 2], isLog);
    assert.ok(low < 2 && high > 2);
  }
});

test("nearest index equals a search through all", () => {
  const steps = [1, 4, 5, 9, 20];
  for (let step = -2; step < 25; step += 0.5) {
    const best = Math.min(...steps.map((each) => Math.abs(each - step)));
    assert.equal(Math.abs(steps[math.nearestIndex(steps, step)] - step), best);
  }
  assert.equal(math.nearestIndex([], 3), -1);
});

test("stages and changes of the rate are marked in order", () => {
  const t = (key, values) => `${key} ${values.number}`;
  assert.deepEqual(math.marks([60, 90], [[20, 0.5], [70, 0.25]], t), [
    { step: 20, text: "×0.5" }, { step: 60, text: "stage 2" }, { step: 70, text: "×0.25" }, { step: 90, text: "stage 3" },
  ]);
});
