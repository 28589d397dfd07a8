import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import test from "node:test";
import { said } from "../../js/shared/said.js";
import { SENTENCES } from "../../js/shared/said_zh.js";

/** All Python files below a folder, as one text in which a string that is written in several pieces is whole. */
function pythonOf(folder) {
  const files = readdirSync(new URL(`../../${folder}`, import.meta.url), { recursive: true }).filter((name) => name.endsWith(".py"));
  return files.map((name) => readFileSync(new URL(`../../${folder}/${name}`, import.meta.url), "utf8")).join("\n").replace(/"\s*\n\s*f?"/g, "");
}

test("every sentence is one that the nodes say", () => {
  const source = pythonOf("training") + pythonOf("nodes");
  for (const [english] of SENTENCES) {
    for (const part of english.split(/\{\w?\}|\|/)) assert.ok(source.includes(part), `${JSON.stringify(part)} of: ${english}`);
  }
});

test("every value of the English stands in the Chinese once", () => {
  for (const [english, chinese] of SENTENCES) {
    const values = (english.match(/\{[nt]?\}/g) ?? []).map((_, index) => `{${index + 1}}`);
    assert.deepEqual((chinese.match(/\{\d\}/g) ?? []).sort(), values, english);
  }
});

test("other languages hear what the server says", () => {
  for (const locale of [undefined, "en", "fr"]) assert.equal(said("12 images, 24 per epoch", locale), "12 images, 24 per epoch");
});

test("sentences are translated with their numbers and names, several in one text", () => {
  assert.equal(said("12 images, 24 per epoch, 2 for validation", "zh"), "12 张图片，每轮 24 张，另有 2 张用于验证");
  const opening = said("continued from step 400 of 1,000; will write about 1.2 GB, all kept steps (keep_last 0) among it · model predicts epsilon", "zh-TW");
  assert.match(opening, /^从第 400 步继续，共 1,000 步；将写入约 1.2 GB，.*keep_last.* · 模型的预测类型：epsilon$/);
});

test("what stands in a sentence may be translated itself; what users typed is not", () => {
  assert.equal(said("Caution: it will learn next to nothing", "zh"), "注意：几乎学不到东西");
  assert.equal(said("3 images, 3 per epoch written to input/none", "zh"), "3 张图片，每轮 3 张，已写入 input/none");
  assert.equal(said("none is the output: the last", "zh"), "输出的是 none：最后一个");
  const length = "- 450 images to be seen: 1000 for character B with good images x 1.5 (exact likeness) x 0.3 (known to the model)";
  assert.equal(said(length, "zh"), "- 共要看 450 张图片：图片好的角色 B：1000 张 x 1.5（精确） x 0.3（模型已认识）");
  assert.equal(said("$& is the output: chosen on this node", "zh"), "输出的是 $&：在本节点选定");
});

test("a sentence that is not known stays", () => {
  assert.equal(said("12 images, 24 per epoch\nsomething else: 3\n  line", "zh"), "12 张图片，每轮 24 张\nsomething else: 3\n  line");
});
