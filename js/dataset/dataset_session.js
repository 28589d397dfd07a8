// @ts-check
// A folder while it is edited: its images, unsaved captions, undo. Knows the server, not the page.

import { Refusal } from "../shared/server.js";
import { movesBetween, recount } from "./dataset_model.js";
import { History, inverse } from "./history.js";

/**
 * @typedef {import("./dataset_model.js").Entry} Entry
 * @typedef {import("./dataset_model.js").Source} Source
 * @typedef {import("./history.js").Edit} Edit
 *
 * @typedef {object} Draft a caption that was typed and is not written yet
 * @property {string} text
 * @property {string} version what it is based on
 *
 * @typedef {object} Service
 * @property {(source: Source) => Promise<any>} getDataset
 * @property {(source: Source, action: string, values: object) => Promise<any>} edit
 */

/** Images whose tags the page counts again after an edit; of more, the server tells them. */
const MANY = 500;
const RETRY_MS = 5000;

export class DatasetSession {
  /** @type {Entry[]} */
  entries = [];
  /** Images of the folder, shown or not. */
  total = 0;
  /** How many trained images have each tag. @type {Map<string, number>} */
  tags = new Map();
  exists = true;
  isLoaded = false;
  /** What of the folder cannot be read. @type {string[]} */
  problems = [];
  /** Why the last listing failed; empty once one has succeeded. */
  unread = "";
  /** Endings of the images that training reads. @type {string[]} */
  formats = [];
  history = new History();
  /** What the server said when it refused the last edit; a note in the page's language. */
  message = "";
  note = "";
  /** Edits that succeeded. */
  numEdits = 0;
  /** By name. @type {Map<string, Draft>} */
  drafts = new Map();
  /** Old name of an image by its new one, for who shows it. @type {Map<string, string>} */
  renamed = new Map();
  #listeners = new Set();
  #queue = Promise.resolve();
  #numWaiting = 0;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #retry;

  /** @param {Source} source @param {Service} service @param {() => void} onEdited called after each edit */
  constructor(source, service, onEdited) {
    this.source = source;
    this.service = service;
    this.onEdited = onEdited;
  }

  /** @param {() => void} listener @returns {() => void} stops it */
  subscribe(listener) {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  get isWatched() {
    return this.#listeners.size > 0;
  }

  /** Whether something was typed or asked for that is not answered yet. */
  get isBusy() {
    return this.drafts.size > 0 || this.#numWaiting > 0;
  }

  /** What a listener throws keeps neither the others nor the next edit from coming. */
  #tell() {
    for (const listener of this.#listeners) {
      try {
        listener();
      } catch (error) {
        reportError(error);
      }
    }
  }

