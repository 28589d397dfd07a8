// @ts-check
// The page's model of a run: created from the server's view, updated by events. Pure functions; only the columns of
// figures are changed in place, by appending.

import { halve } from "./chart_math.js";

/** Points kept for the chart; beyond, neighbors are merged. */
export const MAX_POINTS = 3000;

/**
 * @typedef {object} PreviewSet
 * @property {string} key
 * @property {string[]} prompts one a row
 * @property {number[]} [strengths] one a row, where pictures were drawn at several
 * @property {number} width
 * @property {number} height
 * @property {number[]} steps
 *
 * @typedef {object} Run
 * @property {string} id
 * @property {string} name
 * @property {string} state `running`, `paused`, `stopping` or `ended`
 * @property {string[]} waiting what was wanted of it and is not done yet
 * @property {string} doing what goes on between two steps: ``, `previews`, `save`, `sample` or `try`
 * @property {number} at when the server read these three, in its own milliseconds
 * @property {string | null} fingerprint of the weights of the last step
 * @property {number} step
 * @property {number} totalSteps
 * @property {number[]} stageEnds last step of each stage but the last
 * @property {number[]} steps
 * @property {(number | null)[]} losses
 * @property {[number, number][]} validation
 * @property {[number, number][]} rateChanges (step, factor): from there on, the learning rate is multiplied by factor
 * @property {number} epoch
 * @property {number | null} learningRate
 * @property {number | null} stepsPerSecond
 * @property {number | null} secondsLeft
 * @property {number | null} memoryGib
 * @property {number[]} loras steps with a saved LoRA
 * @property {string | null} file the latest LoRA, below ComfyUI's output folder; null where another run owns it
 * @property {PreviewSet[]} previews the one last drawn first
 * @property {number | null} pick
 *
 * @typedef {{run: string, name: string, node: string | null}} RunEvent what all events have
 * @typedef {{state: string, waiting: string[], doing: string, at: number}} Status
 * @typedef {RunEvent & Status} StateEvent
 * @typedef {RunEvent & {step: number, prompt: string, seed: number, strength: number, picture: string}} TryEvent
 * @typedef {RunEvent & {points: [number, number | null][], step: number, total_steps: number, epoch: number,
 *   learning_rates: Record<string, number>, rate: number, left: number, memory_gib?: number, saved: number}} StepEvent
 */

/**
 * What a row of previews is called: its prompt, and the strength where there are several.
 * @param {PreviewSet} set
 * @param {number} row
 */
export function rowName(set, row) {
  return set.strengths?.length ? `${set.prompts[row]} · ${set.strengths[row]}` : set.prompts[row];
}

/**
 * The run as the server describes it.
 * @param {any} view answer of GET /bakery/runs/{id}
 * @returns {Run}
 */
export function runFromView(view) {
  const { curves } = view;
  return {
    id: view.id,
    name: view.name,
    ...statusOf(view),
    fingerprint: view.fingerprint,
    step: view.step,
    totalSteps: view.total_steps,
    stageEnds: stageEnds(view.stages),
    steps: [...curves.step],
    losses: [...curves.loss],
    validation: curves.validation,
    rateChanges: view.rates,
    epoch: curves.epoch.at(-1) ?? 0,
    learningRate: curves.learning_rate.at(-1) ?? null,
    stepsPerSecond: curves.rate,
    secondsLeft: curves.rate ? Math.max(0, view.total_steps - view.step) / curves.rate : null,
    memoryGib: null,
    loras: view.loras,
    file: view.file,
    previews: view.previews,
    pick: view.pick,
  };
}

/**
 * What a run does, from the server's answer or event.
 * @param {Status} told
 * @returns {Status}
 */
export const statusOf = ({ state, waiting, doing, at }) => ({ state, waiting, doing, at });

/**
 * The run with what it does now. One that begins again may stand before the steps the page has seen of it: those behind
 * its last save are trained again.
 * @param {Run} run
 * @param {Status} told
 * @returns {Run}
 */
