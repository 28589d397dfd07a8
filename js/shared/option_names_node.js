// @ts-check
// Shows the choices of this pack's nodes in the page's language.

import { app } from "./comfy.js";
import { nameOptions } from "./option_names.js";

app.registerExtension({
  name: "LoRABakery.OptionNames",
  nodeCreated(node) {
    if (node.comfyClass?.startsWith("Bakery")) nameOptions(node, app.ui.settings.getSettingValue("Comfy.Locale"));
  },
});
