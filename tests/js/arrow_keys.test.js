import assert from "node:assert/strict";
import test from "node:test";
import { move } from "../../js/shared/arrow_keys.js";

test("keys move within the grid only", () => {
  assert.deepEqual(move({ column: 0, row: 0 }, "ArrowLeft", 3, 2), { column: 0, row: 0 });
  assert.deepEqual(move({ column: 2, row: 1 }, "ArrowRight", 3, 2), { column: 2, row: 1 });
  assert.deepEqual(move({ column: 1, row: 1 }, "ArrowUp", 3, 2), { column: 1, row: 0 });
  assert.deepEqual(move({ column: 1, row: 1 }, "End", 3, 2), { column: 2, row: 1 });
  assert.equal(move({ column: 1, row: 1 }, "a", 3, 2), null);
});
