// @ts-check
// "Keep these for training": generated images, with their prompt as caption, into a dataset folder.

import { api } from "../shared/comfy.js";
import { keep } from "./dataset_service.js";
import { element, focused, keepFocus, setText } from "../shared/dom.js";

/** @typedef {import("../shared/comfy.js").ImageFile} ImageFile */

/**
 * Asks which images to keep, and where; closes itself.
 * @param {import("../shared/strings.js").Translate} t
 * @param {ImageFile[]} images
 * @param {{text: string, isOfPicture: boolean}} prompt of the images, else of the graph as it is now
 * @param {string[]} folders to choose from, the likely one first
 * @param {() => void} onKept called once they are in their folder
 */
export function askToKeep(t, images, prompt, folders, onKept) {
  const before = focused();
  const chosen = new Set(images);
  const go = element("button", { type: "submit", class: "bakery-primary" });
  const message = element("div", { class: "bakery-message", role: "alert" });
  const folder = element("input", { type: "text", value: folders[0], list: "bakery-folders", required: true, maxlength: 500, class: "bakery-wide", "aria-label": t("keep_folder") });
  const caption = element("textarea", { rows: 3, "aria-label": t("keep_caption"), text: prompt.text });
  const note = element("div", { class: "bakery-hint", text: t("prompt_of_now"), hidden: prompt.isOfPicture || !prompt.text });
  const count = () => {
    setText(go, t("keep_go", { count: chosen.size }));
    go.disabled = !chosen.size;
  };
  const close = () => {
    dialog.remove();
    before?.focus?.({ preventScroll: true });
  };
  const toggle = (/** @type {ImageFile} */ image, /** @type {HTMLElement} */ button) => {
    if (!chosen.delete(image)) chosen.add(image);
    button.setAttribute("aria-pressed", String(chosen.has(image)));
    count();
  };
  const send = async () => {
    go.disabled = true; // pressed twice, it would keep everything twice
    try {
      const { names } = await keep({ folder: folder.value.trim(), caption: caption.value, images: images.filter((image) => chosen.has(image)) });
      setText(message, t("kept", { count: names.length, folder: folder.value }));
      onKept();
      setTimeout(close, 900);
    } catch (error) {
      setText(message, t("failed", { error: /** @type {Error} */ (error).message }));
      count();
    }
  };
  const pictures = images.map((image) => {
    const src = api.apiURL(`/view?${new URLSearchParams({ filename: image.filename, subfolder: image.subfolder ?? "", type: image.type, preview: "webp;80" })}`);
    const button = element("button", { type: "button", class: "bakery-choice", "aria-pressed": "true", "aria-label": image.filename, onclick: () => toggle(image, button) },
      element("img", { src, alt: "", loading: "lazy" }));
    return button;
  });
  const form = element("form", {
    class: "bakery-overlay-frame bakery-keep",
    onsubmit: (event) => {
      event.preventDefault();
      void send();
    },
  },
    element("div", { class: "bakery-overlay-title", text: t("keep_title") }), element("div", { class: "bakery-choices" }, ...pictures),
    element("label", {}, t("keep_folder"), folder), element("datalist", { id: "bakery-folders" }, ...folders.map((name) => element("option", { value: name }))),
    element("label", {}, t("keep_caption"), caption), note, message,
    element("div", { class: "bakery-row" }, go, element("button", { type: "button", text: t("close"), onclick: close })));
  const dialog = element("div", {
    class: "bakery bakery-overlay", role: "dialog", "aria-modal": "true", "aria-label": t("keep_title"),
    onkeydown: (event) => {
      event.stopPropagation();
      if (event.key === "Escape" && !event.isComposing) close(); // else it ends what is being composed
      if (event.key === "Tab") keepFocus(dialog, event);
    },
  }, form);
  count();
  document.body.append(dialog);
  folder.focus();
}
