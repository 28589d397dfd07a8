// @ts-check
// Setup for all nodes of the pack: style sheet, translated choices, what they say, mouse wheel, removed nodes, older
// workflows.

import { app } from "./shared/comfy.js";
import { chain, loadStyles } from "./shared/dom.js";
import { rootGraph } from "./shared/graph.js";
import { locale } from "./shared/language.js";
import { sweep } from "./shared/lifetime.js";
import { showNotes, translateProgress } from "./shared/node_notes.js";
import { keepEarlier } from "./shared/older_workflows.js";
import { nameOptions } from "./shared/option_names.js";
import { keepWheel } from "./shared/wheel.js";

/** Files in API form make nodes without configuring them. */
function keepEarlierOfPrompts() {
  const open = app.loadApiJson;
  if (!open) return;
  app.loadApiJson = async (prompt, ...more) => {
    await open.call(app, prompt, ...more);
    for (const [id, { inputs }] of Object.entries(prompt)) {
      const node = rootGraph().getNodeById(Number.isNaN(Number(id)) ? id : Number(id));
      if (node) keepEarlier(node, inputs);
    }
  };
}

app.registerExtension({
  name: "LoRABakery",
  setup() {
    loadStyles();
    keepWheel();
    keepEarlierOfPrompts();
    translateProgress();
  },
  afterConfigureGraph: sweep, // another workflow: the page does not tell nodes in subgraphs that they go
  nodeCreated(node) {
    if (node.comfyClass?.startsWith("Bakery")) {
      nameOptions(node, locale());
      chain(node, "onConfigure", (saved) => keepEarlier(node, saved?.widgets_values));
      showNotes(node);
    }
    if (node.subgraph) chain(node, "onRemoved", () => setTimeout(sweep)); // nor where their subgraph is deleted
  },
});
