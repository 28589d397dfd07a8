// @ts-check
// One preview enlarged over the page: flip between steps, compare two with a divider, pick a step.

import { move } from "../shared/arrow_keys.js";
import { element, focused, keepFocus, setText } from "../shared/dom.js";
import { rowName } from "./run_model.js";
import { previewUrl } from "./run_service.js";

export class PreviewOverlay {
  /** @type {HTMLElement | null} */
  #returnFocus = null;
  #divider = 0;
  #isFlipped = false;

  /**
   * @param {import("../shared/strings.js").Translate} t
   * @param {() => import("./run_model.js").Run | null} getRun
   * @param {(pick: {step: number | null, was?: number}) => Promise<void>} onPick `was`: only that step is taken back
   * @param {() => HTMLElement} nextFocus what has the keyboard afterwards, where the cell that was opened has gone
   */
  constructor(t, getRun, onPick, nextFocus) {
    this.t = t;
    this.getRun = getRun;
    this.onPick = onPick;
    this.nextFocus = nextFocus;
    this.position = { column: 0, row: 0 };
    this.reference = 0;
    this.title = element("div", { class: "bakery-overlay-title" });
    this.picture = element("img", { alt: "", draggable: "false" });
    this.other = element("img", { alt: "", draggable: "false", class: "bakery-other" });
    this.slider = element("div", {
      class: "bakery-divider", role: "slider", tabindex: 0, "aria-label": t("divider"),
      "aria-valuemin": 0, "aria-valuemax": 100,
    });
    this.stage = element("div", {
      class: "bakery-stage", onpointerdown: (event) => this.#drag(event),
      onpointermove: (event) => event.buttons && this.#drag(event),
    }, this.picture, this.other, this.slider);
    this.select = element("select", { "aria-label": t("compare"), onchange: () => this.#compareWith() });
    this.message = element("span", { class: "bakery-message", role: "status" });
    this.pickButton = element("button", { type: "button", class: "bakery-primary", onclick: () => this.#pick() });
    const close = element("button", { type: "button", text: t("close"), onclick: () => this.close() });
    const compare = element("label", {}, `${t("compare")} `, this.select);
    /** @type {HTMLElement} */
    this.element = element(
      "div",
      {
        class: "bakery bakery-overlay", role: "dialog", "aria-modal": "true", "aria-label": t("strip"),
        onkeydown: (event) => this.#onKey(event),
        onpointerdown: (event) => event.target === this.element && this.close(),
      },
      element("div", { class: "bakery-overlay-frame" }, this.title, this.stage,
        element("div", { class: "bakery-row" }, compare, this.pickButton, close, this.message),
        element("div", { class: "bakery-hint", text: t("flip") })),
    );
  }

  get set() {
    return this.getRun()?.previews[0] ?? null;
  }

  /** @param {number} column @param {number} row */
  open(column, row) {
    if (!this.set) return;
    this.#returnFocus = focused();
    this.position = { column, row };
    this.reference = this.set.steps[0];
    this.#divider = 0;
    this.#isFlipped = false;
    document.body.append(this.element);
    this.refresh();
    this.slider.focus();
  }

  close() {
    this.element.remove();
    const back = this.#returnFocus?.isConnected === false ? this.nextFocus() : this.#returnFocus;
    back?.focus?.({ preventScroll: true });
    this.#returnFocus = null;
  }

  /** Shows the run as it is now; does nothing while closed. */
  refresh() {
    const [run, set] = [this.getRun(), this.set];
    if (!this.element.isConnected || !run || !set) return;
    // Other prompts may have been drawn meanwhile.
    this.position = { column: Math.min(this.position.column, set.steps.length - 1), row: Math.min(this.position.row, set.prompts.length - 1) };
    if (!set.steps.includes(this.reference)) this.reference = set.steps[0];
    const step = set.steps[this.position.column];
    const url = (/** @type {number} */ shown) => previewUrl(run, set.key, shown, this.position.row);
    setSource(this.picture, url(this.#isFlipped ? this.reference : step));
    setSource(this.other, url(this.reference));
    this.stage.style.aspectRatio = `${set.width} / ${set.height}`;
    this.stage.style.setProperty("--aspect", String(set.width / set.height));
    const shown = this.#shown ?? step;
    const name = shown === 0 ? `${shown} (${this.t("base")})` : String(shown);
    setText(this.title, this.t("preview", { step: name, prompt: rowName(set, this.position.row) }));
    this.#showOptions(set.steps);
    this.#showPick(run, shown);
    this.#showDivider();
  }

  /** @param {number[]} steps */
  #showOptions(steps) {
    if ([...this.select.options].map(({ value }) => value).join() !== steps.join()) {
      this.select.replaceChildren(...steps.map((step) => element("option", { value: step, text: String(step) })));
    }
    this.select.value = String(this.reference);
  }

  /** @param {import("./run_model.js").Run} run @param {number} step */
  #showPick(run, step) {
    const isSaved = run.loras.includes(step);
    this.pickButton.disabled = !isSaved;
    setText(this.pickButton, this.t(!isSaved ? "not_saved" : run.pick === step ? "unpick" : "pick"));
  }

  #compareWith() {
    this.reference = Number(this.select.value);
    if (this.#divider === 0) this.#divider = 50;
    this.refresh();
  }

  /** @param {PointerEvent} event */
  #drag(event) {
    const box = this.stage.getBoundingClientRect();
    this.#moveDivider(Math.round(((event.clientX - box.left) / box.width) * 100));
  }

  /** @param {number} percent of the width that shows the other step */
  #moveDivider(percent) {
    this.#divider = Math.max(0, Math.min(100, percent));
    this.refresh(); // which step is on the screen, and is picked, may be another now
  }

  #showDivider() {
    this.stage.style.setProperty("--divider", `${this.#divider}%`);
    this.slider.setAttribute("aria-valuenow", String(this.#divider));
  }

  /** The step that is on the screen: what is picked. @returns {number | undefined} */
  get #shown() {
    return this.#isFlipped || this.#divider === 100 ? this.reference : this.set?.steps[this.position.column];
  }

  async #pick() {
    const [run, step] = [this.getRun(), this.#shown];
    if (!run || step === undefined || !run.loras.includes(step)) return;
    const picture = this.#divider === 100 ? this.other : this.picture;
    await picture.decode().catch(() => {}); // until it is there, the one before it is on the screen
    if (this.#shown !== step) return;
    try {
      await this.onPick(run.pick === step ? { step: null, was: step } : { step });
      setText(this.message, "");
    } catch (error) {
      setText(this.message, this.t("failed", { error: /** @type {Error} */ (error).message }));
    }
    this.refresh();
  }

  /** @param {KeyboardEvent} event */
  #onKey(event) {
    event.stopPropagation(); // the canvas has keys of its own
    const { target } = event;
    if (event.key === "Escape") return this.close();
    if (event.key === "Tab") return keepFocus(this.element, event);
    if (event.key === "Enter" && event.repeat) return event.preventDefault(); // held, it would pick and take back in turn
    if (target instanceof HTMLSelectElement || !this.set) return;
    const isButton = target instanceof HTMLButtonElement;
    const place = move(this.position, event.key, this.set.steps.length, this.set.prompts.length);
    if (target === this.slider && event.shiftKey && place) this.#moveDivider(this.#divider + (event.key === "ArrowLeft" ? -5 : 5));
    else if (place) {
      this.position = place;
      this.#isFlipped = false;
    } else if (event.key === " " && !isButton) this.#isFlipped = !this.#isFlipped;
    else if (event.key === "Enter" && !isButton) void this.#pick();
    else return;
    event.preventDefault();
    this.refresh();
  }
}

/** Until a picture is there, the browser shows the one before it: that is dimmed. @param {HTMLImageElement} image @param {string} url */
function setSource(image, url) {
  if (image.getAttribute("src") === url) return;
  image.classList.add("bakery-awaited");
  image.onload = image.onerror = () => image.classList.remove("bakery-awaited");
  image.setAttribute("src", url);
}
