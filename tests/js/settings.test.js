import assert from "node:assert";
import test from "node:test";

import { setting } from "../../js/shared/settings.js";

const asked = (name) => (id) => `${name} ${id}`;

test("the current call is used where the page has it", () => {
  const page = { extensionManager: { setting: { get: asked("new") } }, ui: { settings: { getSettingValue: asked("old") } } };
  assert.equal(setting(page, "Comfy.Locale"), "new Comfy.Locale");
});

test("a page without it is asked by the old call", () => {
  const old = { settings: { getSettingValue: asked("old") } };
  for (const extensionManager of [undefined, {}, { setting: {} }])
    assert.equal(setting({ extensionManager, ui: old }, "Comfy.Locale"), "old Comfy.Locale");
});

test("the call keeps its object", () => {
  const store = { values: { a: 1 }, get(id) { return this.values[id]; } };
  assert.equal(setting({ extensionManager: { setting: store } }, "a"), 1);
  const old = { values: { a: 2 }, getSettingValue(id) { return this.values[id]; } };
  assert.equal(setting({ ui: { settings: old } }, "a"), 2);
});

test("a page with neither tells nothing", () => {
  assert.equal(setting({}, "Comfy.Locale"), undefined);
});
