import assert from "node:assert/strict";
import test from "node:test";
import { nextPair, ranking } from "../../js/compare/ranking.js";

function generator(seed) {
  return () => {
    seed = (seed * 1664525 + 1013904223) % 4294967296;
    return seed / 4294967296;
  };
}

const cells = [0, 1, 2].flatMap((lora) => [[0, 0], [1, 0]].map((key) => ({ lora, key })));

test("pairs differ in the LoRA alone, and every pair of LoRAs meets equally often", () => {
  const random = generator(1);
  const shown = [];
  const met = new Map();
  for (let i = 0; i < 12; i++) {
    const pair = nextPair(cells, shown, random);
    const [a, b] = [cells[pair.one], cells[pair.other]];
    assert.notEqual(a.lora, b.lora);
    assert.deepEqual(a.key, b.key);
    shown.push(pair);
    const key = [a.lora, b.lora].sort().join();
    met.set(key, (met.get(key) ?? 0) + 1);
  }
  assert.deepEqual([...met.values()], [4, 4, 4]);
  assert.equal(new Set(shown.slice(0, 6).map(({ one, other }) => [one, other].sort().join())).size, 6);
  assert.equal(nextPair([{ lora: 0, key: 1 }, { lora: 0, key: 1 }], [], random), null);
});

test("sides are drawn: neither LoRA is always left", () => {
  const random = generator(2);
  const left = Array.from({ length: 100 }, () => cells[nextPair(cells.slice(0, 4), [], random).one].lora);
  const share = left.filter((lora) => lora === 0).length / 100;
  assert.ok(share > 0.3 && share < 0.7);
});

test("who wins more stands higher, and an even split is even", () => {
  const beats = (winner, loser, times) => Array.from({ length: times }, () => ({ winner, loser }));
  const order = ranking([...beats(2, 0, 5), ...beats(0, 1, 5), ...beats(2, 1, 5)], 3);
  assert.deepEqual(order.map(({ index }) => index), [2, 0, 1]);
  assert.ok(order.every(({ share }) => share > 0 && share < 1));
  const even = ranking([...beats(0, 1, 3), ...beats(1, 0, 3)], 2);
  assert.ok(Math.abs(even[0].share - even[1].share) < 1e-9);
  assert.deepEqual(ranking([], 2).map(({ share }) => share), [0.5, 0.5]);
});

test("two candidates: the chance between them is what Bradley and Terry give", () => {
  const votes = [...Array(300)].map((_, i) => (i % 4 ? { winner: 0, loser: 1 } : { winner: 1, loser: 0 }));
  const shares = ranking(votes, 2).sort((a, b) => a.index - b.index).map(({ share }) => share / (1 - share));
  assert.ok(Math.abs(shares[0] / (shares[0] + shares[1]) - 0.75) < 0.01);
});
