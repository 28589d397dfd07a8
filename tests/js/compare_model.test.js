import assert from "node:assert/strict";
import test from "node:test";
import { candidates, cellTitle, loraName, verdict, votesByLora } from "../../js/compare/compare_model.js";
import { translator } from "../../js/shared/strings.js";

const t = translator("en");
const cell = (lora, values = {}) => ({ lora, prompt: 0, strength: 0, text_strength: 0, score: null, ...values });
const data = { loras: ["no LoRA", "step 10"], steps: [null, 10], prompts: ["fox"], strengths: [1], text_strengths: [null], means: [], leaks: [null, null] };

test("a picture is named by what differs", () => {
  assert.equal(cellTitle(data, cell(1), t), "step 10 · fox");
  const many = { ...data, strengths: [0.5, 1], text_strengths: [0, 0.25] };
  assert.equal(cellTitle(many, cell(1, { strength: 0, text_strength: 1, score: 0.5 }), t), "step 10 · strength 0.5 · text encoder 0.25 · fox · likeness 0.500");
});

test("LoRAs are named in the page's language, files as they are", () => {
  const zh = translator("zh");
  const three = { loras: ["no LoRA", "step 10", "fox.safetensors"], steps: [null, 10, null] };
  assert.deepEqual([0, 1, 2].map((lora) => loraName(three, lora, zh)), ["无 LoRA", "第 10 步", "fox.safetensors"]);
});

test("a LoRA that changes other subjects a quarter as much as its own is called overfit", () => {
  assert.deepEqual(verdict(data, 1, t), { text: "", isOverfit: false });
  assert.deepEqual(verdict({ ...data, means: [0.2, 0.6], leaks: [null, 0.9] }, 1, t), { text: "0.600\nunasked 90 %", isOverfit: false });
  assert.deepEqual(verdict({ ...data, others_changed: [null, 0.24] }, 1, t), { text: "others changed 24 %", isOverfit: false });
  assert.deepEqual(verdict({ ...data, means: [0.2, 0.6], others_changed: [null, 0.25] }, 1, t), { text: "0.600\noverfit: others changed 25 %", isOverfit: true });
});

test("votes on pictures are votes on their LoRAs, under equal conditions", () => {
  const cells = [cell(0), cell(1), cell(1, { prompt: 1 })];
  assert.deepEqual(votesByLora([[1, 0], [2, 0]], cells), [{ winner: 1, loser: 0 }, { winner: 1, loser: 0 }]);
  assert.deepEqual(candidates(cells)[2], { lora: 1, key: [1, 0, 0] });
});
