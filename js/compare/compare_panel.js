// @ts-check
// The pictures of a comparison on its node: large on click, one to choose, blind votes between two, a ranking.

import { candidates, cellTitle, loraName, verdict, votesByLora } from "./compare_model.js";
import { addVote, getComparison, pictureUrl, saveChoice, takeBackVote } from "./compare_service.js";
import { move } from "../shared/arrow_keys.js";
import { element, keepingFocus, keepPlainKeys, setText } from "../shared/dom.js";
import { Refusal, steerRun } from "../shared/server.js";
import { nextPair, ranking } from "./ranking.js";

const THUMBNAIL = 192;
const RETRY_MS = 5000;

export class ComparePanel {
  /** @type {import("./compare_model.js").Comparison} set before anything is shown */
  #data = /** @type {any} */ (null);
  /** Index of the cell that is shown large. @type {number | null} */
  #large = null;
  /** Cell of the grid that Tab reaches; arrow keys lead to the others. */
  #focus = { column: 0, row: 0 };
  #request = 0;
  #isSaving = false;

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
    this.undoButton = button("undo_vote", () => void this.#takeBack());
    this.gridButton = button("back", () => this.#showGrid());
    this.chooseButton = button("choose", () => void this.#choose(), "choose_hint");
    this.message = element("div", { class: "bakery-message", role: "status", tabindex: -1 });
    this.title = element("div", { class: "bakery-compare-title" });
    this.body = element("div", { class: "bakery-compare-body", "data-capture-wheel": "true" });
    this.rank = element("ol", { class: "bakery-rank", "data-capture-wheel": "true", "aria-label": t("ranking"), hidden: true });
    this.element = element(
      "div", { class: "bakery bakery-panel bakery-compare", role: "group", "aria-label": t("compare_panel"), onkeydown: (event) => this.#onKey(event) },
      this.empty, element("div", { class: "bakery-row" }, this.voteButton, this.gridButton, this.chooseButton, this.undoButton, this.message),
      this.title, this.rank, this.body,
    );
  }

  /** Shows a comparison by its id; nothing where the server does not have it (any more). @param {string} id */
  async load(id) {
    const request = ++this.#request;
    try {
      const data = await getComparison(id);
      if (request !== this.#request) return;
      this.#data = data;
      this.#focus = { column: 0, row: 0 };
      this.empty.hidden = true;
      this.#showGrid();
      this.onShown();
    } catch (error) {
      if (request === this.#request) this.#fail(id, /** @type {Error} */ (error));
    }
  }

  /** Nothing of another comparison stays; an answer that failed is said and asked for again. @param {string} id @param {Error} error */
  #fail(id, error) {
    const [isGone, request] = [error instanceof Refusal && error.status === 404, this.#request];
    if (this.#data?.id !== id) {
      this.#large = null;
      keepingFocus(this.element, () => {
        this.#arrange({});
        this.body.replaceChildren();
      }, () => this.message);
      this.empty.hidden = !isGone;
    }
    if (isGone) return;
    setText(this.message, this.t("failed", { error: error.message }));
    setTimeout(() => request === this.#request && void this.load(id), RETRY_MS);
  }

  /** The panel is of no use afterwards. */
  remove() {
    this.#request++;
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

  /** The keyboard goes from a large picture to its cell, and from elsewhere in the panel to the cell that Tab reaches. */
  #showGrid() {
    const large = this.#large;
    const cell = (/** @type {string} */ which) => /** @type {HTMLElement | null} */ (this.body.querySelector(which));
    keepingFocus(this.element, () => this.#fillGrid(), () => cell(`[data-cell="${large}"]`) ?? cell("[tabindex='0']"));
  }

  /** One row per LoRA. */
  #fillGrid() {
    const { loras, cells, votes } = this.#data;
    this.#large = null;
    this.#arrange({ vote: nextPair(candidates(cells), [], Math.random) !== null, rank: votes.length > 0 });
    this.#showRanking();
    const rows = loras.map((_, lora) => {
      const name = loraName(this.#data, lora, this.t);
      const { text, isOverfit } = verdict(this.#data, lora, this.t);
      const label = element("div", { class: "bakery-compare-label", role: "rowheader" }, element("div", { text: name, title: name }), element("div", { class: isOverfit ? "bakery-warning" : "bakery-hint", text }));
      const pictures = cells.flatMap((cell, index) => (cell.lora === lora ? [this.#picture(index, () => this.#enlarge(index), { isInGrid: true })] : []));
      return element("div", { class: "bakery-compare-row", role: "row" }, label, ...pictures);
    });
    this.body.replaceChildren(element("div", { role: "grid", "aria-label": this.t("compare_panel") }, ...rows));
    this.#showFocus();
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

  /** @param {number} index @param {() => void} onclick @param {{isBlind?: boolean, isInGrid?: boolean, size?: number}} [options] */
  #picture(index, onclick, { isBlind = false, isInGrid = false, size = THUMBNAIL } = {}) {
    const cell = this.#data.cells[index];
    const title = isBlind ? this.t("this_one") : cellTitle(this.#data, cell, this.t);
    const button = element("button", { type: "button", class: "bakery-compare-cell", role: isInGrid ? "gridcell" : null, "aria-label": title, title, onclick, "data-cell": isBlind ? null : index },
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
    const index = this.#large;
    if (index === null) return; // another comparison has come
    const isTaken = choice !== index;
    await this.#change(async () => {
      this.#take(await saveChoice(id, isTaken ? index : null, choice));
      const step = steps[cells[index].lora];
      // Another step may have been picked on the run since: that pick stays.
      if (run && step !== null) await steerRun(run, "pick", isTaken ? { step } : { step: null, was: step });
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

  /** A vote counts once both pictures are there to be seen. @param {number} winner @param {number} loser */
  async #count(winner, loser) {
    const pictures = /** @type {NodeListOf<HTMLImageElement>} */ (this.body.querySelectorAll(".bakery-pair img"));
    const isSeen = Promise.all([...pictures].map((picture) => picture.decode()));
    await this.#changeVotes((id) => isSeen.then(() => addVote(id, [winner, loser])));
  }

  async #takeBack() {
    const last = this.#data.votes.at(-1);
    if (last) await this.#changeVotes((id) => takeBackVote(id, last));
  }

  /** The next pair comes once the vote is kept; where it is not, that is said and the pair stays. @param {(id: string) => Promise<any>} change */
  async #changeVotes(change) {
    const { id } = this.#data;
    const isDone = await this.#change(async () => this.#take(await change(id)));
    if (isDone && this.#data.id === id) this.#vote();
  }

  #showRanking() {
    const { votes, cells, loras } = this.#data;
    this.rank.replaceChildren(...ranking(votesByLora(votes, cells), loras.length).map(({ index, share, wins, votes: count }) => element("li", {
      text: `${loraName(this.#data, index, this.t)}: ${Math.round(share * 100)} % (${wins}/${count})`,
    })));
  }

  /** An answer about a comparison that is not shown any more changes nothing. @param {import("./compare_model.js").Comparison} data */
  #take(data) {
    if (data.id === this.#data.id) this.#data = data;
  }

  /** One change at a time: the next one is based on what it leaves. @param {() => Promise<any>} act @returns {Promise<boolean>} whether it worked */
  async #change(act) {
    if (this.#isSaving) return false;
    this.#isSaving = true;
    const { id } = this.#data;
    let message = "";
    try {
      await act();
    } catch (error) {
      if (error instanceof Refusal && error.answer.comparison) this.#take(error.answer.comparison); // another tab was quicker
      message = this.t("failed", { error: /** @type {Error} */ (error).message });
    }
    this.#isSaving = false;
    if (this.#data.id === id) setText(this.message, message);
    return !message;
  }

  /** What a key does in the grid, beside a large picture, or in a vote. @param {KeyboardEvent} event */
  #onKey(event) {
    const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    const pair = /** @type {NodeListOf<HTMLElement>} */ (this.body.querySelectorAll(".bakery-pair button"));
    const isInBody = this.body.contains(/** @type {Node} */ (event.target));
    if (pair.length && step !== undefined) {
      if (!event.repeat) pair[step < 0 ? 0 : 1].click(); // a key that is held would vote for pictures nobody saw
    } else if (this.#large !== null && step !== undefined) {
      const count = this.#data.cells.length;
      this.#enlarge((this.#large + step + count) % count);
    } else if (this.#large !== null && event.key === "Enter" && isInBody && !event.repeat) void this.#choose();
    else if ((this.#large !== null || pair.length) && event.key === "Escape") this.#showGrid();
    else if (!isInBody || !this.#moveInGrid(event.key)) return keepPlainKeys(event);
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
