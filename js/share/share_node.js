// @ts-check
// Puts a button on Share LoRA (nodes/lora/share.py): runs this node and what it needs, not the rest of the graph.

import { app } from "../shared/comfy.js";
import { texts } from "../shared/language.js";

const NODE = "BakeryShareLoRA";

app.registerExtension({
  name: "LoRABakery.Share",
  nodeCreated(node) {
    if (node.comfyClass !== NODE) return;
    const share = () => app.queuePrompt(0, 1, [String(node.id)]);
    const button = node.addWidget("button", texts()("share"), null, share, { serialize: false }); // not in the prompt
    button.serialize = false; // nor in the workflow
  },
});
