// @ts-check
// Where the pictures of a strip lie: a row a prompt, a column a step. Pure functions; pixels.

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
 * Sizes of a strip that fills `room` as well as it can without shrinking pictures to nothing.
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
 * Columns that can be seen, with one more on each side: [first, behind the last].
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
 * Where a key leads from a cell; null for a key that does not move.
 * @param {{column: number, row: number}} from
 * @param {string} key
 * @param {number} numColumns
 * @param {number} numRows
 * @returns {{column: number, row: number} | null}
 */
export function move(from, key, numColumns, numRows) {
  const moves = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
  if (key === "Home") return { column: 0, row: from.row };
  if (key === "End") return { column: numColumns - 1, row: from.row };
  const [dx, dy] = moves[/** @type {keyof moves} */ (key)] ?? [];
  if (dx === undefined) return null;
  const clamp = (/** @type {number} */ value, /** @type {number} */ count) => Math.min(count - 1, Math.max(0, value));
  return { column: clamp(from.column + dx, numColumns), row: clamp(from.row + dy, numRows) };
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
