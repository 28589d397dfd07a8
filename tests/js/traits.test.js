import assert from "node:assert/strict";
import test from "node:test";
import { withTags } from "../../js/dataset/traits.js";

test("tags are added at the end, each once, whatever the list looks like", () => {
  assert.equal(withTags("", ["red hair", "freckles"]), "red hair, freckles");
  assert.equal(withTags("sky,\nRed_Hair,", ["red hair", "freckles"]), "sky,\nRed_Hair, freckles");
  assert.equal(withTags("sky", []), "sky");
  assert.equal(withTags("miku_\\(vocaloid\\)", ["miku (vocaloid)"]), "miku_\\(vocaloid\\)", "escaped or not");
});
