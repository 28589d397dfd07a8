// @ts-check
// A dataset on its node: pictures with captions to edit, tags, images dropped in. Knows a folder, not the node.

import { filtered, History } from "../lib/dataset_model.js";
import { edit, getDataset, pictureUrl, upload } from "../lib/dataset_service.js";
import { element, setText } from "../lib/dom.js";

const TAGS_SHOWN = 60;

export class DatasetPanel {
  folder = "";
  /** @type {any[]} */
  #images = [];
  #chosen = new Set();
  #history = new History();
  #request = 0;

  /**
   * @param {import("../lib/strings.js").Translate} t
   * @param {() => void} onChange called after the folder's files have changed
   */
  constructor(t, onChange) {
    this.t = t;
    this.onChange = onChange;
    this.status = element("div", { class: "bakery-status", role: "status" });
    this.undoButton = element("button", { type: "button", text: t("undo"), disabled: true, onclick: () => this.#undo() });
    this.message = element("div", { class: "bakery-message", role: "alert", hidden: true });
    this.tags = element("div", { class: "bakery-tags", role: "group", "aria-label": t("tags") });
    this.tagActions = element("div", { class: "bakery-row", hidden: true });
    this.list = element("div", { class: "bakery-images", role: "list" });
    this.element = element(
      "div",
      {
        class: "bakery bakery-panel bakery-dataset", role: "group", "aria-label": t("dataset"),
        ondragover: (/** @type {DragEvent} */ event) => this.#dragOver(event),
        ondragleave: () => this.element.classList.remove("bakery-drop"),
        ondrop: (/** @type {DragEvent} */ event) => this.#drop(event),
      },
      element("div", { class: "bakery-row" }, this.status, this.undoButton),
      this.message, this.tags, this.tagActions, this.list, element("div", { class: "bakery-hint", text: t("drop") }),
    );
  }

  /** @param {string} folder */
  setFolder(folder) {
    if (folder === this.folder) return;
    this.folder = folder;
    this.#chosen.clear();
    this.#history = new History();
    void this.load();
  }

  async load() {
    const request = ++this.#request;
    await this.#attempt(async () => {
      const dataset = await getDataset(this.folder);
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
    setText(this.status, !exists ? this.t("no_folder")
      : count === total ? this.t("images", { count }) : this.t("filtered", { shown: count, count: total }));
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
      onchange: () => this.#save(image, text.value),
      onkeydown: (/** @type {Event} */ event) => event.stopPropagation(),
    });
    const exclude = element("button", {
      type: "button", class: "bakery-small", text: image.is_excluded ? "↺" : "✕",
      title: this.t(image.is_excluded ? "include" : "exclude"), "aria-label": this.t(image.is_excluded ? "include" : "exclude"),
      onclick: () => this.#exclude(image),
    });
    const picture = element("img", { src: pictureUrl(this.folder, image, 128), alt: image.name, title: image.name, loading: "lazy", decoding: "async" });
    const row = element("div", { class: "bakery-image", role: "listitem", "data-key": key }, picture, text, exclude);
    row.classList.toggle("bakery-excluded", image.is_excluded);
    return row;
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
    const captions = this.#history.takeBack();
    if (captions) await this.#change("captions", { captions }, false);
  }

  /** @param {string} action @param {object} values */
  async #change(action, values, isKept = true) {
    await this.#attempt(async () => {
      const { before } = await edit(action, { folder: this.folder, ...values });
      if (before && isKept) this.#history.add(before);
      this.onChange();
    });
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
    for (const file of files) {
      const isDone = await this.#attempt(() => upload(this.folder, file));
      if (!isDone) setText(this.message, this.t("upload_failed", { name: file.name }));
    }
    this.onChange();
    await this.load();
  }

  /** @param {() => Promise<void>} act @returns {Promise<boolean>} whether it worked */
  async #attempt(act) {
    try {
      await act();
      this.message.hidden = true;
      return true;
    } catch (error) {
      setText(this.message, this.t("failed", { error: /** @type {Error} */ (error).message }));
      this.message.hidden = false;
      return false;
    }
  }
}

