import assert from "node:assert/strict";
import test from "node:test";
import { clock, short } from "../../js/shared/number_format.js";

test("numbers and times are short", () => {
  assert.deepEqual([0, 0.01234, 2e-4, 123456, 12.345, null, NaN].map(short), ["0", "0.0123", "2.0e-4", "1.2e5", "12.3", "–", "–"]);
  assert.deepEqual([0, 61, 3600 + 125, -4].map(clock), ["0:00", "1:01", "1:02:05", "0:00"]);
});
