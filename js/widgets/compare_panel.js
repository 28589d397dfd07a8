// @ts-check
// The pictures of a comparison on its node: large on click, blind votes between two, a ranking, a step to pick.

import { api } from "../lib/comfy.js";
import { element, setText } from "../lib/dom.js";
import { nextPair, ranking } from "../lib/ranking.js";
import { command } from "../lib/run_service.js";

const SUBFOLDER = "bakery_compare";

export class ComparePanel {
  /** @type {any} */
  #data = null;
  /** @type {import("../lib/ranking.js").Vote[]} */
  #votes = [];
  /** @type {{one: number, other: number}[]} */
  #shown = [];

  /** @param {import("../lib/strings.js").Translate} t */
  constructor(t) {
    this.t = t;
    this.empty = element("div", { class: "bakery-empty", text: t("compare_empty") });
    this.voteButton = element("button", { type: "button", text: t("vote"), title: t("vote_hint"), hidden: true, onclick: () => this.#vote() });
    this.gridButton = element("button", { type: "button", text: t("back"), hidden: true, onclick: () => this.#goBack() });
    this.message = element("div", { class: "bakery-message", role: "status" });
    this.body = element("div", { class: "bakery-compare-body" });
    this.rank = element("ol", { class: "bakery-rank", "aria-label": t("ranking"), hidden: true });
    this.element = element(
      "div", { class: "bakery bakery-panel bakery-compare", role: "group", "aria-label": t("compare_panel"), onkeydown: (/** @type {KeyboardEvent} */ event) => this.#onKey(event) },
      this.empty, element("div", { class: "bakery-row" }, this.voteButton, this.gridButton, this.message), this.rank, this.body,
    );
  }

  /** @param {any} data `bakery_compare` of the node's output */
  show(data) {
    this.#data = data;
    this.#votes = [];
    this.#shown = [];
    this.empty.hidden = true;
    this.#showGrid();
    this.#showRanking();
  }

  /** A row a LoRA, in the order drawn. */
  #showGrid() {
    const { loras, cells } = this.#data;
    this.voteButton.hidden = nextPair(cells, [], Math.random) === null;
    this.gridButton.hidden = true;
    this.body.replaceChildren(...loras.map((/** @type {string} */ name, /** @type {number} */ lora) => element("div", { class: "bakery-compare-row" },
      element("button", { type: "button", class: "bakery-small", text: name, title: this.t("pick"), disabled: this.#stepOf(lora) === null, onclick: () => this.#pick(lora) }),
      ...cells.filter((/** @type {any} */ cell) => cell.lora === lora).map((/** @type {any} */ cell) => this.#picture(cell, () => this.#enlarge(cell))))));
  }

  /** @param {any} cell @param {() => void} onclick @param {boolean} [isBlind] */
  #picture(cell, onclick, isBlind = false) {
    const src = api.apiURL(`/view?${new URLSearchParams({ filename: cell.file, subfolder: SUBFOLDER, type: "temp" })}`);
    const label = isBlind ? this.t("this_one") : `${this.#data.loras[cell.lora]}: ${this.#data.prompts[cell.key[0]]}`;
    return element("button", { type: "button", class: "bakery-compare-cell", "aria-label": label, title: label, onclick },
      element("img", { src, alt: "", loading: "lazy", decoding: "async" }));
  }

  #goBack() {
    setText(this.message, "");
    this.#showGrid();
    this.#showRanking();
  }

  #enlarge(cell) {
    this.voteButton.hidden = true;
    this.gridButton.hidden = false;
    this.body.replaceChildren(element("div", { class: "bakery-compare-large" }, this.#picture(cell, () => this.#showGrid())));
    this.body.querySelector("button")?.focus({ preventScroll: true });
  }

  #vote() {
    const { cells } = this.#data;
    const pair = nextPair(cells, this.#shown, Math.random);
    if (!pair) return;
    this.voteButton.hidden = true;
    this.gridButton.hidden = false;
    this.rank.hidden = true;
    setText(this.message, this.t("which", { prompt: this.#data.prompts[cells[pair.one].key[0]] }));
    this.body.replaceChildren(element("div", { class: "bakery-pair" },
      this.#picture(cells[pair.one], () => this.#count(pair, pair.one, pair.other), true),
      this.#picture(cells[pair.other], () => this.#count(pair, pair.other, pair.one), true)));
  }

  #count(pair, winner, loser) {
    const { cells } = this.#data;
    this.#shown.push(pair);
    this.#votes.push({ winner: cells[winner].lora, loser: cells[loser].lora });
    this.#vote();
  }

  #showRanking() {
    this.rank.hidden = !this.#votes.length;
    this.rank.replaceChildren(...ranking(this.#votes, this.#data.loras.length).map(({ index, share, wins, votes }) => element("li", {
      text: `${this.#data.loras[index]}: ${Math.round(share * 100)} % (${wins}/${votes})`,
    })));
  }

  /** @param {number} lora @returns {number | null} step of the run that a row shows */
  #stepOf(lora) {
    const match = this.#data.run && /^step (\d+)$/.exec(this.#data.loras[lora]);
    return match ? Number(match[1]) : null;
  }

  async #pick(lora) {
    const step = this.#stepOf(lora);
    try {
      await command(this.#data.run, "pick", { step });
      setText(this.message, `★ ${step}`);
    } catch (error) {
      setText(this.message, this.t("failed", { error: /** @type {Error} */ (error).message }));
    }
  }

  /** Arrow keys choose between the two pictures of a vote. @param {KeyboardEvent} event */
  #onKey(event) {
    const pair = this.body.querySelectorAll(".bakery-pair button");
    const index = { ArrowLeft: 0, ArrowRight: 1 }[event.key];
    if (!pair.length || index === undefined) return;
    event.preventDefault();
    event.stopPropagation();
    pair[index].click();
    this.gridButton.focus({ preventScroll: true });
  }
}
