// @ts-check
// Layout of the preview strip: a row per prompt, a column per step. Pure functions; pixels.

export const GAP = 4;
export const LABEL_HEIGHT = 16;
export const HEADER_HEIGHT = 16;
const SIZES = { smallest: 56, largest: 128 };

/**
 * @typedef {object} Grid
 * @property {number} cellWidth
 * @property {number} cellHeight
 * @property {number} width of all columns
 * @property {number} height of all rows with labels
 * @property {number} numColumns
 * @property {number} numRows
 */

/**
 * Sizes of a strip that fills `room` as well as possible without making pictures too small.
 * @param {{width: number, height: number}} room
 * @param {number} numColumns
 * @param {number} numRows
 * @param {number} aspect width / height of a picture
 * @returns {Grid}
 */
export function layout(room, numColumns, numRows, aspect) {
  const rows = Math.max(1, numRows);
  const free = (room.height - HEADER_HEIGHT) / rows - LABEL_HEIGHT - GAP;
  const cellHeight = Math.round(Math.min(SIZES.largest, Math.max(SIZES.smallest, free)));
  const cellWidth = Math.round(Math.min(SIZES.largest * 2, Math.max(SIZES.smallest / 2, cellHeight * aspect)));
  return {
    cellWidth,
    cellHeight,
    width: numColumns * (cellWidth + GAP),
    height: HEADER_HEIGHT + rows * (cellHeight + LABEL_HEIGHT + GAP),
    numColumns,
    numRows: rows,
  };
}

/**
 * Visible columns, with one more on each side: [first, after the last].
 * @param {Grid} grid
 * @param {number} scrollLeft
 * @param {number} width of the visible part
 * @returns {[number, number]}
 */
export function visibleColumns(grid, scrollLeft, width) {
  const size = grid.cellWidth + GAP;
  const first = Math.max(0, Math.floor(scrollLeft / size) - 1);
  const last = Math.min(grid.numColumns, Math.ceil((scrollLeft + width) / size) + 1);
  return [Math.min(first, last), last];
}

/**
 * Place of a picture.
 * @param {Grid} grid
 * @param {number} column
 * @param {number} row
 * @returns {{left: number, top: number}}
 */
export function place(grid, column, row) {
  return {
    left: column * (grid.cellWidth + GAP),
    top: HEADER_HEIGHT + row * (grid.cellHeight + LABEL_HEIGHT + GAP) + LABEL_HEIGHT,
  };
}

/**
 * File name of a preview on the server.
 * @param {number} step
 * @param {number} prompt
 * @returns {string}
 */
export function previewFile(step, prompt) {
  return `step${String(step).padStart(6, "0")}-${String(prompt).padStart(2, "0")}.png`;
}
