// @ts-check
// The panel below Train LoRA's inputs: status, buttons, chart, strip. Knows a run's name, not the node.

import { element, keepingFocus, keepPlainKeys, notesElement, oncePerFrame, setText } from "../shared/dom.js";
import { whileSeen } from "../shared/lifetime.js";
import { steerRun } from "../shared/server.js";
import { chooseRun, latest, runFromView, withStatus, withSteps } from "./run_model.js";
import { getRun, listRuns } from "./run_service.js";
import { subscribe } from "./training_events.js";
import { LossChart } from "./loss_chart.js";
import { PreviewOverlay } from "./preview_overlay.js";
import { PreviewStrip } from "./preview_strip.js";
import { RunControls } from "./run_controls.js";

const RETRY_MS = 5000;
const HEIGHTS = { empty: 60, chart: 160, strip: 190, padding: 24 };

export class TrainPanel {
  /** @type {import("./run_model.js").Run | null} */
  run = null;
  #isLoading = false;
  #isOutdated = false;
  #isVisible = false;
  #isRemoved = false;
  /** Time of the last failed request to the server, 0 if one has succeeded since. */
  #failedAt = 0;

  /**
   * @param {import("../shared/strings.js").Translate} t
   * @param {object} node what the panel asks of its node
   * @param {(event: import("./run_model.js").RunEvent) => string | null} node.nameOf the run's name by the event, or the
   *   node's own; null where the event is about another run
   * @param {() => {steps: number, batch: number} | null} node.overruled its own length, where connected stages decide instead
   * @param {() => void} node.onTaller called when `minHeight` has grown
   * @param {() => void} node.onTick called a few times a second while the panel is in sight
   */
  constructor(t, { nameOf, overruled, onTaller, onTick }) {
    this.t = t;
    this.nameOf = nameOf;
    this.overruled = overruled;
    this.onTaller = onTaller;
    this.onTick = onTick;
    this.minHeight = HEIGHTS.empty;
    this.name = "";
    this.controls = new RunControls(t, (name, values) => this.#send(name, values));
    this.chart = new LossChart(t);
    this.strip = new PreviewStrip(t, (column, row) => this.overlay.open(column, row));
    this.overlay = new PreviewOverlay(t, () => this.run, (pick) => this.#send("pick", pick), () => this.controls.status);
    this.plan = element("div", { class: "bakery-hint bakery-plan", hidden: true });
    this.notes = notesElement();
    this.empty = element("div", { class: "bakery-empty", text: t("empty") });
    this.problem = element("div", { class: "bakery-message", role: "alert", hidden: true });
    this.chart.element.hidden = true;
    this.element = element(
      "div", { class: "bakery bakery-panel bakery-training", role: "group", "aria-label": t("panel"), onkeydown: keepPlainKeys },
      this.plan, this.empty, this.problem, this.controls.element, this.notes, this.chart.element, this.strip.element,
    );
    this.render = oncePerFrame(() => keepingFocus(this.element, () => this.#render(), () => this.controls.status));
    this.#watch();
  }

  #watch() {
    this.unsubscribe = subscribe({
      step: (event) => this.#onStep(event),
      sample: (event) => this.#isMine(event) && this.load(),
      state: (event) => this.#onState(event),
      try: (event) => this.#onTry(event),
      refresh: () => this.load(),
    });
    this.stopWatching = whileSeen(this.element, {
      enter: () => {
        this.#isVisible = true;
        this.render();
      },
      leave: () => (this.#isVisible = false),
      tick: () => this.#tick(),
    });
    this.size = new ResizeObserver(() => this.render());
    this.size.observe(this.element);
  }

  /** Stops listening; the panel cannot be used afterwards. */
  remove() {
    this.#isRemoved = true;
    this.unsubscribe?.();
    this.stopWatching?.();
    this.size?.disconnect();
    this.overlay.close();
  }

  /** @param {string} name of the LoRA */
  setName(name) {
    if (name === this.name) return;
    this.name = name;
    this.run = null; // what is shown, and steered by the buttons, is of this name or nothing
    this.setNotes([]);
    this.overlay.close();
    this.render();
    void this.load();
  }

  /** @param {string[]} notes what the node said at the end, behind its first line, which the host shows */
  setNotes(notes) {
    setText(this.notes, notes.join("\n"));
    this.notes.hidden = !notes.length;
  }

  /** Asks the server for the run; calls while one answer is awaited become one more. */
  async load() {
    if (this.#isLoading) return void (this.#isOutdated = true);
    this.#isLoading = true;
    do {
      this.#isOutdated = false;
      const { name } = this;
      const run = await fetchRun(name).catch((error) => this.#fail(error));
      if (this.#isRemoved) break;
      if (name !== this.name) this.#isOutdated = true;
      else if (run !== undefined) this.#take(run);
    } while (this.#isOutdated);
    this.#isLoading = false;
  }

  /** What is known of the run stays; that it may be old is said, and it is asked for again. @param {Error} error */
  #fail(error) {
    this.#failedAt = Date.now();
    setText(this.problem, this.t("failed", { error: error.message }));
    this.render();
    return undefined;
  }

  #tick() {
    this.onTick();
    if (this.#failedAt && Date.now() - this.#failedAt > RETRY_MS) void this.load();
  }

  /** @param {import("./run_model.js").Run | null} run */
  #take(run) {
    this.#failedAt = 0;
    setText(this.problem, "");
    if (run && this.run?.id === run.id) run = latest(run, this.run);
    this.run = run;
    this.render();
  }

  /** @param {import("./run_model.js").RunEvent} event */
  #isMine(event) {
    const name = this.nameOf(event);
    if (name !== null) this.setName(name);
    return name !== null;
  }

  /** @param {import("./run_model.js").StepEvent} event */
  #onStep(event) {
    if (!this.#isMine(event)) return;
    this.setNotes([]);
    const { run } = this;
    if (run?.id !== event.run || run?.name !== event.name) return void this.load();
    this.run = withSteps(run, event);
    this.render();
    if (this.run.loras !== run.loras && run.file === null) void this.load(); // its first file: where it lies is asked
  }

  /** @param {import("./run_model.js").StateEvent} event */
  #onState(event) {
    if (!this.#isMine(event)) return;
    if (this.run && this.run.id === event.run) {
      this.run = withStatus(this.run, event);
      this.render();
    }
    void this.load();
  }

  /** @param {import("./run_model.js").TryEvent} event */
  #onTry(event) {
    if (!this.#isMine(event)) return;
    if (this.run?.id !== event.run) return void this.load();
    this.controls.tryPrompt.showPicture(event);
    this.render();
  }

  /** @param {string} name of the command @param {object} [values] */
  async #send(name, values) {
    const { run } = this;
    if (!run) return;
    const answer = await steerRun(run, name, values);
    if (answer.state && this.run && isSame(this.run, run)) {
      this.run = withStatus(this.run, answer); // seen at once; all else comes with the next view
      this.render();
    }
    await this.load();
  }

  #render() {
    if (!this.#isVisible) return; // collapsed, scrolled away or on another tab: drawn when it comes back
    const { run } = this;
    this.#showPlan();
    this.empty.hidden = run !== null || this.#failedAt > 0;
    this.problem.hidden = !this.#failedAt;
    this.chart.element.hidden = run === null;
    this.controls.show(run);
    this.#measure();
    this.chart.show(run);
    this.strip.show(run);
    this.overlay.refresh();
  }

  /** Without a word, steps and batch_size of the node would seem to count. */
  #showPlan() {
    const values = this.overruled();
    const isLive = this.run !== null && this.run.state !== "ended"; // else the plan may be another by now
    this.plan.hidden = values === null;
    setText(this.plan, values === null ? "" : this.t(isLive ? "stages_total" : "stages_decide", { ...values, total: this.run?.totalSteps ?? 0 }));
  }

  /** The buttons of a run in training need room besides chart and strip. */
  #measure() {
    const { chart, strip, padding, empty } = HEIGHTS;
    const needed = this.plan.offsetHeight + (this.run ? this.controls.element.offsetHeight + chart + strip + padding : empty);
    const isTaller = needed > this.minHeight;
    this.minHeight = needed;
    if (isTaller) this.onTaller();
  }
}

/** Equal runs of two names have one id. @param {import("./run_model.js").Run} one @param {import("./run_model.js").Run} other */
const isSame = (one, other) => one.id === other.id && one.name === other.name;

/** @param {string} name @returns {Promise<import("./run_model.js").Run | null>} */
async function fetchRun(name) {
  const id = name ? chooseRun(await listRuns(name)) : null;
  return id ? runFromView(await getRun(id, name)) : null;
}
