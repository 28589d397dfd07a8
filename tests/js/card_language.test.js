import assert from "node:assert/strict";
import { test } from "node:test";

import { AS_THE_PAGE, queuedLanguage } from "../../js/share/card_language.js";

test("the card follows the page where no language is chosen", () => {
  for (const locale of ["zh", "zh-TW"]) assert.equal(queuedLanguage(AS_THE_PAGE, locale), "中文");
  for (const locale of ["en", "de", undefined]) assert.equal(queuedLanguage(AS_THE_PAGE, locale), AS_THE_PAGE);
});

test("a chosen language stays on every page", () => {
  assert.equal(queuedLanguage("English", "zh"), "English");
  assert.equal(queuedLanguage("中文", "en"), "中文");
});
