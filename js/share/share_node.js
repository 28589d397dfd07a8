// @ts-check
// Puts a button on Share LoRA (nodes/lora/share.py): runs this node and what it needs, not the rest of the graph. Its
// card follows the page's language.

import { app } from "../shared/comfy.js";
import { locale, texts } from "../shared/language.js";
import { queuedLanguage } from "./card_language.js";

const NODE = "BakeryShareLoRA";

app.registerExtension({
  name: "LoRABakery.Share",
  nodeCreated(node) {
    if (node.comfyClass !== NODE) return;
    const language = node.widgets?.find((widget) => widget.name === "language");
    if (language) language.serializeValue = () => queuedLanguage(language.value, locale());
    const share = () => app.queuePrompt(0, 1, [String(node.id)]);
    const button = node.addWidget("button", texts()("share"), null, share, { serialize: false }); // not in the prompt
    button.serialize = false; // nor in the workflow
  },
});
