// @ts-check
// The pictures of a comparison on its node: large on click, one to choose, blind votes between two, a ranking.

import { candidates, cellTitle, loraName, verdict, votesByLora } from "./compare_model.js";
import { getComparison, pictureUrl, saveChoice, saveVotes } from "./compare_service.js";
import { element, setText } from "../shared/dom.js";
import { move } from "../train/preview_grid.js";
import { nextPair, ranking } from "./ranking.js";
import { command } from "../train/run_service.js";

const THUMBNAIL = 192;

export class ComparePanel {
  /** @type {any} */
  #data = null;
  /** Index of the cell that is shown large. @type {number | null} */
  #large = null;
  /** Cell of the grid that Tab reaches; arrow keys lead to the others. */
  #focus = { column: 0, row: 0 };
  #request = 0;

  /**
   * @param {import("../shared/strings.js").Translate} t
   * @param {() => void} onShown called when there is something to see
   */
  constructor(t, onShown) {
    this.t = t;
    this.onShown = onShown;
    this.empty = element("div", { class: "bakery-empty", text: t("compare_empty") });
    const button = (/** @type {string} */ key, /** @type {() => void} */ onclick, /** @type {string} */ hint = "") =>
      element("button", { type: "button", text: t(key), title: hint && t(hint), hidden: true, onclick });
    this.voteButton = button("vote", () => this.#vote(), "vote_hint");
    this.undoButton = button("undo_vote", () => void this.#saveVotes(this.#data.votes.slice(0, -1)).then(() => this.#vote()));
    this.gridButton = button("back", () => this.#showGrid());
    this.chooseButton = button("choose", () => void this.#choose(), "choose_hint");
    this.message = element("div", { class: "bakery-message", role: "status" });
    this.title = element("div", { class: "bakery-compare-title" });
    this.body = element("div", { class: "bakery-compare-body" });
    this.rank = element("ol", { class: "bakery-rank", "aria-label": t("ranking"), hidden: true });
    this.element = element(
      "div", { class: "bakery bakery-panel bakery-compare", role: "group", "aria-label": t("compare_panel"), onkeydown: (/** @type {KeyboardEvent} */ event) => this.#onKey(event) },
      this.empty, element("div", { class: "bakery-row" }, this.voteButton, this.gridButton, this.chooseButton, this.undoButton, this.message),
      this.title, this.rank, this.body,
    );
  }

  /** Shows a comparison by its id; nothing where the server does not have it (any more). @param {string} id */
  async load(id) {
    const request = ++this.#request;
    const data = await getComparison(id).catch(() => null);
    if (request !== this.#request || !data) return;
    this.#data = data;
    this.#focus = { column: 0, row: 0 };
    this.empty.hidden = true;
    this.#showGrid();
    this.onShown();
  }

  /** @param {Record<string, boolean>} shown which buttons; @param {string} [title] */
  #arrange({ vote = false, back = false, choose = false, undo = false, rank = false }, title = "") {
    this.voteButton.hidden = !vote;
    this.gridButton.hidden = !back;
    this.chooseButton.hidden = !choose;
    this.undoButton.hidden = !undo;
    this.rank.hidden = !rank;
    setText(this.title, title);
    setText(this.message, "");
  }

  /** A row a LoRA. */
  #showGrid() {
    const { loras, cells, votes } = this.#data;
    const before = this.#large;
    this.#large = null;
    this.#arrange({ vote: nextPair(candidates(cells), [], Math.random) !== null, rank: votes.length > 0 });
    this.#showRanking();
    const rows = loras.map((/** @type {string} */ _, /** @type {number} */ lora) => {
      const name = loraName(this.#data, lora, this.t);
      const { text, isOverfit } = verdict(this.#data, lora, this.t);
      const label = element("div", { class: "bakery-compare-label" }, element("div", { text: name, title: name }), element("div", { class: isOverfit ? "bakery-warning" : "bakery-hint", text }));
      const pictures = cells.flatMap((/** @type {any} */ cell, /** @type {number} */ index) => (cell.lora === lora ? [this.#picture(index, () => this.#enlarge(index))] : []));
      return element("div", { class: "bakery-compare-row", role: "row" }, label, ...pictures);
    });
    this.body.replaceChildren(element("div", { role: "grid", "aria-label": this.t("compare_panel") }, ...rows));
    this.#showFocus();
    if (before !== null) this.body.querySelector(`[data-cell="${before}"]`)?.focus({ preventScroll: true });
  }

  /** @returns {HTMLButtonElement[][]} the cells of the grid; none while something else is shown */
  #grid() {
    return [...this.body.querySelectorAll(".bakery-compare-row")].map((row) => [...row.querySelectorAll("button")]);
  }

  #showFocus() {
    this.#grid().forEach((cells, row) => cells.forEach((cell, column) => {
      cell.tabIndex = row === this.#focus.row && column === this.#focus.column ? 0 : -1;
      cell.onfocus = () => {
        if (cell.tabIndex === 0) return;
        this.#focus = { column, row };
        this.#showFocus();
      };
    }));
  }

  /** @param {number} index @param {() => void} onclick @param {{isBlind?: boolean, size?: number}} [options] */
  #picture(index, onclick, { isBlind = false, size = THUMBNAIL } = {}) {
    const cell = this.#data.cells[index];
    const title = isBlind ? this.t("this_one") : cellTitle(this.#data, cell, this.t);
    const button = element("button", { type: "button", class: "bakery-compare-cell", "aria-label": title, title, onclick, "data-cell": isBlind ? null : index },
      element("img", { src: pictureUrl(this.#data.id, cell.file, size), alt: "", loading: "lazy", decoding: "async" }));
    button.classList.toggle("bakery-picked", !isBlind && this.#data.choice === index);
    return button;
  }

  /** @param {number} index */
  #enlarge(index) {
    this.#large = index;
    this.#arrange({ back: true, choose: true }, cellTitle(this.#data, this.#data.cells[index], this.t));
    this.#showChoice();
    this.body.replaceChildren(element("div", { class: "bakery-compare-large" }, this.#picture(index, () => this.#showGrid(), { size: 0 })));
    this.body.querySelector("button")?.focus({ preventScroll: true });
  }

  #showChoice() {
    const isChosen = this.#large === this.#data.choice;
    setText(this.chooseButton, this.t(isChosen ? "chosen" : "choose"));
    this.chooseButton.setAttribute("aria-pressed", String(isChosen));
    this.body.querySelector(`[data-cell="${this.#large}"]`)?.classList.toggle("bakery-picked", isChosen);
  }

  /** The node gives out the LoRA of the chosen cell; a step of a run is picked there too. */
  async #choose() {
    const { id, choice, run, steps, cells } = this.#data;
    const index = /** @type {number} */ (this.#large);
    const isTaken = choice !== index;
    await this.#attempt(async () => {
      this.#data = await saveChoice(id, isTaken ? index : null);
      const step = steps[cells[index].lora];
      if (run && step !== null) await command(run, "pick", { step: isTaken ? step : null });
    });
    this.#showChoice();
  }

  #vote() {
    const { cells, votes, prompts } = this.#data;
    const shown = votes.map(([one, other]) => ({ one, other }));
    const pair = nextPair(candidates(cells), shown, Math.random);
    if (!pair) return;
    this.#large = null;
    this.#arrange({ back: true, undo: votes.length > 0 }, this.t("which", { prompt: prompts[cells[pair.one].prompt] }));
    const choice = (/** @type {number} */ winner, /** @type {number} */ loser) => this.#picture(winner, () => this.#count(winner, loser), { isBlind: true, size: 512 });
    const both = element("div", { class: "bakery-pair", tabindex: -1 }, choice(pair.one, pair.other), choice(pair.other, pair.one));
    this.body.replaceChildren(both);
    both.focus({ preventScroll: true }); // so that the arrow keys choose
  }

  /** @param {number} winner @param {number} loser */
  async #count(winner, loser) {
    await this.#saveVotes([...this.#data.votes, [winner, loser]]);
    this.#vote();
  }

  /** @param {[number, number][]} votes */
  #saveVotes(votes) {
    return this.#attempt(async () => {
      this.#data = await saveVotes(this.#data.id, votes);
    });
  }

  #showRanking() {
    const { votes, cells, loras } = this.#data;
    this.rank.replaceChildren(...ranking(votesByLora(votes, cells), loras.length).map(({ index, share, wins, votes: count }) => element("li", {
      text: `${loraName(this.#data, index, this.t)}: ${Math.round(share * 100)} % (${wins}/${count})`,
    })));
  }

  /** @param {() => Promise<void>} act */
  async #attempt(act) {
    try {
      await act();
    } catch (error) {
      setText(this.message, this.t("failed", { error: /** @type {Error} */ (error).message }));
    }
  }

  /** What a key does in the grid, beside a large picture, or in a vote. @param {KeyboardEvent} event */
  #onKey(event) {
    const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    const pair = this.body.querySelectorAll(".bakery-pair button");
    const isInBody = this.body.contains(/** @type {Node} */ (event.target));
    if (pair.length && step !== undefined) pair[step < 0 ? 0 : 1].click();
    else if (this.#large !== null && step !== undefined) {
      const count = this.#data.cells.length;
      this.#enlarge((this.#large + step + count) % count);
    } else if (this.#large !== null && event.key === "Enter" && isInBody) void this.#choose();
    else if ((this.#large !== null || pair.length) && event.key === "Escape") this.#showGrid();
    else if (!isInBody || !this.#moveInGrid(event.key)) return;
    event.preventDefault();
    event.stopPropagation();
  }

  /** @param {string} key @returns {boolean} whether it leads to another cell */
  #moveInGrid(key) {
    const grid = this.#grid();
    const place = grid.length ? move(this.#focus, key, grid[0].length, grid.length) : null;
    if (!place) return false;
    grid[place.row][Math.min(place.column, grid[place.row].length - 1)].focus();
    return true;
  }
}
