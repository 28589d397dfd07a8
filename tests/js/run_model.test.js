import assert from "node:assert/strict";
import test from "node:test";
import { chooseRun, heard, latest, MAX_POINTS, nextRate, rowName, runFromView, stageEnds, withLiveFigures, withStatus, withSteps } from "../../js/train/run_model.js";

const curves = { step: [1, 2], loss: [0.5, 0.4], validation: [], epoch: [0, 0], learning_rate: [1e-4, 1e-4], rate: 2 };
const view = { id: "a", name: "n", state: "running", waiting: [], doing: "", fingerprint: "f", rates: [], step: 2, total_steps: 10, stages: [4, 6], curves, loras: [], file: null, previews: [], pick: null };

function event(points) {
  return { points, step: points.at(-1)[0], total_steps: 10, epoch: 1, learning_rates: { unet: 1e-4, text: 2e-4 }, rate: 3, left: 2 };
}

test("a view becomes a run", () => {
  const run = runFromView(view);
  assert.deepEqual([run.steps, run.losses, run.stageEnds, run.secondsLeft], [[1, 2], [0.5, 0.4], [4], 4]);
  assert.deepEqual(stageEnds([]), []);
  assert.deepEqual(stageEnds([2, 3, 4]), [2, 5]);
});

test("a row of previews is called by its prompt, and by its strength where there are several", () => {
  assert.equal(rowName({ prompts: ["fox"], strengths: [] }, 0), "fox");
  assert.equal(rowName({ prompts: ["fox", "fox"], strengths: [0.6, 1] }, 1), "fox · 1");
});

test("steps are added once, however often they are told", () => {
  let run = runFromView(view);
  run = withSteps(run, event([[2, 9], [3, 0.3]]));
  run = withSteps(run, event([[3, 0.3], [4, 0.2]]));
  assert.deepEqual([run.steps, run.losses], [[1, 2, 3, 4], [0.5, 0.4, 0.3, 0.2]]);
  assert.deepEqual([run.step, run.learningRate], [4, 2e-4]);
});

test("ten thousand steps stay few points and end with the last", () => {
  let run = runFromView(view);
  for (let step = 3; step <= 10000; step++) run = withSteps(run, event([[step, 1]]));
  assert.ok(run.steps.length <= MAX_POINTS);
  assert.equal(run.steps.at(-1), 10000);
  assert.ok(run.steps.every((step, i) => i === 0 || step > run.steps[i - 1]));
});

test("the live run is shown, else the current, else the newest", () => {
  const ended = (id) => ({ id, state: "ended" });
  assert.equal(chooseRun({ runs: [ended("a"), { id: "b", state: "paused" }], current: "a" }), "b");
  assert.equal(chooseRun({ runs: [ended("a"), ended("b")], current: "b" }), "b");
  assert.equal(chooseRun({ runs: [ended("a"), ended("b")], current: null }), "a");
  assert.equal(chooseRun({ runs: [], current: null }), null);
});

test("an answer that is older than the events does not take steps back", () => {
  const ahead = withSteps(runFromView(view), event([[3, 0.3], [4, 0.2]]));
  const merged = withLiveFigures({ ...runFromView(view), loras: [2] }, ahead);
  assert.deepEqual([merged.steps, merged.step, merged.stepsPerSecond, merged.loras], [[1, 2, 3, 4], 4, 3, [2]]);
  const behind = withLiveFigures(runFromView({ ...view, step: 9 }), ahead);
  assert.deepEqual([behind.steps, behind.step, behind.stepsPerSecond], [[1, 2], 9, 3]);
});

test("steps told while an answer was under way follow those of the answer", () => {
  const known = { ...runFromView(view), step: 4, steps: [4], losses: [0.2] };
  const merged = withLiveFigures({ ...runFromView(view), step: 3, steps: [1, 2, 3], losses: [1, 1, 1] }, known);
  assert.deepEqual([merged.steps, merged.losses, merged.step], [[1, 2, 3, 4], [1, 1, 1, 0.2], 4]);
});

test("a run that begins again goes back to its last save", () => {
  const ended = withStatus({ ...runFromView(view), step: 9, steps: [8, 9] }, { state: "ended", waiting: [], doing: "" });
  assert.deepEqual(ended.steps, [8, 9]);
  const again = withStatus(ended, { state: "running", waiting: [], doing: "" });
  assert.deepEqual(withLiveFigures(runFromView(view), again).steps, [1, 2]);
  const goesOn = withStatus({ ...ended, state: "paused" }, { state: "running", waiting: [], doing: "" });
  assert.deepEqual(goesOn.steps, [8, 9]);
});

test("what was heard is said at once, with what it waits for", () => {
  const t = (key, { what } = {}) => (what ? `${key}(${what})` : key);
  const said = (waiting, doing) => heard({ ...runFromView(view), waiting, doing }, t);
  assert.equal(said([], ""), "");
  assert.equal(said(["pause"], ""), "after_step(wait_pause)");
  assert.equal(said(["pause"], "save"), "after_step(wait_pause)");
  assert.equal(said(["stop", "save"], "previews"), "after_picture(wait_stop) · after_pictures(wait_save)");
  assert.equal(said(["sample", "pause"], "sample"), "now(wait_sample) · after_pictures(wait_pause)");
});

test("an answer that was read before an event does not take back what the event said", () => {
  const running = runFromView({ ...view, at: 1 });
  const paused = withStatus(running, { state: "paused", waiting: [], doing: "", at: 2 });
  assert.equal(withStatus(paused, { state: "running", waiting: ["pause"], doing: "", at: 1 }).state, "paused");
  assert.equal(latest(running, paused).state, "paused");
  assert.equal(latest(runFromView({ ...view, at: 3 }), paused).state, "running");
  const ended = runFromView({ ...view, state: "ended", at: 3 });
  assert.deepEqual([latest(ended, { ...paused, step: 9, steps: [9] }).step, latest(ended, paused).state], [2, "ended"]);
});

test("a rate changed by hand is shown before a step was trained with it", () => {
  const run = { ...runFromView(view), step: 2, learningRate: 1e-4 };
  const at = (rateChanges, state = "paused") => nextRate({ ...run, rateChanges, state });
  assert.equal(at([]), null);
  assert.equal(at([[2, 0.5]]), 5e-5);
  assert.equal(at([[1, 0.5], [2, 0.25]]), 5e-5, "the last step had the first change already");
  assert.equal(at([[1, 0.5]]), null, "the last step was trained with it");
  assert.equal(at([[2, 0.5]], "ended"), null);
});

test("a save is known from the step that follows", () => {
  let run = withSteps(runFromView({ ...view, loras: [2] }), { ...event([[3, 0.3]]), saved: 2 });
  assert.deepEqual(run.loras, [2]);
  run = withSteps(run, { ...event([[4, 0.2]]), saved: 4 });
  run = withSteps(run, { ...event([[5, 0.2]]), saved: 4 });
  assert.deepEqual(run.loras, [2, 4]);
});
