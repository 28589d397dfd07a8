// @ts-check
// The tags of a dataset: chosen tags filter the images; a single chosen tag can be renamed or removed.

import { element, keepingFocus, keepKeys, setText } from "../shared/dom.js";

const MAX_SHOWN = 60;

export class TagBar {
  /** @type {Set<string>} */
  chosen = new Set();
  /** @type {Map<string, HTMLButtonElement>} */
  #buttons = new Map();
  /** The tag that the field is about: what is typed there stays while it does. */
  #edited = "";

  /**
   * @param {import("../shared/strings.js").Translate} t
   * @param {{choose: () => void, rename: (tag: string, name: string) => Promise<void>}} acts
   */
  constructor(t, acts) {
    this.t = t;
    this.acts = acts;
    this.list = element("div", { class: "bakery-tags", role: "group", "data-capture-wheel": "true", "aria-label": t("tags") });
    this.name = element("input", { type: "text", maxlength: 500, "aria-label": t("new_tag"), class: "bakery-wide", onkeydown: keepKeys });
    const button = (/** @type {string} */ key, /** @type {() => void} */ onclick) => element("button", { type: "button", text: t(key), onclick });
    this.actions = element("div", { class: "bakery-row", hidden: true }, this.name,
      button("rename_tag", () => this.#rename(this.name.value.trim())), button("remove_tag", () => this.#rename("")));
  }

  clear() {
    this.chosen.clear();
    this.#buttons.clear();
    this.list.replaceChildren();
    this.#showActions();
  }

  /** @param {Map<string, number>} counts */
  show(counts) {
    for (const tag of this.chosen) if (!counts.has(tag)) this.chosen.delete(tag);
    const sorted = [...counts].sort((a, b) => b[1] - a[1] || (a[0] < b[0] ? -1 : 1)).slice(0, MAX_SHOWN);
    const shown = new Set(sorted.map(([tag]) => tag));
    for (const [tag, button] of this.#buttons) {
      if (shown.has(tag)) continue;
      keepingFocus(this.list, () => button.remove(), () => this.#next());
      this.#buttons.delete(tag);
    }
    for (const [tag, count] of sorted) this.#showTag(tag, count); // those that are there stay where they are
    this.#showActions();
  }

  /** @param {string} tag @param {number} count */
  #showTag(tag, count) {
    const button = this.#buttons.get(tag) ?? element("button", { type: "button", class: "bakery-small", onclick: () => this.#toggle(tag) });
    if (!this.#buttons.has(tag)) this.list.append(button);
    this.#buttons.set(tag, button);
    setText(button, `${tag} ${count}`);
    button.setAttribute("aria-pressed", String(this.chosen.has(tag)));
  }

  /** @param {string} tag */
  #toggle(tag) {
    if (!this.chosen.delete(tag)) this.chosen.add(tag);
    this.#buttons.get(tag)?.setAttribute("aria-pressed", String(this.chosen.has(tag)));
    this.#showActions();
    this.acts.choose();
  }

  #showActions() {
    const [tag] = this.chosen;
    const isOne = this.chosen.size === 1;
    keepingFocus(this.actions, () => (this.actions.hidden = !isOne), () => this.#next());
    if (isOne && tag !== this.#edited) this.name.value = tag;
    this.#edited = isOne ? tag : "";
  }

  /** What has the keyboard where a tag or the field goes. @returns {HTMLElement | null} */
  #next() {
    return this.list.querySelector("button");
  }

  /** @param {string} name empty removes the tag */
  async #rename(name) {
    const tag = this.#edited;
    await this.acts.rename(tag, name);
  }
}
