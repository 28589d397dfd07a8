// @ts-check
// "Try a prompt": a picture of the weights in training, of a prompt typed here.

import { element, keepKeys, setText } from "../shared/dom.js";
import { short } from "../shared/number_format.js";

/** What was typed for each run, until the page closes: a panel goes where a change is undone or another workflow comes. @type {Map<string, string[]>} */
const typed = new Map();

export class TryPrompt {
  #runKey = "";
  /** A picture was asked for; whether the run has said so, since when its silence means that there will be none. */
  #isWaiting = false;
  #isHeard = false;

  /**
   * @param {import("../shared/strings.js").Translate} t
   * @param {(values: {prompt: string, seed: number, strength: number}) => Promise<boolean>} send gives whether the server
   *   took it
   */
  constructor(t, send) {
    this.t = t;
    this.send = send;
    this.prompt = element("input", { type: "text", placeholder: t("try_prompt"), "aria-label": t("try_prompt"), class: "bakery-wide" });
    this.seed = element("input", { type: "number", min: 0, step: 1, value: 0, "aria-label": t("try_seed"), title: t("try_seed") });
    this.strength = element("input", { type: "number", min: -10, max: 10, step: 0.1, value: 1, "aria-label": t("try_strength"), title: t("try_strength") });
    this.picture = element("img", { alt: "", class: "bakery-try-picture", hidden: true });
    this.caption = element("div", { class: "bakery-hint" });
    const form = element("form", {
      class: "bakery-row", "aria-label": t("try_title"),
      onsubmit: (event) => {
        event.preventDefault();
        void this.#submit();
      },
      onkeydown: keepKeys, oninput: () => typed.set(this.#runKey, this.#fields.map(({ value }) => value)),
    }, this.prompt, this.seed, this.strength, element("button", { type: "submit", text: t("try_go") }));
    this.element = element("div", { class: "bakery-try", hidden: true }, form, element("div", { class: "bakery-try-shown" }, this.picture, this.caption));
  }

  get #fields() {
    return [this.prompt, this.seed, this.strength];
  }

  /** @param {import("./run_model.js").Run | null} run */
  show(run) {
    const key = run ? `${run.name}/${run.id}` : "";
    if (key !== this.#runKey) this.#clear(typed.get(key) ?? ["", this.seed.value, this.strength.value]);
    this.#runKey = key;
    const isLive = run !== null && run.state !== "ended";
    const isAwaited = isLive && run.waiting.includes("try");
    if (this.#isWaiting && (!isLive || (this.#isHeard && !isAwaited))) this.#endWaiting();
    this.#isHeard = this.#isWaiting && isAwaited;
    this.element.hidden = !isLive;
    if (isLive && !this.prompt.value && document.activeElement !== this.prompt) this.prompt.value = run.previews[0]?.prompts[0] ?? "";
  }

  /** Nothing of the run before is left. @param {string[]} values of the fields */
  #clear(values) {
    this.#endWaiting();
    this.picture.hidden = true;
    this.picture.removeAttribute("src");
    this.#fields.forEach((field, place) => (field.value = values[place]));
    setText(this.caption, "");
  }

  #endWaiting() {
    if (this.#isWaiting) setText(this.caption, "");
    this.#isWaiting = this.#isHeard = false;
  }

  /** @param {import("./run_model.js").TryEvent} event */
  showPicture(event) {
    this.#isWaiting = this.#isHeard = false;
    this.picture.hidden = false;
    this.picture.src = event.picture;
    this.picture.alt = this.t("preview", { step: event.step, prompt: event.prompt });
    setText(this.caption, this.t("try_caption", { step: event.step, seed: event.seed, strength: short(event.strength) }));
  }

  async #submit() {
    this.#isWaiting = true;
    setText(this.caption, this.t("try_waiting"));
    const isSent = await this.send({
      prompt: this.prompt.value, seed: Math.max(0, Math.floor(this.seed.valueAsNumber || 0)),
      strength: Number.isFinite(this.strength.valueAsNumber) ? this.strength.valueAsNumber : 1,
    });
    if (!isSent) this.#endWaiting();
  }
}
