import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import test from "node:test";
import { filtered, markCounts, recount, sharersOf, tagsOf } from "../../js/dataset/dataset_model.js";

const TABLE = JSON.parse(readFileSync(new URL("../support/tags.json", import.meta.url), "utf8"));

test("captions are parted into tags as training parts them", () => {
  for (const [caption, tags] of TABLE) assert.deepEqual(tagsOf(caption), tags, caption);
});

test("a caption without open parentheses is parted as it is beside one that has some", () => {
  for (const caption of ["_a,b_ , , C\\(d\\) e,_", " fox ,FOX,red_hair", "", ",", "a\\)b, \\(c"]) {
    assert.deepEqual(tagsOf(caption), tagsOf(`${caption},(x, y)`).slice(0, -1), caption);
  }
});

test("all chosen tags must be there", () => {
  const images = [{ caption: "fox, red hair" }, { caption: "fox" }, { caption: "cat" }];
  assert.equal(filtered(images, new Set(["fox"])).length, 2);
  assert.deepEqual(filtered(images, new Set(["fox", "red hair"])), [images[0]]);
  assert.equal(filtered(images, new Set()).length, 3);
});

test("counts of tags follow a change of an image", () => {
  const counts = new Map([["fox", 2], ["day", 1]]);
  const image = (caption, is_excluded = false) => ({ caption, is_excluded });
  recount(counts, image("fox, day"), image("fox, night, night"));
  assert.deepEqual([...counts], [["fox", 2], ["night", 1]]);
  recount(counts, image("fox, night"), image("fox, night", true));
  assert.deepEqual([...counts], [["fox", 1]]);
  recount(counts, undefined, image("cat"));
  assert.equal(counts.get("cat"), 1);
});

test("images of one stem share their caption, unless a metadata file has it", () => {
  const image = (name, caption_file, metadata = "") => ({ name, caption_file, metadata });
  const shared = sharersOf([image("a.png", "a.txt"), image("a.jpg", "a.txt"), image("b.png", "b.txt"), image("b.jpg", "b.txt", "m.json")]);
  assert.deepEqual([...shared], [["a.png", ["a.jpg"]], ["a.jpg", ["a.png"]]]);
});

test("marks are counted without excluded images", () => {
  const image = (mark, is_excluded = false) => ({ mark, is_excluded });
  const images = [image("validation"), image("validation", true), image("regularization"), image(null)];
  assert.deepEqual(markCounts(images), { validation: 1, regularization: 1 });
});
