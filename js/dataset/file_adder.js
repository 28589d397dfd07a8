// @ts-check
// Brings files that are dropped on the gallery, or chosen with its button, into the folder that it shows.

import { element, setText } from "../shared/dom.js";
import { finishAdding } from "./adding.js";
import * as service from "./dataset_service.js";
import { areOurs, decoded, freeName, matched, sorted } from "./dropped_files.js";

/** @typedef {import("./dataset_session.js").DatasetSession} DatasetSession */

export class FileAdder {
  /**
   * @param {import("../shared/strings.js").Translate} t
   * @param {() => DatasetSession | null} getSession the folder that is shown
   */
  constructor(t, getSession) {
    this.t = t;
    this.getSession = getSession;
    this.input = element("input", { type: "file", multiple: true, hidden: true, onchange: () => this.#addChosen() });
    this.button = element("button", { type: "button", class: "bakery-add", onclick: () => this.input.click() });
    /** For the element that files are dropped on. @type {import("../shared/dom.js").Attributes} */
    this.listeners = {
      ondragover: (event) => this.#dragOver(event), ondrop: (event) => this.#drop(event),
      ondragleave: ({ currentTarget }) => highlight(currentTarget, false),
    };
  }

  /** Names the folder that is shown, if one is. */
  show() {
    const session = this.getSession();
    this.button.hidden = !session;
    const text = session ? this.t("add_images", { folder: `input/${session.source.folder}` }) : "";
    setText(this.button, text);
    this.button.title = text;
    this.input.accept = `image/*,.txt,.caption,${session?.source.caption_extension.replace(/^\.?/, ".") ?? ""}`;
  }

  /** @param {DragEvent} event */
  #dragOver(event) {
    if (!this.getSession() || !event.dataTransfer?.types.includes("Files")) return;
    event.preventDefault();
    event.stopPropagation();
    highlight(event.currentTarget, true);
  }

  /** @param {DragEvent} event */
  #drop(event) {
    highlight(event.currentTarget, false);
    const session = this.getSession();
    if (!session) return;
    const folders = foldersIn(event.dataTransfer);
    const files = [...(event.dataTransfer?.files ?? [])].filter(({ name }) => !folders.includes(name));
    if (!areOurs(files) && !folders.length) return;
    event.preventDefault();
    event.stopPropagation(); // else ComfyUI looks for a workflow in the picture
    void this.#add(session, files, folders);
  }

  #addChosen() {
    const session = this.getSession();
    if (!session) return;
    const files = [...(this.input.files ?? [])];
    this.input.value = "";
    void this.#add(session, files);
  }

  /**
   * All go into the folder that was shown, whatever is chosen meanwhile.
   * @param {DatasetSession} session
   * @param {File[]} files
   * @param {string[]} [folders] names of those that were dropped
   */
  async #add(session, files, folders = []) {
    const complaints = folders.length ? [this.t("is_folder", { names: folders.join(", ") })] : [];
    /** @type {Map<string, string>} */
    const stored = new Map();
    await session.add(async () => {
      const { images, captions, others } = sorted(files, session.formats, session.source.caption_extension);
      if (others.length) complaints.push(this.t("not_read", { names: others.map(({ name }) => name).join(", "), formats: session.formats.join(" ") }));
      const taken = session.entries.map(({ name }) => name);
      for (const file of images) {
        const name = await service.upload(session.source.folder, file, freeName(file.name, taken)).catch(() => null);
        if (name === null) complaints.push(this.t("upload_failed", { name: file.name }));
        else stored.set(file.name, name);
      }
      const read = await Promise.all(captions.map(async (file) => ({ name: file.name, text: decoded(await file.arrayBuffer())?.trim() })));
      const texts = read.flatMap(({ name, text }) => (text === undefined ? [] : [{ name, text }]));
      complaints.push(...read.filter(({ text }) => text === undefined).map(({ name }) => this.t("not_utf8", { name })));
      await finishAdding(session, new Set(stored.values()), (entries) => {
        const found = matched(texts, stored, entries);
        complaints.push(...found.homeless.map((name) => this.t("no_image_for", { name })));
        complaints.push(...found.doubled.map((name) => this.t("second_caption", { name })));
        return found.captions;
      });
    });
    if (complaints.length) session.complain(complaints.join("\n"));
  }
}

/** Names of the folders among what is dropped. @param {DataTransfer | null} dropped @returns {string[]} */
function foldersIn(dropped) {
  const entries = [...(dropped?.items ?? [])].map((item) => item.webkitGetAsEntry?.());
  return entries.flatMap((entry) => (entry?.isDirectory ? [entry.name] : []));
}

/** @param {EventTarget | null} panel @param {boolean} isOver */
const highlight = (panel, isOver) => panel instanceof Element && panel.classList.toggle("bakery-drop", isOver);
