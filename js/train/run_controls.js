// @ts-check
// The buttons that control a run, and its status line.

import { element, setText } from "../shared/dom.js";
import { clock, short } from "../shared/number_format.js";
import { heard, nextRate } from "./run_model.js";
import { TryPrompt } from "./try_prompt.js";

const BUTTONS = ["pause", "sample", "save", "stop", "slower", "faster"];
const RATE_FACTORS = { slower: 0.5, faster: 2 };
/** Which button is marked while a wish waits. @type {Record<string, string>} */
const BUTTON_OF = { pause: "pause", resume: "pause", sample: "sample", save: "save", stop: "stop" };

export class RunControls {
  /** @type {Record<string, HTMLButtonElement>} */
  #buttons = {};
  #state = "ended";
  #runKey = "";
  /** @type {import("./run_model.js").Run | null} */
  #shown = null;

  /**
   * @param {import("../shared/strings.js").Translate} t
   * @param {(command: string, values?: object) => Promise<void>} send rejects with the server's words
   */
  constructor(t, send) {
    this.t = t;
    this.send = send;
    this.status = element("div", { class: "bakery-status", role: "status", "aria-live": "off", tabindex: -1 });
    this.saved = element("div", { class: "bakery-hint bakery-saved" });
    // Always there: what comes into the page with its text is not read aloud.
    this.heard = element("div", { class: "bakery-hint bakery-heard", role: "status" });
    this.message = element("div", { class: "bakery-message", role: "alert", hidden: true });
    for (const name of BUTTONS) {
      this.#buttons[name] = element("button", {
        type: "button", text: t(name), title: t(`${name}_hint`), onclick: () => this.#press(name),
      });
    }
    const { slower, faster, ...others } = this.#buttons;
    const rates = element("span", { class: "bakery-pair-of-buttons" }, slower, faster); // they wrap together
    this.row = element("div", { class: "bakery-row bakery-buttons", hidden: true }, ...Object.values(others), rates);
    this.tryPrompt = new TryPrompt(t, (values) => this.#run("try", values));
    this.element = element("div", { class: "bakery-controls" }, this.status, this.saved, this.row, this.heard, this.tryPrompt.element, this.message);
  }

  /** @param {import("./run_model.js").Run | null} run */
  show(run) {
    this.#state = run?.state ?? "ended";
    this.#shown = run;
    const isLive = this.#state !== "ended";
    this.row.hidden = !isLive;
    this.tryPrompt.show(run);
    const key = run ? `${run.name}/${run.id}` : "";
    if (key !== this.#runKey) this.message.hidden = true; // it was about another run
    this.#runKey = key;
    const isPaused = this.#state === "paused";
    setText(this.#buttons.pause, this.t(isPaused ? "resume" : "pause"));
    this.#buttons.pause.title = this.t(isPaused ? "resume_hint" : "pause_hint");
    const waiting = run?.waiting ?? [];
    for (const [name, button] of Object.entries(this.#buttons)) {
      button.setAttribute("aria-disabled", String(this.#state === "stopping")); // not disabled: that would lose the focus
      button.setAttribute("aria-busy", String(waiting.some((wish) => BUTTON_OF[wish] === name)));
    }
    setText(this.heard, run ? heard(run, this.t) : "");
    this.status.title = run?.fingerprint ? this.t("fingerprint", { digest: run.fingerprint }) : "";
    setText(this.status, run ? statusLine(this.t, run) : "");
    setText(this.saved, run ? savedLine(this.t, run) : "");
  }

  /** @param {string} name */
  #press(name) {
    if (this.#state === "stopping") return undefined;
    const factor = RATE_FACTORS[/** @type {keyof typeof RATE_FACTORS} */ (name)];
    if (factor) return this.#run("rate", { factor });
    if (name === "sample" && this.#isDrawn()) return this.#say(this.t("drawn_already", { step: this.#shown?.step ?? 0 }));
    return this.#run(name === "pause" && this.#state === "paused" ? "resume" : name);
  }

  /** Whether pictures of this very step are there, and no other step will come before new ones could be drawn. */
  #isDrawn() {
    return this.#state === "paused" && (this.#shown?.previews[0]?.steps.includes(this.#shown.step) ?? false);
  }

  /** @param {string} text */
  #say(text) {
    setText(this.message, text);
    this.message.hidden = false;
  }

  /** @param {string} command @param {object} [values] @returns {Promise<boolean>} whether the server took it */
  async #run(command, values) {
    try {
      await this.send(command, values);
      this.message.hidden = true;
      return true;
    } catch (error) {
      this.#say(this.t("failed", { error: /** @type {Error} */ (error).message }));
      return false;
    }
  }
}

/**
 * Where the run is, in a line.
 * @param {import("../shared/strings.js").Translate} t
 * @param {import("./run_model.js").Run} run
 * @returns {string}
 */
export function statusLine(t, run) {
  const parts = [t("step", { step: run.step, total: run.totalSteps }), t("epoch", { epoch: run.epoch + 1 })];
  if (run.stepsPerSecond) parts.push(run.stepsPerSecond >= 1 ? t("speed", { rate: run.stepsPerSecond.toFixed(1) }) : t("seconds", { seconds: (1 / run.stepsPerSecond).toFixed(1) }));
  if (run.state !== "ended" && run.secondsLeft != null) parts.push(t("left", { time: clock(run.secondsLeft) }));
  const next = nextRate(run);
  if (run.learningRate != null) parts.push(t("lr", { rate: short(run.learningRate) }) + (next === null ? "" : ` → ${short(next)}`));
  if (run.state !== "ended" && run.memoryGib) parts.push(t("memory", { gib: run.memoryGib.toFixed(1) }));
  if (t(run.state)) parts.push(t(run.state));
  if (run.pick != null) parts.push(`★ ${run.pick}`);
  return parts.join(" · ");
}

/**
 * Which steps are on disk, and where; empty if none are.
 * @param {import("../shared/strings.js").Translate} t
 * @param {import("./run_model.js").Run} run
 * @returns {string}
 */
export function savedLine(t, { loras, file }) {
  const step = loras.at(-1);
  return step === undefined || !file ? "" : t("saved", { step, file });
}
