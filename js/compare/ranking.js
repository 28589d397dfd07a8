// @ts-check
// Blind votes between two pictures, and the ranking they make. Pure functions.

/**
 * @typedef {object} Vote
 * @property {number} winner
 * @property {number} loser
 */

/**
 * Pictures to show next: the two candidates that met least, under the conditions they met least; sides by chance.
 * @param {{lora: number, key: any}[]} cells
 * @param {{one: number, other: number}[]} shown pairs of cell indices so far
 * @param {() => number} random 0..1
 * @returns {{one: number, other: number} | null} indices of cells; null where no two pictures can be compared
 */
export function nextPair(cells, shown, random) {
  const met = new Map();
  for (const { one, other } of shown) {
    const key = pairKey(cells[one].lora, cells[other].lora);
    met.set(key, (met.get(key) ?? 0) + 1);
  }
  const seen = new Set(shown.flatMap(({ one, other }) => [`${one} ${other}`, `${other} ${one}`]));
  let best = null;
  for (let one = 0; one < cells.length; one++) {
    for (let other = one + 1; other < cells.length; other++) {
      const [a, b] = [cells[one], cells[other]];
      if (a.lora === b.lora || String(a.key) !== String(b.key)) continue;
      const cost = (met.get(pairKey(a.lora, b.lora)) ?? 0) + (seen.has(`${one} ${other}`) ? 1000 : 0) + random() * 0.5;
      if (!best || cost < best.cost) best = { one, other, cost };
    }
  }
  if (!best) return null;
  return random() < 0.5 ? { one: best.one, other: best.other } : { one: best.other, other: best.one };
}

/** @param {number} a @param {number} b */
const pairKey = (a, b) => `${Math.min(a, b)} ${Math.max(a, b)}`;

/**
 * Strength of each candidate by Bradley and Terry's model (Biometrika 1952): the chance that a beats b is
 * a / (a + b). One tie against an imagined average keeps those without a loss finite.
 * @param {Vote[]} votes
 * @param {number} count of candidates
 * @returns {{index: number, share: number, wins: number, votes: number}[]} the best first; share is the chance to beat
 *   the average
 */
export function ranking(votes, count) {
  let strengths = Array.from({ length: count }, () => 1);
  for (let round = 0; round < 200; round++) {
    strengths = strengths.map((strength, index) => {
      let [wins, weight] = [0.5, 1 / (strength + 1)];
      for (const { winner, loser } of votes) {
        if (winner === index) wins++;
        if (winner === index || loser === index) weight += 1 / (strengths[winner] + strengths[loser]);
      }
      return wins / weight;
    });
  }
  return strengths
    .map((strength, index) => ({
      index, share: strength / (strength + 1), wins: votes.filter((vote) => vote.winner === index).length,
      votes: votes.filter((vote) => vote.winner === index || vote.loser === index).length,
    }))
    .sort((a, b) => b.share - a.share || a.index - b.index);
}
