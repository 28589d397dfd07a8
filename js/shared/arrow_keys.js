// @ts-check
// Arrow keys in a grid of cells. Pure functions.

/** @typedef {{column: number, row: number}} Place */

/** @type {Record<string, [number, number] | undefined>} */
const MOVES = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };

/**
 * The cell that a key leads to.
 * @param {Place} from
 * @param {string} key of a `KeyboardEvent`
 * @param {number} numColumns
 * @param {number} numRows
 * @returns {Place | null} null for a key that does not move
 */
export function move(from, key, numColumns, numRows) {
  if (key === "Home") return { column: 0, row: from.row };
  if (key === "End") return { column: numColumns - 1, row: from.row };
  const offset = MOVES[key];
  if (!offset) return null;
  const clamp = (/** @type {number} */ value, /** @type {number} */ count) => Math.min(count - 1, Math.max(0, value));
  return { column: clamp(from.column + offset[0], numColumns), row: clamp(from.row + offset[1], numRows) };
}
