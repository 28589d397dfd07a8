// @ts-check
// Formats of numbers and times in the panels. Pure functions.

/**
 * A number in few characters: 0.0123, 1.2e-5, 12.3.
 * @param {number | null | undefined} value
 * @returns {string}
 */
export function short(value) {
  if (value == null || !Number.isFinite(value)) return "–";
  if (value === 0) return "0";
  const size = Math.abs(value);
  if (size < 1e-3 || size >= 1e5) return value.toExponential(1).replace("e+", "e");
  return String(Number(value.toPrecision(3)));
}

/**
 * Seconds as m:ss or h:mm:ss.
 * @param {number} seconds
 * @returns {string}
 */
export function clock(seconds) {
  const whole = Math.max(0, Math.floor(seconds));
  const two = (/** @type {number} */ number) => String(number).padStart(2, "0");
  const [hours, minutes] = [Math.floor(whole / 3600), Math.floor(whole / 60) % 60];
  return hours ? `${hours}:${two(minutes)}:${two(whole % 60)}` : `${minutes}:${two(whole % 60)}`;
}
