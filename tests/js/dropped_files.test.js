import assert from "node:assert/strict";
import test from "node:test";
import { matched, sorted } from "../../js/dataset/dropped_files.js";

const file = (name, type = "") => ({ name, type });
const names = (files) => files.map(({ name }) => name);

test("dropped files are images, captions, or told of", () => {
  const files = sorted([file("a.PNG"), file("a.tags"), file("b.txt"), file("c.gif", "image/gif"), file("notes.pdf")], [".png", ".jpg"], "tags");
  assert.deepEqual([names(files.images), names(files.captions), names(files.others)], [["a.PNG"], ["a.tags", "b.txt"], ["c.gif", "notes.pdf"]]);
  assert.ok(files.isOurs);
  assert.deepEqual(names(sorted([file("A.TXT"), file("B.Tags")], [".png"], ".tags").captions), ["A.TXT", "B.Tags"], "in capitals too");
  assert.ok(sorted([file("c.gif", "image/gif")], [".png"], ".txt").isOurs, "an image that is not read is told of");
  assert.equal(sorted([file("workflow.json", "application/json")], [".png"], ".txt").isOurs, false, "that is for the page");
});

test("a dropped caption is for the image dropped with it, under the name it got", () => {
  const images = [{ name: "a.png", caption: "old" }, { name: "a (1).png", caption: "" }, { name: "b.jpg", caption: "same" }];
  const texts = [{ name: "a.txt", text: "new" }, { name: "b.txt", text: "same" }, { name: "c.txt", text: "x" }];
  assert.deepEqual(matched(texts, new Map([["a.png", "a (1).png"]]), images), { captions: { "a (1).png": "new" }, homeless: ["c.txt"] });
  assert.deepEqual(matched(texts, new Map(), images).captions, { "a.png": "new" });
});