export function withStatus(run, told) {
  if (told.at < run.at) return run; // an answer that was under way while an event came
  const isBegun = run.state === "ended" && told.state !== "ended";
  return { ...run, ...(isBegun ? { step: 0, steps: [], losses: [] } : {}), ...statusOf(told) };
}

/**
 * A line about pending commands: what will be done, and after what; empty without any.
 * @param {Run} run
 * @param {import("../shared/strings.js").Translate} t
 * @returns {string}
 */
export function heard({ waiting, doing }, t) {
  const after = (/** @type {string} */ wish) => {
    if (wish === doing) return "now";
    if (!doing || doing === "save") return "after_step";
    return wish === "stop" || doing === "try" ? "after_picture" : "after_pictures";
  };
  return waiting.map((wish) => t(after(wish), { what: t(`wait_${wish}`) })).join(" · ");
}

/**
 * Steps at which a new stage starts.
 * @param {number[]} lengths
 * @returns {number[]}
 */
export function stageEnds(lengths) {
  let end = 0;
  return lengths.slice(0, -1).map((length) => (end += length));
}

/**
 * The run after the steps of an event; known steps are ignored, so that events may arrive twice.
 * @param {Run} run
 * @param {StepEvent} event
 * @returns {Run}
 */
export function withSteps(run, event) {
  for (const [step, loss] of event.points) {
    if (step <= (run.steps.at(-1) ?? 0)) continue;
    run.steps.push(step);
    run.losses.push(loss);
  }
  const isNewlySaved = event.saved > (run.loras.at(-1) ?? 0);
  const kept = run.steps.length > MAX_POINTS ? halve(run.steps, run.losses) : { steps: run.steps, values: run.losses };
  return {
    ...run,
    steps: kept.steps,
    losses: kept.values,
    step: Math.max(run.step, event.step),
    totalSteps: event.total_steps,
    epoch: event.epoch,
    learningRate: Math.max(0, ...Object.values(event.learning_rates)),
    stepsPerSecond: event.rate,
    secondsLeft: event.left,
    memoryGib: event.memory_gib ?? null,
    loras: isNewlySaved ? [...run.loras, event.saved] : run.loras,
  };
}

/**
 * The learning rate that counts from the next step on, where it was changed by hand after the last one; else null.
 * A schedule may move it a little besides.
 * @param {Run} run
 * @returns {number | null}
 */
export function nextRate({ rateChanges, step, learningRate, state }) {
  const last = rateChanges.at(-1);
  if (learningRate == null || state === "ended" || !last || last[0] !== step) return null;
  return (learningRate * last[1]) / (rateChanges.at(-2)?.[1] ?? 1);
}

/**
 * The server's new view of a run in training, with what only events tell (speed, memory) and, where events told of
 * later steps than an answer that was under way, with those.
 * @param {Run} run from the server
 * @param {Run} known as the page had it
 * @returns {Run}
 */
export function withLiveFigures(run, known) {
  const figures = {
    stepsPerSecond: known.stepsPerSecond ?? run.stepsPerSecond,
    secondsLeft: known.secondsLeft ?? run.secondsLeft,
    memoryGib: known.memoryGib,
  };
  if (known.step <= run.step) return { ...run, ...figures };
  const later = known.steps.findIndex((step) => step > run.step);
  const steps = [...run.steps, ...known.steps.slice(later)];
  return { ...run, ...figures, step: known.step, steps, losses: [...run.losses, ...known.losses.slice(later)], epoch: known.epoch };
}

/**
 * The server's new view of a run that the page knows: status and figures from whichever is newer.
 * @param {Run} run from the server
 * @param {Run} known as the page had it
 * @returns {Run}
 */
export function latest(run, known) {
  const newest = known.at > run.at ? { ...run, ...statusOf(known) } : run;
  return newest.state === "ended" ? newest : withLiveFigures(newest, known);
}

/**
 * Which of a name's runs to show: the one in training, else the one that owns the files, else the newest.
 * @param {{runs: {id: string, state: string}[], current: string | null}} list
 * @returns {string | null}
 */
export function chooseRun({ runs, current }) {
  const live = runs.find((run) => run.state !== "ended");
  return (live ?? runs.find((run) => run.id === current) ?? runs[0])?.id ?? null;
}
