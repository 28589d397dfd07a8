import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import test from "node:test";
import { KEYS, translator } from "../../js/shared/strings.js";

test("both languages have the same texts", () => {
  assert.deepEqual([...KEYS.zh].sort(), [...KEYS.en].sort());
});

test("placeholders are filled, other languages get English", () => {
  assert.equal(translator("fr")("step", { step: 3, total: 9 }), "step 3 of 9");
  assert.match(translator("zh-TW")("step", { step: 3, total: 9 }), /3.*9/);
  assert.throws(() => translator("en")("no such text"));
});

test("every text that the code names exists", () => {
  const files = ["compare/", "dataset/", "share/", "shared/", "train/"].flatMap((folder) =>
    readdirSync(new URL(`../../js/${folder}`, import.meta.url)).filter((name) => name.endsWith(".js")).map((name) => folder + name));
  for (const file of files) {
    const source = readFileSync(new URL(`../../js/${file}`, import.meta.url), "utf8");
    for (const [, key] of source.matchAll(/\b(?:t|texts\(\))\("(\w+)"/g)) assert.ok(KEYS.en.includes(key), `${file}: ${key}`);
  }
});
