// @ts-check
// A dataset on its node: pictures with captions to edit, tags, images dropped in. Knows a folder, not the node.

import { element, focused, keepingFocus, keepPlainKeys, notesElement, setText } from "../shared/dom.js";
import { afterPress } from "../shared/press.js";
import { filtered, markCounts, sharersOf } from "./dataset_model.js";
import * as service from "./dataset_service.js";
import { FileAdder } from "./file_adder.js";
import { ImageRow, MARKS } from "./image_row.js";
import { RowList } from "./row_list.js";
import { sessionOf } from "./sessions.js";
import { TagBar } from "./tag_bar.js";

/**
 * @typedef {import("./dataset_session.js").DatasetSession} DatasetSession
 * @typedef {import("./dataset_model.js").Entry} Entry
 * @typedef {import("./dataset_model.js").Source} Source
 */

export class DatasetPanel {
  /** @type {DatasetSession | null} */
  #session = null;
  /** By name. @type {Map<string, ImageRow>} */
  #rows = new Map();
  /** Names of the images that the chosen tags have brought; one whose caption changes stays in sight. @type {Set<string>} */
  #brought = new Set();
  #unsubscribe = () => {};
  /** A pointer is down: what it is over must not move, or the click is lost. */
  #isHeld = false;
  #isOutdated = false;
  #numEdits = 0;

