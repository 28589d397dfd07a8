// @ts-check
// Setup for all nodes of the pack: style sheet, translated choices, mouse wheel, removed nodes.

import { app } from "./shared/comfy.js";
import { chain, loadStyles } from "./shared/dom.js";
import { locale } from "./shared/language.js";
import { sweep } from "./shared/lifetime.js";
import { nameOptions } from "./shared/option_names.js";
import { keepWheel } from "./shared/wheel.js";

app.registerExtension({
  name: "LoRABakery",
  setup() {
    loadStyles();
    keepWheel();
  },
  afterConfigureGraph: sweep, // another workflow: the page does not tell nodes in subgraphs that they go
  nodeCreated(node) {
    if (node.comfyClass?.startsWith("Bakery")) nameOptions(node, locale());
    if (node.subgraph) chain(node, "onRemoved", () => setTimeout(sweep)); // nor where their subgraph is deleted
  },
});
