// @ts-check
// A dataset on its node: pictures with captions to edit, tags, images dropped in. Knows a folder, not the node.

import { filtered, History, inverse, markCounts } from "./dataset_model.js";
import { edit, getDataset, pictureUrl, upload } from "./dataset_service.js";
import { element, setText } from "../shared/dom.js";

const TAGS_SHOWN = 60;
const MARKS = ["validation", "regularization"];

export class DatasetPanel {
  folder = "";
  /** @type {any[]} */
  #images = [];
  #chosen = new Set();
  #history = new History();
  #request = 0;

  /**
   * @param {import("../shared/strings.js").Translate} t
   * @param {() => void} onChange called after the folder's files have changed
   */
  constructor(t, onChange) {
    this.t = t;
    this.onChange = onChange;
    this.status = element("div", { class: "bakery-status", role: "status" });
    this.undoButton = element("button", { type: "button", text: t("undo"), disabled: true, onclick: () => this.#undo() });
    this.files = element("input", { type: "file", multiple: true, accept: "image/*,.txt", hidden: true, onchange: () => this.#add([...this.files.files]) });
    this.addButton = element("button", { type: "button", class: "bakery-add", onclick: () => this.files.click() });
    this.message = element("div", { class: "bakery-message", role: "alert", hidden: true });
    this.notes = element("div", { class: "bakery-hint bakery-notes", role: "status", hidden: true });
    this.tags = element("div", { class: "bakery-tags", role: "group", "aria-label": t("tags") });
    this.tagActions = element("div", { class: "bakery-row", hidden: true });
    this.list = element("div", { class: "bakery-images", role: "list" });
    this.hint = element("div", { class: "bakery-hint" });
    this.element = element(
      "div",
      {
        class: "bakery bakery-panel bakery-dataset", role: "group", "aria-label": t("dataset"),
        ondragover: (/** @type {DragEvent} */ event) => this.#dragOver(event),
        ondragleave: () => this.element.classList.remove("bakery-drop"),
        ondrop: (/** @type {DragEvent} */ event) => this.#drop(event),
      },
      element("div", { class: "bakery-row" }, this.status, this.addButton, this.undoButton, this.files),
      this.message, this.notes, this.tags, this.tagActions, this.list, this.hint,
    );
  }

  /** @param {string} folder */
  setFolder(folder) {
    if (folder === this.folder) return;
    this.folder = folder;
    const place = { folder: `input/${folder}` };
    setText(this.addButton, this.t("add_images", place));
    this.addButton.title = this.addButton.textContent;
    setText(this.hint, this.t("drop", place));
    this.#chosen.clear();
    this.#history = new History();
    this.message.hidden = true;
    this.setNotes([]);
    void this.load();
  }

  /** @param {string[]} notes what the node found in the folder when it ran; true until something is changed */
  setNotes(notes) {
    setText(this.notes, notes.join("\n"));
    this.notes.hidden = !notes.length;
  }

  async load() {
    const request = ++this.#request;
    await this.#attempt(async () => {
      const dataset = await getDataset(this.folder).catch((error) => {
        if (request === this.#request) throw error; // else it is about a folder that is not shown any more
      });
      if (request !== this.#request) return;
      this.#images = dataset.images;
      this.#showTags(dataset.tags);
      this.#showImages(dataset.exists);
    });
  }

  /** @param {[string, number][]} tags */
  #showTags(tags) {
    const known = new Set(tags.map(([tag]) => tag));
    this.#chosen = new Set([...this.#chosen].filter((tag) => known.has(tag)));
    this.tags.replaceChildren(...tags.slice(0, TAGS_SHOWN).map(([tag, count]) => element("button", {
      type: "button", class: "bakery-small", text: `${tag} ${count}`, "aria-pressed": String(this.#chosen.has(tag)),
      onclick: () => this.#toggle(tag),
    })));
    this.#showTagActions();
  }

  #showTagActions() {
    const [tag] = this.#chosen;
    this.tagActions.hidden = this.#chosen.size !== 1;
    if (this.tagActions.hidden) return;
    const name = element("input", {
      type: "text", value: tag, maxlength: 500, "aria-label": this.t("new_tag"), class: "bakery-wide",
      onkeydown: (/** @type {Event} */ event) => event.stopPropagation(),
    });
    const button = (/** @type {string} */ key, /** @type {() => string} */ makeNew) =>
      element("button", { type: "button", text: this.t(key), onclick: () => this.#editTag(tag, makeNew()) });
    this.tagActions.replaceChildren(name, button("rename_tag", () => name.value), button("remove_tag", () => ""));
  }

  /** @param {string} tag */
  #toggle(tag) {
    if (!this.#chosen.delete(tag)) this.#chosen.add(tag);
    void this.load();
  }

  /** @param {boolean} exists */
  #showImages(exists) {
    const shown = filtered(this.#images, this.#chosen);
    const [count, total] = [shown.length, this.#images.length];
    const marked = markCounts(this.#images);
    setText(this.status, !exists ? this.t("no_folder") : [
      count === total ? this.t("images", { count }) : this.t("filtered", { shown: count, count: total }),
      ...MARKS.filter((mark) => marked[mark]).map((mark) => `${this.t(`mark_${mark}`)} ${marked[mark]}`),
    ].join(" · "));
    this.undoButton.disabled = this.#history.isEmpty;
    const focused = this.list.contains(document.activeElement) ? document.activeElement.dataset.name : null;
    const before = new Map([...this.list.children].map((row) => [row.dataset.key, row]));
    this.list.replaceChildren(...shown.map((image) => {
      const key = JSON.stringify([this.folder, image]);
      return before.get(key) ?? this.#row(image, key);
    }));
    if (focused) this.list.querySelector(`textarea[data-name="${CSS.escape(focused)}"]`)?.focus({ preventScroll: true });
  }

  /** @param {any} image @param {string} key */
  #row(image, key) {
    const text = element("textarea", {
      rows: 3, maxlength: 20000, "aria-label": this.t("caption_of", { name: image.name }), "data-name": image.name, text: image.caption,
      placeholder: this.t("no_caption"),
      onchange: () => this.#save(image, text.value),
      onkeydown: (/** @type {Event} */ event) => event.stopPropagation(),
    });
    const exclude = element("button", {
      type: "button", class: "bakery-small", text: image.is_excluded ? "↺" : "✕",
      title: this.t(image.is_excluded ? "include" : "exclude"), "aria-label": this.t(image.is_excluded ? "include" : "exclude"),
      onclick: () => this.#exclude(image),
    });
    const picture = element("img", { src: pictureUrl(this.folder, image, 128), alt: image.name, title: image.name, loading: "lazy", decoding: "async" });
    const actions = element("div", { class: "bakery-image-actions" }, exclude, this.#markSelect(image));
    const row = element("div", { class: "bakery-image", role: "listitem", "data-key": key }, picture, text, actions);
    row.classList.toggle("bakery-excluded", image.is_excluded);
    return row;
  }

  /** What the image is for. */
  #markSelect(image) {
    const select = element("select", {
      class: "bakery-small", "aria-label": this.t("mark_of", { name: image.name }), title: this.t("mark_hint"), disabled: image.is_excluded,
      onchange: () => this.#change("mark", { marks: { [image.name]: select.value || null } }),
      onkeydown: (/** @type {Event} */ event) => event.stopPropagation(),
    }, ...["", ...MARKS].map((mark) => element("option", { value: mark, text: this.t(`mark_${mark || "none"}`) })));
    select.value = image.mark ?? "";
    return select;
  }

  #save(image, caption) {
    return this.#change("captions", { captions: { [image.name]: caption } });
  }

  #editTag(tag, name) {
    return this.#change("tag", { tag, new: name });
  }

  #exclude({ name, is_excluded }) {
    return this.#change("exclude", { name, is_excluded: !is_excluded });
  }

  async #undo() {
    const back = this.#history.takeBack();
    if (back) await this.#change(back.action, back.values, false);
  }

  /** @param {string} action @param {object} values */
  async #change(action, values, isKept = true) {
    this.message.hidden = true;
    const history = this.#history; // another folder has another one, also where it is chosen before the answer comes
    const isDone = await this.#attempt(async () => {
      const answer = await edit(action, { folder: this.folder, ...values });
      if (isKept) history.add(inverse({ action, values }, answer));
      this.setNotes([]);
      this.onChange();
    });
    if (!isDone && action !== "captions") this.list.replaceChildren(); // shows again what is so; a typed caption stays
    await this.load();
  }

  /** @param {DragEvent} event */
  #dragOver(event) {
    if (!event.dataTransfer?.types.includes("Files")) return;
    event.preventDefault();
    event.stopPropagation();
    this.element.classList.add("bakery-drop");
  }

  /** @param {DragEvent} event */
  async #drop(event) {
    const files = [...(event.dataTransfer?.files ?? [])].filter((file) => file.type.startsWith("image/") || file.name.endsWith(".txt"));
    this.element.classList.remove("bakery-drop");
    if (!files.length) return;
    event.preventDefault();
    event.stopPropagation(); // else ComfyUI looks for a workflow in the picture
    await this.#add(files);
  }

  /** @param {File[]} files images and caption files */
  async #add(files) {
    const { folder } = this; // all go where they were dropped, whatever is chosen meanwhile
    const before = new Set(this.#images.map(({ name }) => name));
    const added = new Set();
    const failed = [];
    this.message.hidden = true;
    for (const file of files) {
      const isDone = await this.#attempt(async () => added.add(await upload(folder, file)));
      if (!isDone) failed.push(file.name);
    }
    this.files.value = "";
    this.setNotes([]);
    this.onChange();
    await this.load();
    if (folder !== this.folder) return;
    // What was there already stays when the adding is taken back; caption files go with their images.
    const names = this.#images.map(({ name }) => name).filter((name) => added.has(name) && !before.has(name));
    this.#history.add(inverse({ action: "add", values: {} }, { names }));
    this.undoButton.disabled = this.#history.isEmpty;
    if (failed.length) this.#complain(this.t("upload_failed", { name: failed.join(", ") }));
  }

  /** @param {() => Promise<any>} act @returns {Promise<boolean>} whether it worked */
  async #attempt(act) {
    try {
      await act();
      return true;
    } catch (error) {
      this.#complain(this.t("failed", { error: /** @type {Error} */ (error).message }));
      return false;
    }
  }

  /** @param {string} text */
  #complain(text) {
    setText(this.message, text);
    this.message.hidden = false;
  }
}