  /**
   * @param {import("../shared/strings.js").Translate} t
   * @param {() => void} onChange called after what is shown has changed
   */
  constructor(t, onChange) {
    this.t = t;
    this.onChange = onChange;
    this.status = element("div", { class: "bakery-status", role: "status", tabindex: -1 });
    this.undoButton = element("button", { type: "button", text: t("undo"), "aria-disabled": "true", onclick: () => this.#undo() });
    this.adder = new FileAdder(t, () => this.#session);
    this.message = element("div", { class: "bakery-message", role: "alert", hidden: true });
    this.notes = notesElement();
    this.tags = new TagBar(t, { choose: () => this.#filter(), rename: (tag, name) => this.#rename(tag, name) });
    this.list = new RowList();
    this.hint = element("div", { class: "bakery-hint" });
    /** @type {HTMLElement} */
    this.element = element(
      "div",
      {
        class: "bakery bakery-panel bakery-dataset", role: "group", "aria-label": t("dataset"), onkeydown: keepPlainKeys,
        ...this.adder.listeners, onpointerdown: ({ button }) => button === 0 && this.#hold(),
      },
      element("div", { class: "bakery-row" }, this.status, this.adder.button, this.undoButton, this.adder.input),
      this.message, this.notes, this.tags.list, this.tags.actions, this.list.element, this.hint,
    );
  }

  /**
   * @param {Source | null} source
   * @param {string} [why] nothing is shown
   */
  show(source, why = "") {
    const session = source && sessionOf(source, service);
    if (session === this.#session && session) return;
    this.#leave();
    this.#session = session;
    this.undoButton.hidden = !session;
    this.adder.show();
    if (!session) return this.#showNothing(why);
    setText(this.hint, this.t("drop", { folder: `input/${session.source.folder}` }));
    this.#numEdits = session.numEdits;
    this.#unsubscribe = session.subscribe(() => this.#render());
    this.#render();
    void session.load();
  }

  /** @param {string} why */
  #showNothing(why) {
    setText(this.status, why);
    setText(this.hint, "");
    this.message.hidden = true;
  }

  /** What was typed goes where it was shown; then nothing of the folder is left. */
  #leave() {
    for (const row of this.#rows.values()) void row.save();
    this.#unsubscribe();
    this.#session = null;
    keepingFocus(this.element, () => {
      this.#rows.clear();
      this.list.clear();
      this.tags.clear();
    }, () => this.status);
    this.setNotes([]);
  }

  /** Writes what is typed, and stops listening. */
  remove() {
    this.#leave();
  }

  /** Writes what is typed. */
  flush() {
    for (const row of this.#rows.values()) void row.save();
  }

  /** Reads the folder again. */
  load() {
    return this.#session?.load();
  }

  /** @param {string[]} notes what the node found in the folder when it ran; true until something is changed */
  setNotes(notes) {
    setText(this.notes, notes.join("\n"));
    this.notes.hidden = !notes.length;
  }

  /** Until the pointer is up and has clicked, nothing moves. */
  #hold() {
    this.#isHeld = true;
    afterPress(() => {
      this.#isHeld = false;
      if (this.#isOutdated) this.#render();
    });
  }

  #filter() {
    this.#brought.clear();
    this.#render();
  }

  #render() {
    this.#isOutdated = this.#isHeld;
    const session = this.#session;
    if (!session || this.#isHeld) return;
    if (session.numEdits !== this.#numEdits) this.setNotes([]);
    this.#numEdits = session.numEdits;
    const problems = [session.unread && this.t("failed", { error: session.unread }), session.message && this.t(session.isUndoRefused ? "undo_refused" : "failed", { error: session.message }), session.note, ...session.problems];
    setText(this.message, problems.filter(Boolean).join("\n"));
    this.message.hidden = !this.message.textContent;
    this.undoButton.setAttribute("aria-disabled", String(session.history.isEmpty));
    this.tags.show(session.tags);
    this.#showImages(session);
    this.onChange();
  }

  /** @param {DatasetSession} session */
  #showImages({ entries, total, exists, isLoaded }) {
    for (const { name } of filtered(entries, this.tags.chosen)) this.#brought.add(name);
    const shown = this.tags.chosen.size ? entries.filter((entry) => this.#brought.has(entry.name)) : entries;
    this.#showStatus(shown.length, entries.length, total, exists, isLoaded);
    this.#showRows(shown, entries);
  }

  /** @param {number} shown @param {number} count @param {number} total @param {boolean} exists @param {boolean} isLoaded */
  #showStatus(shown, count, total, exists, isLoaded) {
    const marked = markCounts(this.#session?.entries ?? []);
    const counted = shown === total ? this.t("images", { count: total }) : this.t("filtered", { shown, count: total });
    const parts = [counted, ...MARKS.filter((mark) => marked[mark]).map((mark) => `${this.t(`mark_${mark}`)} ${marked[mark]}`)];
    if (count < total) parts.push(this.t("first_only", { count }));
    setText(this.status, !isLoaded ? "" : exists ? parts.join(" · ") : this.t("no_folder"));
  }

  /** Rows stay while their images do. @param {Entry[]} shown @param {Entry[]} entries */
  #showRows(shown, entries) {
    const [names, wanted] = [new Set(entries.map(({ name }) => name)), new Set(shown.map(({ name }) => name))];
    const sharers = sharersOf(entries);
    for (const entry of shown) this.#followRename(entry.name, names);
    for (const [name, row] of this.#rows) {
      if (wanted.has(name)) continue;
      void row.save();
      if (row.element.contains(focused())) this.status.focus({ preventScroll: true }); // else keys reach the canvas
      this.#rows.delete(name);
    }
    this.list.show(shown, (entry) => {
      const row = this.#rows.get(entry.name) ?? new ImageRow(this.t, /** @type {DatasetSession} */ (this.#session), entry);
      this.#rows.set(entry.name, row);
      row.update(entry, sharers.get(entry.name) ?? []);
      return row;
    });
  }

  /** An image that is left out, or put back, has another name. @param {string} name @param {Set<string>} names of all */
  #followRename(name, names) {
    const old = this.#session?.renamed.get(name);
    const row = old === undefined || names.has(old) || this.#rows.has(name) ? undefined : this.#rows.get(old);
    if (!row) return;
    this.#rows.delete(/** @type {string} */ (old));
    this.#rows.set(name, row);
  }

  /** @param {string} tag @param {string} name */
  async #rename(tag, name) {
    if (tag === name) return;
    await this.#session?.change("tag", { tag, new: name });
  }

  async #undo() {
    if (this.#session && !this.#session.history.isEmpty) await this.#session.undo();
  }
}