  /**
   * Edits and listings run one after another, so that answers are never out of order.
   * @param {() => Promise<void>} act
   * @returns {Promise<boolean>} whether it worked; what did not is in `message`
   */
  #inTurn(act) {
    this.#numWaiting++;
    const done = this.#queue.then(async () => {
      try {
        await act();
        return true;
      } catch (error) {
        this.message = /** @type {Error} */ (error).message;
        return false;
      } finally {
        this.#numWaiting--;
        this.#tell();
      }
    });
    this.#queue = done.then(() => {});
    return done;
  }

  /** @param {string} note */
  complain(note) {
    this.note = note;
    this.#tell();
  }

  load() {
    return this.#inTurn(() => this.#refresh());
  }

  /** Lists the folder; where no answer comes, that is said, and it is asked for again. */
  async #refresh() {
    clearTimeout(this.#retry);
    try {
      await this.list();
    } catch (error) {
      this.unread = /** @type {Error} */ (error).message;
      if (!(error instanceof Refusal)) this.#retry = setTimeout(() => this.#askAgain(), RETRY_MS);
    }
  }

  /** Once the server answers, what could not be written is written. */
  async #askAgain() {
    if (!this.isWatched && !this.drafts.size) return;
    await this.load();
    if (!this.unread) for (const [name, draft] of this.drafts) void this.saveCaption(name, draft);
  }

  /** Lists the folder; for whoever has its turn. */
  async list() {
    const listing = await this.service.getDataset(this.source);
    this.#followMoves(listing.images);
    this.entries = listing.images;
    this.total = listing.total;
    this.tags = new Map(listing.tags);
    this.exists = listing.exists;
    this.problems = listing.problems;
    this.formats = listing.formats;
    this.isLoaded = true;
    this.unread = "";
  }

  /** What another one left out, or put back, is the same image: what is typed of it stays. @param {Entry[]} images */
  #followMoves(images) {
    for (const [old, name] of movesBetween(this.entries, images)) this.#rename(old, name);
  }

  /**
   * Writes what was typed over a caption; what it is based on decides whether the server takes it.
   * @param {string} name
   * @param {Draft} draft
   */
  saveCaption(name, draft) {
    this.drafts.set(name, draft);
    return this.#inTurn(async () => {
      const place = [...this.drafts].find(([, each]) => each === draft)?.[0]; // the image may have been left out since
      if (place === undefined) return; // more was typed since, and comes behind this
      await this.#edit({ action: "captions", values: { captions: { [place]: draft.text }, versions: { [place]: draft.version } } });
      const later = this.drafts.get(place);
      if (later === draft) this.drafts.delete(place);
      else if (later) later.version = this.#entry(place)?.version ?? later.version;
    });
  }

  /** Whether the folder has an image no longer. @param {string} name */
  isGone(name) {
    return !this.unread && !this.#entry(name);
  }

  /** @param {string} name */
  #entry(name) {
    return this.entries.find((entry) => entry.name === name);
  }

  /** @param {string} action @param {Record<string, any>} values */
  change(action, values) {
    return this.#inTurn(() => this.#edit({ action, values }));
  }

  /** @param {Edit} edit */
  async #edit(edit) {
    const answer = await this.send(edit);
    this.history.add(inverse(edit, answer));
  }

  /** Has the server edit the folder; for whoever has its turn. @param {Edit} edit @returns {Promise<any>} */
  async send({ action, values }) {
    [this.message, this.note] = ["", ""];
    try {
      const answer = await this.service.edit(this.source, action, values);
      this.#noteEdit();
      if (action === "exclude") this.#move(values.name, answer);
      const isLarge = answer.images.length > MANY || (action === "tag" && this.total > this.entries.length);
      if (action === "remove" || isLarge) await this.list();
      else this.#take(answer.images);
      return answer;
    } catch (error) {
      if (error instanceof Refusal && error.answer.images) this.#take(error.answer.images);
      else await this.#refresh(); // such as an image that is gone, or an answer that was lost: the edit may be done
      throw error;
    }
  }

  #noteEdit() {
    this.numEdits++;
    this.onEdited();
  }

  /**
   * What is typed of an image that moves with its caption is based on the caption in its new place.
   * @param {string} old
   * @param {{name: string, images: Entry[]}} answer
   */
  #move(old, { name, images }) {
    const [before, after] = [this.#entry(old), images.find((image) => image.name === name)];
    this.#rename(old, name);
    if (!before || before.caption !== after?.caption) return;
    after.same_as = before.version;
    const draft = this.drafts.get(name);
    if (draft?.version === before.version) draft.version = after.version;
  }

  /** @param {string} old @param {string} name */
  #rename(old, name) {
    this.renamed.set(name, old);
    this.entries = this.entries.map((entry) => (entry.name === old ? { ...entry, name } : entry));
    const draft = this.drafts.get(old);
    if (draft) this.drafts.set(name, draft);
    this.drafts.delete(old);
  }

  /** Images as the server has them now. @param {Entry[]} images */
  #take(images) {
    const changed = new Map(images.map((image) => [image.name, image]));
    for (const entry of this.entries) if (changed.has(entry.name)) recount(this.tags, entry, changed.get(entry.name));
    this.entries = this.entries.map((entry) => changed.get(entry.name) ?? entry);
  }

  /** Whether the edit to undo was changed since; the next try undoes it anyway. */
  isUndoRefused = false;

  /** Undoes the last step. A step that fails stays, unless it can never succeed. */
  undo() {
    return this.#inTurn(async () => {
      this.isUndoRefused = false;
      try {
        await this.history.takeBack(async (edit) => void (await this.send(edit)));
      } catch (error) {
        this.isUndoRefused = error instanceof Refusal && error.status === 409;
        if (this.isUndoRefused) this.history.insist();
        else if (error instanceof Refusal && error.status === 400) this.history.giveUp(); // what the disk refuses, it may take later
        throw error;
      }
    });
  }

  /**
   * Adds what was dropped.
   * @param {() => Promise<void>} addFiles puts the images into the folder, then their captions (`finishAdding`)
   */
  add(addFiles) {
    return this.#inTurn(async () => {
      [this.message, this.note] = ["", ""];
      await addFiles();
      this.#noteEdit();
    });
  }
}
