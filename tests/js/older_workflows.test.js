import assert from "node:assert/strict";
import test from "node:test";
import { keepEarlier } from "../../js/shared/older_workflows.js";

class Node {
  static nodeData = {
    input: {
      required: { dataset: ["BAKERY_DATASET"], resolution: ["INT", { default: 0 }] },
      optional: { nearest: ["BOOLEAN", { default: true, earlier_default: false }] },
    },
  };

  widgets = [{ name: "resolution", value: 0 }, { name: "panel", value: "", serialize: false }, { name: "nearest", value: true }];
}

function kept(saved) {
  const node = new Node();
  keepEarlier(node, saved);
  return node.widgets[2].value;
}

test("a node that was saved before the input was there keeps the value that it had", () => {
  for (const saved of [[512], [], {}, { resolution: 512 }, null, undefined]) assert.equal(kept(saved), false);
});

test("a node that was saved with the input has what was saved", () => {
  assert.equal(kept([512, true]), true);
  assert.equal(kept({ nearest: true }), true);
});

test("nodes of other packs are left alone", () => {
  const node = { widgets: [{ name: "nearest", value: true }] };
  keepEarlier(node, []);
  keepEarlier({}, []);
  assert.equal(node.widgets[0].value, true);
});
