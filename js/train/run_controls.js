// @ts-check
// Buttons that steer a run, its status line, and "try a prompt".

import { clock, short } from "./chart_math.js";
import { element, setText } from "../shared/dom.js";
import { heard, nextRate } from "./run_model.js";

const BUTTONS = ["pause", "sample", "save", "stop", "slower", "faster"];
const RATE_FACTORS = { slower: 0.5, faster: 2 };
/** Which button is marked while a wish waits. @type {Record<string, string>} */
const BUTTON_OF = { pause: "pause", resume: "pause", sample: "sample", save: "save", stop: "stop" };

export class RunControls {
  /** @type {Record<string, any>} */
  #buttons = {};
  #state = "ended";

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
    this.tryBox = this.#makeTryBox();
    this.element = element("div", { class: "bakery-controls" }, this.status, this.saved, this.row, this.heard, this.tryBox, this.message);
  }

  #makeTryBox() {
    const { t } = this;
    this.prompt = element("input", { type: "text", maxlength: 4000, placeholder: t("try_prompt"), "aria-label": t("try_prompt"), class: "bakery-wide" });
    this.seed = element("input", { type: "number", min: 0, step: 1, value: 0, "aria-label": t("try_seed"), title: t("try_seed") });
    this.strength = element("input", { type: "number", min: -10, max: 10, step: 0.1, value: 1, "aria-label": t("try_strength"), title: t("try_strength") });
    this.tryPicture = element("img", { alt: "", class: "bakery-try-picture", hidden: true });
    this.tryCaption = element("div", { class: "bakery-hint" });
    const go = element("button", { type: "submit", text: t("try_go") });
    const form = element("form", {
      class: "bakery-row", "aria-label": t("try_title"),
      onsubmit: (/** @type {Event} */ event) => {
        event.preventDefault();
        void this.#try();
      },
      onkeydown: (/** @type {Event} */ event) => event.stopPropagation(),
    }, this.prompt, this.seed, this.strength, go);
    return element("div", { class: "bakery-try", hidden: true }, form, element("div", { class: "bakery-try-shown" }, this.tryPicture, this.tryCaption));
  }

  /** @param {import("./run_model.js").Run | null} run */
  show(run) {
    this.#state = run?.state ?? "ended";
    const isLive = this.#state !== "ended";
    const hadFocus = this.element.contains(document.activeElement);
    this.row.hidden = !isLive;
    this.tryBox.hidden = !isLive;
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
    // A button that goes takes the keyboard's place on the page along.
    if (hadFocus && !document.activeElement?.checkVisibility()) this.status.focus({ preventScroll: true });
    if (run && isLive && !this.prompt.value && document.activeElement !== this.prompt) {
      this.prompt.value = run.previews[0]?.prompts[0] ?? "";
    }
  }

  /** @param {any} event `bakery.try` */
  showTry(event) {
    this.tryPicture.hidden = false;
    this.tryPicture.src = event.picture;
    this.tryPicture.alt = this.t("preview", { step: event.step, prompt: event.prompt });
    setText(this.tryCaption, this.t("try_caption", { step: event.step, seed: event.seed, strength: short(event.strength) }));
  }

  /** @param {string} name */
  #press(name) {
    if (this.#state === "stopping") return undefined;
    const factor = RATE_FACTORS[/** @type {keyof typeof RATE_FACTORS} */ (name)];
    if (factor) return this.#run("rate", { factor });
    return this.#run(name === "pause" && this.#state === "paused" ? "resume" : name);
  }

  async #try() {
    setText(this.tryCaption, this.t("try_waiting"));
    const isSent = await this.#run("try", {
      prompt: this.prompt.value, seed: Math.max(0, Math.floor(this.seed.valueAsNumber || 0)),
      strength: Number.isFinite(this.strength.valueAsNumber) ? this.strength.valueAsNumber : 1,
    });
    if (!isSent) setText(this.tryCaption, "");
  }

  /** @param {string} command @param {object} [values] @returns {Promise<boolean>} whether the server took it */
  async #run(command, values) {
    try {
      await this.send(command, values);
      this.message.hidden = true;
      return true;
    } catch (error) {
      setText(this.message, this.t("failed", { error: /** @type {Error} */ (error).message }));
      this.message.hidden = false;
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
  if (run.rate) parts.push(run.rate >= 1 ? t("speed", { rate: run.rate.toFixed(1) }) : t("seconds", { seconds: (1 / run.rate).toFixed(1) }));
  if (run.state !== "ended" && run.left != null) parts.push(t("left", { time: clock(run.left) }));
  const next = nextRate(run);
  if (run.learningRate != null) parts.push(t("lr", { rate: short(run.learningRate) }) + (next === null ? "" : ` → ${short(next)}`));
  if (run.state !== "ended" && run.memory) parts.push(t("memory", { gib: run.memory.toFixed(1) }));
  if (t(run.state)) parts.push(t(run.state));
  if (run.pick != null) parts.push(`★ ${run.pick}`);
  return parts.join(" · ");
}

/**
 * What of the run is on disk, and where; empty where nothing is.
 * @param {import("../shared/strings.js").Translate} t
 * @param {import("./run_model.js").Run} run
 * @returns {string}
 */
export function savedLine(t, { loras, file }) {
  const step = loras.at(-1);
  return step === undefined || !file ? "" : t("saved", { step, file });
}
