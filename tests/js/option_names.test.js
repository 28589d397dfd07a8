import assert from "node:assert/strict";
import test from "node:test";
import { nameOptions } from "../../js/shared/option_names.js";

const node = () => ({ widgets: [{ name: "after_stop", value: "stay", options: { values: ["go on", "stay"] } }, { name: "steps", options: {} }, { name: "algorithm", options: { values: ["lora"] } }] });

test("choices are named in Chinese and keep their values", () => {
  const named = node();
  nameOptions(named, "zh-TW");
  const [choice, number, algorithm] = named.widgets;
  assert.deepEqual(choice.options.values.map(choice.options.getOptionLabel), ["继续训练", "保持原样"]);
  assert.equal(choice.value, "stay");
  assert.equal(choice.options.getOptionLabel(null), "");
  assert.equal(number.options.getOptionLabel, undefined);
  assert.equal(algorithm.options.getOptionLabel("lora"), "lora");
});

test("in other languages nothing is changed", () => {
  for (const locale of ["en", "fr", undefined]) {
    const plain = node();
    nameOptions(plain, locale);
    assert.deepEqual(JSON.stringify(plain), JSON.stringify(node()));
  }
});
