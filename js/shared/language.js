// @ts-check
// The language of the page.

import { app } from "./comfy.js";
import { setting } from "./settings.js";
import { translator } from "./strings.js";

/** @returns {string | undefined} such as `en`, `zh`, `zh-TW` */
export const locale = () => setting(app, "Comfy.Locale");

/** The pack's texts in the page's language. */
export const texts = () => translator(locale());
