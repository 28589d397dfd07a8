import assert from "node:assert/strict";
import test from "node:test";
import { promptOf } from "../../js/dataset/prompt_of.js";

test("the prompt of a picture is found behind its inputs, the positive one", () => {
  const text = (name, value) => ({ inputs: [], widgets: [{ name, value }] });
  const [bad, good] = [text("text", "ugly"), text("text", "a fox\n red hair \n")];
  const sampler = { inputs: [{ name: "negative", link: 1 }, { name: "positive", link: 2 }], widgets: [] };
  const preview = { inputs: [{ name: "images", link: 3 }], widgets: [] };
  assert.equal(promptOf(preview, (id) => ({ 1: bad, 2: good, 3: sampler })[id]), "a fox red hair", "all of it, on one line");
  assert.equal(promptOf(preview, () => null), "");
  const training = { inputs: [{ name: "preview", link: 1 }], widgets: [] };
  assert.equal(promptOf(training, () => text("prompts", "one\ntwo")), "one");
  const circle = { inputs: [{ name: "images", link: 4 }], widgets: [] };
  assert.equal(promptOf(circle, () => circle), "");
});
