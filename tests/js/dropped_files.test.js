import assert from "node:assert/strict";
import test from "node:test";
import { areOurs, decoded, freeName, matched, sorted } from "../../js/dataset/dropped_files.js";

const file = (name) => ({ name });
const names = (files) => files.map(({ name }) => name);

test("dropped files are images, captions, or told of", () => {
  const files = sorted([file("a.PNG"), file("a.tags"), file("b.txt"), file("c.gif"), file("notes.pdf")], [".png", ".jpg"], "tags");
  assert.deepEqual([names(files.images), names(files.captions), names(files.others)], [["a.PNG"], ["a.tags", "b.txt"], ["c.gif", "notes.pdf"]]);
  assert.deepEqual(names(sorted([file("A.TXT"), file("B.Tags")], [".png"], ".tags").captions), ["B.Tags", "A.TXT"], "in capitals too");
});

test("what is dropped on a gallery is its own, even where it is not read; workflows are the page's", () => {
  for (const name of ["a.png", "c.GIF", "c.heic", "c.zip", "c"]) assert.ok(areOurs([file("workflow.json"), file(name)]), name);
  for (const name of ["workflow.json", "lora.SAFETENSORS", "made.mp4"]) assert.equal(areOurs([file(name)]), false, name);
});

test("a dropped caption is for the image dropped with it, under the name it got", () => {
  const images = [{ name: "a.png", caption: "old" }, { name: "a (1).png", caption: "" }, { name: "b.jpg", caption: "same" }];
  const texts = [{ name: "a.txt", text: "new" }, { name: "b.txt", text: "same" }, { name: "c.txt", text: "x" }];
  assert.deepEqual(matched(texts, new Map([["a.png", "a (1).png"]]), images), { captions: { "a (1).png": "new" }, homeless: ["c.txt"], doubled: [] });
  assert.deepEqual(matched(texts, new Map(), images).captions, { "a.png": "new" });
});

test("a dropped picture gets no caption of a picture that is there", () => {
  const taken = ["a.jpg", "a-2.png", "b.png", "sub/c.png"];
  const cases = { "a.png": "a-3.png", "a.jpg": "a.jpg", "b.PNG": "b-2.PNG", "c.png": "c.png", "A.png": "A.png" };
  for (const [name, free] of Object.entries(cases)) assert.equal(freeName(name, taken), free);
});

test("letters with marks are the same however a system writes them", () => {
  const images = [{ name: "re\u0301e.png", caption: "" }];
  assert.deepEqual(matched([{ name: "r\u00e9e.txt", text: "new" }], new Map(), images), { captions: { "re\u0301e.png": "new" }, homeless: [], doubled: [] });
});

test("of two captions for one image that training prefers counts, and the other is told of", () => {
  const { captions } = sorted([file("a.caption"), file("a.txt"), file("a.tags")], [".png"], ".tags");
  assert.deepEqual(names(captions), ["a.tags", "a.txt", "a.caption"]);
  const found = matched(captions.map(({ name }) => ({ name, text: name })), new Map(), [{ name: "a.png", caption: "" }]);
  assert.deepEqual(found, { captions: { "a.png": "a.tags" }, homeless: [], doubled: ["a.txt", "a.caption"] });
});

test("a caption that is not UTF-8 is none, rather than one with replaced letters", () => {
  const bytes = (...values) => new Uint8Array(values).buffer;
  assert.equal(decoded(bytes(0xef, 0xbb, 0xbf, 0x61)), "a", "a byte order mark is no letter");
  assert.equal(decoded(bytes(0xc3, 0xb6)), "ö");
  for (const other of [bytes(0x73, 0xf6, 0x73), bytes(0xba, 0xfc), bytes(0xff, 0xfe, 0x61, 0x00)]) assert.equal(decoded(other), undefined);
});
