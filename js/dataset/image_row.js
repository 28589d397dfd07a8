// @ts-check
// One image of the gallery: its caption to edit, what it is for. The row stays while the image does: what is being typed
// is never replaced.

import { element, keepingFocus, keepKeys, setText } from "../shared/dom.js";
import { pictureUrl } from "./dataset_service.js";

/** @typedef {import("./dataset_model.js").Entry} Entry */

export const MARKS = ["validation", "regularization"];
const THUMBNAIL_PX = 128;

export class ImageRow {
  /** What the field's text is based on. */
  #base = { caption: "", version: "" };
  /** Sent to the server and not answered yet. @type {string | null} */
  #sent = null;
  #picture = "";
  #sharers = "";

  /**
   * @param {import("../shared/strings.js").Translate} t
   * @param {import("./dataset_session.js").DatasetSession} session
   * @param {Entry} entry
   */
  constructor(t, session, entry) {
    this.t = t;
    this.session = session;
    this.entry = entry;
    this.picture = element("img", { loading: "lazy", decoding: "async", onerror: () => this.#showUnreadable(), onload: () => (this.unreadable.hidden = true) });
    this.unreadable = element("div", { class: "bakery-problem", text: t("unreadable"), hidden: true });
    this.text = element("textarea", {
      rows: 3, placeholder: t("no_caption"), onblur: () => this.#leave(), onchange: () => void this.save(), onkeydown: keepKeys,
    });
    this.excludeButton = element("button", { type: "button", class: "bakery-small", onclick: () => this.#exclude() });
    this.select = element("select", {
      class: "bakery-small", title: t("mark_hint"), onkeydown: keepKeys, onchange: () => this.#mark(),
    }, ...["", ...MARKS].map((mark) => element("option", { value: mark, text: t(`mark_${mark || "none"}`) })));
    this.about = element("div", { class: "bakery-hint bakery-about", hidden: true });
    this.conflict = element("div", { class: "bakery-conflict", role: "alert" });
    this.element = element(
      "div", { class: "bakery-image", role: "listitem" }, element("div", {}, this.picture, this.unreadable),
      element("div", {}, this.text, this.about, this.conflict), element("div", { class: "bakery-image-actions" }, this.excludeButton, this.select),
    );
    const draft = session.drafts.get(entry.name);
    this.#base = { caption: entry.caption, version: draft?.version ?? entry.version };
    this.text.value = draft?.text ?? entry.caption;
    this.update(entry, []);
  }

  get isDirty() {
    return this.text.value !== this.#base.caption;
  }

  /**
   * Shows an image as the server has it; does nothing where that is what is shown.
   * @param {Entry} entry
   * @param {string[]} sharers names of images with the same caption file
   */
  update(entry, sharers) {
    const isShown = entry === this.entry && this.#picture !== "" && this.#sharers === sharers.join() && this.#sent === null;
    if (isShown && !this.isDirty && this.select.value === (entry.mark ?? "")) return;
    this.#sharers = sharers.join();
    this.entry = entry;
    const { name, is_excluded: isExcluded } = entry;
    if (entry.same_as === this.#base.version) this.#base.version = entry.version;
    if (this.#sent !== null && entry.version !== this.#base.version && !this.session.drafts.has(name)) {
      this.#base = { caption: this.#sent, version: entry.version }; // the server took it
      this.#sent = null;
    }
    if (!this.isDirty || this.text.value === entry.caption) this.#showCaption(entry);
    this.element.classList.toggle("bakery-excluded", isExcluded);
    const action = this.t(isExcluded ? "include" : "exclude");
    setText(this.excludeButton, isExcluded ? "↺" : "✕");
    Object.assign(this.excludeButton, { title: action, ariaLabel: `${action}: ${name}` });
    this.select.value = entry.mark ?? "";
    this.select.disabled = isExcluded;
    this.select.ariaLabel = this.t("mark_of", { name });
    this.text.ariaLabel = this.t("caption_of", { name });
    this.text.readOnly = Boolean(entry.metadata || entry.problem);
    this.#showPicture();
    this.#showAbout(sharers);
    this.#showConflict();
  }

  /** What has the keyboard is not replaced; what is typed over it is then based on what stands there. @param {Entry} entry */
  #showCaption({ caption, version }) {
    if (this.text.value !== caption && document.activeElement === this.text) return;
    this.text.value = caption;
    this.#base = { caption, version };
    this.#sent = null;
  }

  /** What was typed is written; where nothing was, what came meanwhile is shown. */
  #leave() {
    if (this.isDirty) return void this.save();
    if (this.#sent === null) this.#showCaption(this.entry);
  }

  #showPicture() {
    const { name } = this.entry;
    const url = pictureUrl(this.session.source.folder, this.entry, THUMBNAIL_PX);
    if (url === this.#picture) return;
    this.#picture = url;
    Object.assign(this.picture, { src: url, alt: name, title: name });
  }

  #showUnreadable() {
    this.unreadable.hidden = false;
  }

  /** @param {string[]} sharers */
  #showAbout(sharers) {
    const { metadata, problem } = this.entry;
    const about = problem || (metadata ? this.t("in_metadata", { file: metadata }) : sharers.length ? this.t("shared_caption", { names: sharers.join(", ") }) : "");
    setText(this.about, about);
    this.about.hidden = !about;
    this.about.classList.toggle("bakery-problem", Boolean(problem));
  }

  /** What is typed here and what was written meanwhile, both. */
  #showConflict() {
    const isChanged = this.isDirty && this.#sent === null && this.entry.version !== this.#base.version;
    if (!isChanged) return keepingFocus(this.conflict, () => this.conflict.replaceChildren(), () => this.text);
    if (!this.isInConflict) this.#makeConflict();
    setText(/** @type {Element} */ (this.conflict.children[1]), this.entry.caption || this.t("empty_caption"));
  }

  get isInConflict() {
    return this.conflict.childElementCount > 0;
  }

  #makeConflict() {
    const button = (/** @type {string} */ key, /** @type {() => void} */ onclick) => element("button", { type: "button", class: "bakery-small", text: this.t(key), onclick });
    this.conflict.replaceChildren(
      element("div", { text: this.t("changed_meanwhile") }), element("div", { class: "bakery-theirs" }),
      element("div", { class: "bakery-row" }, button("keep_mine", () => this.#keepMine()), button("take_theirs", () => this.#takeTheirs())),
    );
  }

  /** Writes what was typed; the row's own edits follow one another. */
  async save() {
    if (!this.isDirty || this.text.value === this.#sent || this.text.readOnly || this.isInConflict) return;
    const text = this.text.value;
    this.#sent = text;
    const isDone = await this.session.saveCaption(this.entry.name, { text, version: this.#base.version });
    if (!isDone && this.#sent === text) this.#sent = null;
    if (!isDone && this.session.isGone(this.entry.name)) this.session.complain(this.t("typed_of_gone", { name: this.entry.name, text }));
    this.#showConflict();
  }

  #keepMine() {
    this.#base.version = this.entry.version;
    this.#endConflict();
    void this.save();
  }

  #takeTheirs() {
    this.session.drafts.delete(this.entry.name);
    this.text.value = this.entry.caption;
    this.#base = { caption: this.entry.caption, version: this.entry.version };
    this.#endConflict();
  }

  #endConflict() {
    this.conflict.replaceChildren();
    this.text.focus({ preventScroll: true });
  }

  #exclude() {
    const { name, is_excluded: isExcluded } = this.entry;
    void this.session.change("exclude", { name, is_excluded: !isExcluded });
  }

  #mark() {
    const { name, mark } = this.entry;
    void this.session.change("mark", { marks: { [name]: this.select.value || null }, based_on: { [name]: mark } });
  }
}
