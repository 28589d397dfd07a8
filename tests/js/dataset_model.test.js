import assert from "node:assert/strict";
import test from "node:test";
import { filtered, History, promptOf, tagsOf } from "../../js/lib/dataset_model.js";

test("tags are parted at commas outside parentheses and compared in one form", () => {
  assert.deepEqual(tagsOf("Red_Hair, (a, b:1.2), , tail"), ["red hair", "(a, b:1.2)", "tail"]);
  assert.deepEqual(tagsOf(""), []);
});

test("a filter shows images with all chosen tags", () => {
  const images = [{ caption: "a, b" }, { caption: "a" }, { caption: "ab, b" }];
  assert.deepEqual(filtered(images, new Set(["a", "b"])), [images[0]]);
  assert.equal(filtered(images, new Set()), images);
});

test("edits are taken back, the last first", () => {
  const history = new History();
  history.add({ x: "1" });
  history.add({});
  history.add({ x: "2" });
  assert.deepEqual([history.takeBack(), history.takeBack(), history.takeBack()], [{ x: "2" }, { x: "1" }, undefined]);
  assert.ok(history.isEmpty);
});

test("the positive prompt is found through sampler and decoder, in graphs with loops too", () => {
  const text = (value) => ({ widgets: [{ name: "text", value }] });
  const nodes = {};
  nodes.positive = text("a fox\nmore");
  nodes.negative = text("ugly");
  nodes.sampler = { inputs: [{ name: "negative", link: "negative" }, { name: "model", link: "decode" }, { name: "positive", link: "positive" }] };
  nodes.decode = { inputs: [{ name: "samples", link: "sampler" }] };
  nodes.save = { inputs: [{ name: "images", link: "decode" }, { name: "mask", link: null }] };
  assert.equal(promptOf(nodes.save, (id) => nodes[id]), "a fox");
  assert.equal(promptOf({ inputs: [] }, () => null), "");
});
