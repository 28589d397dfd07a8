import assert from "node:assert/strict";
import test from "node:test";
import { History, inverse } from "../../js/dataset/history.js";

const captions = (name) => ({ action: "captions", values: { captions: { [name]: "old" }, versions: { [name]: "1" } } });

test("an edit is taken back by its inverse, based on what it has left", () => {
  const edit = (action, values = {}) => ({ action, values });
  const images = [{ name: "a", version: "2" }, { name: "b", version: "3" }];
  assert.deepEqual(inverse(edit("captions"), { before: { a: "x" }, images }), edit("captions", { captions: { a: "x" }, versions: { a: "2" } }));
  assert.deepEqual(inverse(edit("mark", { marks: { a: "validation" } }), { before: { a: null } }), edit("mark", { marks: { a: null }, based_on: { a: "validation" } }));
  assert.deepEqual(inverse(edit("exclude", { name: "a", is_excluded: true }), { name: ".excluded/a" }), edit("exclude", { name: ".excluded/a", is_excluded: false }));
  assert.deepEqual(inverse(edit("add"), { names: ["a"] }), edit("remove", { names: ["a"], is_removed: true }));
  assert.equal(inverse(edit("tag"), { before: {} }), null);
  assert.equal(inverse(edit("add"), { names: [] }), null);
  assert.equal(inverse(edit("remove"), {}), null);
});

test("a step is kept until all of it is taken back", async () => {
  const history = new History();
  history.add(captions("a"), null, captions("b"));
  const done = [];
  const failing = async (edit) => {
    if (done.length) throw new Error("no connection");
    done.push(edit);
  };
  await assert.rejects(history.takeBack(failing), /no connection/);
  assert.equal(history.isEmpty, false);
  await history.takeBack(async (edit) => void done.push(edit));
  assert.deepEqual(done.map(({ values }) => Object.keys(values.captions)[0]), ["a", "b"], "what was done is not done twice");
  assert.equal(history.isEmpty, true);
});

test("what can never be taken back is given up, what has changed is taken back when asked again", async () => {
  const history = new History();
  history.add(captions("first"));
  history.add(captions("gone"));
  history.giveUp();
  history.insist();
  await history.takeBack(async ({ values }) => assert.deepEqual(values, { captions: { first: "old" } }));
  assert.equal(history.isEmpty, true);
});

test("the last hundred steps are kept", async () => {
  const history = new History();
  for (let number = 1; number <= 150; number++) history.add(captions(String(number)));
  const names = [];
  while (!history.isEmpty) await history.takeBack(async ({ values }) => void names.push(...Object.keys(values.captions)));
  assert.deepEqual([names.length, names[0], names.at(-1)], [100, "150", "51"]);
});
