// @ts-check
// Puts the gallery on Load Dataset (nodes/dataset/datasets.py), and "Keep these for training" on nodes that show images.

import { api, app } from "../shared/comfy.js";
import { chain, growTo } from "../shared/dom.js";
import { nodesOf, outputsOf, valuesOf } from "../shared/graph.js";
import { texts } from "../shared/language.js";
import { endWith, whileSeen } from "../shared/lifetime.js";
import { notesOf } from "../shared/node_notes.js";
import { DatasetPanel } from "./dataset_panel.js";
import { promptInPicture } from "./dataset_service.js";
import { askToKeep } from "./keep_dialog.js";
import { promptOf } from "./prompt_of.js";

/** @typedef {import("../shared/comfy.js").GraphNode} GraphNode */

const NODE = "BakeryLoadDataset";
/** @type {[number, number]} */
const MIN_SIZE = [420, 520];
const MIN_HEIGHT = 260;
/** A folder that comes through a link may be known only once the node has run; the node keeps it for a reloaded page. */
const PROPERTY = "bakery_folder";
/** Gallery of each node. @type {WeakMap<GraphNode, DatasetPanel>} */
const panels = new WeakMap();

/** Adds the gallery as the node's last widget. @param {GraphNode} node */
function addPanel(node) {
  const panel = new DatasetPanel(texts(), () => node.setDirtyCanvas?.(true));
  const widget = node.addDOMWidget("bakery_dataset", "bakery_dataset", panel.element, {
    serialize: false, hideOnZoom: false, getMinHeight: () => MIN_HEIGHT,
  });
  widget.serialize = false;
  const show = () => showSource(node, panel);
  for (const each of node.widgets ?? []) if (each.name === "folder") chain(each, "callback", show);
  chain(node, "onConfigure", show);
  chain(node, "onExecuted", (output) => {
    const [ran] = output?.bakery_dataset ?? [];
    if (ran) node.properties[PROPERTY] = ran.folder;
    show();
    panel.setNotes(notesOf(output).slice(1)); // behind the summary, which the panel has itself
    void panel.load();
  });
  // A value promoted out of a subgraph, or linked, changes without a word to the node: it is looked at while in sight.
  const stop = whileSeen(panel.element, {
    enter: () => {
      show();
      void panel.load();
    },
    leave: () => panel.flush(),
    tick: show,
  });
  endWith(node, () => {
    stop();
    panel.remove();
  });
  panels.set(node, panel);
  growTo(node, MIN_SIZE);
  show();
}

/** @param {GraphNode} node @param {DatasetPanel} panel */
function showSource(node, panel) {
  const [folders, extensions, metadata] = ["folder", "caption_extension", "metadata"].map((name) => valuesOf(node, name));
  const known = folders.includes(undefined) ? [node.properties[PROPERTY]].filter(Boolean) : folders;
  if (known.length > 1) return panel.show(null, texts()("several_folders", { folders: known.join(", ") }));
  if (!known.length) return panel.show(null, texts()("folder_from_link"));
  if ([extensions, metadata].some((values) => values.length > 1 || values.includes(undefined))) return panel.show(null, texts()("captions_unknown"));
  panel.show({ folder: String(known[0]), caption_extension: String(extensions[0]), metadata: String(metadata[0]) });
}

/** The images that a node shows. @param {GraphNode} node @returns {import("../shared/comfy.js").ImageFile[]} */
function imagesOf(node) {
  const shown = node.images ?? outputsOf(node).images ?? [];
  return shown.filter((/** @type {any} */ image) => image?.filename);
}

/** @param {GraphNode} node */
async function keep(node) {
  const nodeOfLink = (/** @type {number} */ id) => {
    const link = node.graph?.getLink?.(id);
    return link && node.graph?.getNodeById(link.origin_id);
  };
  const images = imagesOf(node);
  const definitions = await api.fetchApi(`/object_info/${NODE}`).then((answer) => answer.json()).catch(() => ({}));
  const spec = definitions[NODE]?.input.required.folder ?? [];
  const folders = Array.isArray(spec[0]) ? spec[0] : spec[1]?.options ?? [];
  // The dataset of this graph is the likely place.
  const [first = "my_images"] = nodesOf(NODE).flatMap((each) => valuesOf(each, "folder")).filter((value) => value !== undefined);
  const others = folders.filter((/** @type {string} */ folder) => folder !== first);
  // What the picture was made from; where it does not tell, what the graph would make now, and that is said.
  const told = await promptInPicture(images[0], String(node.id)).catch(() => "");
  const prompt = { text: told || promptOf(node, nodeOfLink), isOfPicture: told !== "" };
  askToKeep(texts(), images, prompt, [first, ...others], () => {
    for (const each of nodesOf(NODE)) void panels.get(each)?.load();
  });
}

app.registerExtension({
  name: "LoRABakery.Dataset",
  setup() {
    window.addEventListener("pagehide", () => nodesOf(NODE).forEach((node) => panels.get(node)?.flush())); // the tab closes
  },
  nodeCreated(node) {
    if (node.comfyClass === NODE) addPanel(node);
  },
  getNodeMenuItems(node) {
    return imagesOf(node).length ? [{ content: texts()("keep"), callback: () => void keep(node) }] : [];
  },
});
