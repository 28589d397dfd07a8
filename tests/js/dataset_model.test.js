import assert from "node:assert/strict";
import test from "node:test";
import { filtered, History, inverse, markCounts, promptOf, tagsOf } from "../../js/dataset/dataset_model.js";

test("tags are parted at commas outside parentheses and compared in one form", () => {
  assert.deepEqual(tagsOf("Red_Hair, (a, b:1.2), , tail"), ["red hair", "(a, b:1.2)", "tail"]);
  assert.deepEqual(tagsOf(""), []);
});

test("a filter shows images with all chosen tags", () => {
  const images = [{ caption: "a, b" }, { caption: "a" }, { caption: "ab, b" }];
  assert.deepEqual(filtered(images, new Set(["a", "b"])), [images[0]]);
  assert.equal(filtered(images, new Set()), images);
});

test("edits are taken back, the last first; what changed nothing is left out", () => {
  const history = new History();
  const add = (action, values, answer) => history.add(inverse({ action, values }, answer));
  add("captions", { captions: { x: "2" } }, { before: { x: "1" } });
  add("captions", { captions: { x: "2" } }, { before: {} });
  add("tag", { tag: "a", new: "b" }, { before: { y: "a" } });
  add("mark", { marks: { x: "validation" } }, { before: { x: null } });
  add("exclude", { name: "x", is_excluded: true }, { name: ".excluded/x" });
  add("add", {}, { names: ["z"] });
  add("add", {}, { names: [] });
  const back = [];
  while (!history.isEmpty) back.push(history.takeBack());
  assert.deepEqual(back, [
    { action: "remove", values: { names: ["z"], is_removed: true } },
    { action: "exclude", values: { name: ".excluded/x", is_excluded: false } },
    { action: "mark", values: { marks: { x: null } } },
    { action: "captions", values: { captions: { y: "a" } } },
    { action: "captions", values: { captions: { x: "1" } } },
  ]);
});

test("marks are counted without excluded images", () => {
  const images = [["validation", false], ["validation", true], ["regularization", false], [null, false]];
  const counts = markCounts(images.map(([mark, is_excluded]) => ({ mark, is_excluded })));
  assert.deepEqual(counts, { validation: 1, regularization: 1 });
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
