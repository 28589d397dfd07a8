// @ts-check
// Puts the gallery on Load Dataset (nodes/dataset/datasets.py), and "Keep these for training" on nodes that show images.

import { api, app } from "../shared/comfy.js";
import { promptOf } from "./dataset_model.js";
import { chain, growTo, loadStyles } from "../shared/dom.js";
import { translator } from "../shared/strings.js";
import { DatasetPanel } from "./dataset_panel.js";
import { askToKeep } from "./keep_dialog.js";

const NODE = "BakeryLoadDataset";
const MIN_SIZE = [420, 520];
const MIN_HEIGHT = 260;
/** Gallery of each node. @type {WeakMap<any, DatasetPanel>} */
const panels = new WeakMap();

function texts() {
  return translator(app.ui.settings.getSettingValue("Comfy.Locale"));
}

/** Adds the gallery as the node's last widget. */
function addPanel(node) {
  const folder = node.widgets.find((widget) => widget.name === "folder");
  const panel = new DatasetPanel(texts(), () => node.setDirtyCanvas?.(true));
  const widget = node.addDOMWidget("bakery_dataset", "bakery_dataset", panel.element, {
    serialize: false, hideOnZoom: false, getMinHeight: () => MIN_HEIGHT,
  });
  widget.serialize = false;
  chain(folder, "callback", () => panel.setFolder(folder.value));
  chain(node, "onConfigure", () => panel.setFolder(folder.value));
  chain(node, "onExecuted", (output) => {
    panel.setNotes((output?.text ?? []).slice(1)); // behind the summary, which the panel has itself
    void panel.load();
  });
  panels.set(node, panel);
  growTo(node, MIN_SIZE);
  panel.setFolder(folder.value);
}

/** The images that a node shows. */
function imagesOf(node) {
  const shown = node.images ?? app.nodeOutputs?.[node.id]?.images ?? [];
  return shown.filter((image) => image?.filename);
}

async function keep(node) {
  const nodeOfLink = (id) => {
    const link = node.graph.getLink?.(id) ?? node.graph.links.get?.(id) ?? node.graph.links[id];
    return link && node.graph.getNodeById(link.origin_id);
  };
  const definitions = await api.fetchApi(`/object_info/${NODE}`).then((answer) => answer.json()).catch(() => ({}));
  const spec = definitions[NODE]?.input.required.folder ?? [];
  const folders = Array.isArray(spec[0]) ? spec[0] : spec[1]?.options ?? [];
  // The dataset of this graph is the likely place.
  const here = app.graph._nodes.find((each) => each.comfyClass === NODE)?.widgets.find((widget) => widget.name === "folder");
  const first = here?.value ?? "my_images";
  const others = folders.filter((folder) => folder !== first);
  askToKeep(texts(), imagesOf(node), promptOf(node, nodeOfLink), [first, ...others], () => {
    for (const each of new Set([...app.graph._nodes, ...node.graph._nodes])) void panels.get(each)?.load();
  });
}

app.registerExtension({
  name: "LoRABakery.Dataset",
  setup: loadStyles,
  nodeCreated(node) {
    if (node.comfyClass === NODE) addPanel(node);
  },
  getNodeMenuItems(node) {
    return imagesOf(node).length ? [{ content: texts()("keep"), callback: () => void keep(node) }] : [];
  },
});
