import assert from "node:assert/strict";
import test from "node:test";
import { layout, place, previewFile, visibleColumns } from "../../js/train/preview_grid.js";

test("cells do not overlap and lie in the content", () => {
  for (const aspect of [0.5, 1, 2.4]) {
    const grid = layout({ width: 400, height: 300 }, 12, 3, aspect);
    for (let row = 0; row < 3; row++) {
      for (let column = 0; column < 12; column++) {
        const { left, top } = place(grid, column, row);
        assert.ok(left + grid.cellWidth <= grid.width && top + grid.cellHeight <= grid.height);
        if (column) assert.ok(left >= place(grid, column - 1, row).left + grid.cellWidth);
        if (row) assert.ok(top >= place(grid, column, row - 1).top + grid.cellHeight);
      }
    }
  }
});

test("a thousand steps put only a few columns into the page, and all that can be seen", () => {
  const grid = layout({ width: 400, height: 200 }, 1000, 2, 1);
  for (const scrollLeft of [0, 333, grid.width / 2, grid.width - 400]) {
    const [first, end] = visibleColumns(grid, scrollLeft, 400);
    assert.ok(end - first <= 400 / grid.cellWidth + 4);
    assert.ok(place(grid, first, 0).left <= Math.max(0, scrollLeft) && place(grid, end, 0).left >= Math.min(grid.width, scrollLeft + 400));
  }
  assert.deepEqual(visibleColumns(layout({ width: 400, height: 200 }, 0, 1, 1), 0, 400), [0, 0]);
});

test("files are named as the server names them", () => {
  assert.equal(previewFile(0, 0), "step000000-00.png");
  assert.equal(previewFile(1234567, 12), "step1234567-12.png");
});
