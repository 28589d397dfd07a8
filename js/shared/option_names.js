// @ts-check
// Chinese names of choices. ComfyUI translates the names of inputs from locales/, but not their choices.
// The English value is always what is saved and sent. Names of algorithms, optimizers, formats and presets stay as they are.

/** @type {Record<string, Record<string, string>>} by input, then by value */
export const CHINESE = {
  accuracy: { loose: "大致相像", normal: "一般", exact: "精确" },
  after_stop: { "go on": "继续训练", stay: "保持原样" },
  algorithm: { auto: "自动", full: "full（完整差值）" },
  alpha_compensation: { none: "无", sqrt: "平方根", full: "完全" },
  cache: { ram: "内存", disk: "磁盘" },
  columns: { LoRA: "LoRA", prompt: "提示词", strength: "强度", "text encoder": "文本编码器" },
  gradient_checkpointing: { auto: "自动", on: "开", finer: "更细", off: "关" },
  huber_schedule: { constant: "恒定", exponential: "指数", snr: "按信噪比" },
  image_quality: { good: "好", poor: "差" },
  language: { "as the page": "跟随界面", English: "English", 中文: "中文" },
  method: { sum: "相加（sum）", add_difference: "加上差值（add_difference）", ties: "TIES", dare: "DARE" },
  on_dataset_change: { "start over": "重新开始", continue: "从现有权重继续" },
  on_more_steps: { add: "追加", stretch: "拉长并重新训练" },
  pick: { "picked in the strip": "预览图中所选", last: "最后一步", "best by validation": "验证损失最低", step: "指定步数" },
  preset: { none: "无预设" },
  prior_preservation: {
    off: "关", regularization_images: "正则化图片", captions_without_trigger: "去掉触发词的标注", extra_term: "附加损失项",
  },
  profile: {
    auto: "自动", normal: "一般", "low VRAM (SDXL)": "低显存（SDXL）", "SD1.5 anime": "SD1.5 动漫", "SDXL base": "SDXL 原版",
    Illustrious: "Illustrious", "NoobAI epsilon": "NoobAI（ε 预测）", "NoobAI v-prediction": "NoobAI（v 预测）", Pony: "Pony",
  },
  rank_method: { fixed: "固定", sv_ratio: "奇异值比（sv_ratio）", sv_fro: "Frobenius 范数（sv_fro）", sv_cumulative: "累计和（sv_cumulative）" },
  rates: { "found by the optimizer": "由优化器确定", fixed: "固定" },
  rows: { LoRA: "LoRA", prompt: "提示词", strength: "强度", "text encoder": "文本编码器" },
  schedule: {
    constant: "恒定", linear: "线性", cosine: "余弦", cosine_with_restarts: "余弦重启", polynomial: "多项式", inverse_sqrt: "平方根倒数",
    warmup_stable_decay: "预热、稳定、衰减", logarithmic: "对数", rex: "REX",
  },
  subject: {
    "character A: a simple, plausible girl without odd details": "角色 A：简单自然的女孩，没有特别之处",
    "character B: an unusual face, hair, colours or outfit": "角色 B：面貌、发型、配色或服装较特别",
    "character C: very elaborate, or with wings, armour or a tail": "角色 C：非常繁复，或有翅膀、盔甲、尾巴",
    "character D: a humanoid, or an animal of human build": "角色 D：类人生物，或人形体态的动物",
    "character E: a body plan stranger than that": "角色 E：体态更为奇特",
    "character F: an animal-like creature, dragon, humanoid robot or fancy armour": "角色 F：兽类、龙、人形机器人或华丽盔甲",
    "character G: a mecha, alien, demon or being of many legs, still of human shape": "角色 G：机甲、外星人、恶魔或多足者，仍近人形",
    "character H: a robot, monster, insect or real animal, not of human shape": "角色 H：机器人、怪物、昆虫或真实动物，非人形",
    "character I: something without a body plan of this world": "角色 I：不具现实世界体态之物",
    "realistic person: a real human, or drawn to look like one": "写实人物：真人，或画得像真人",
    "style: a way of drawing, painting or lighting": "风格：画法、笔触或光影",
    "concept: a pose, thing, garment or situation": "概念：姿势、物品、服装或场景",
    "vehicle: a car, ship, plane or other machine": "载具：汽车、船、飞机或其他机械",
  },
  targets: {
    attention: "注意力层", attention_feed_forward: "注意力与前馈层", blocks: "整个块", all_linear: "所有线性层", all: "所有层",
  },
  text_encoder: { auto: "自动", trained: "训练", frozen: "不训练" },
  timestep_distribution: { uniform: "均匀", logit_normal: "logit 正态", low_discrepancy: "低差异" },
};

/**
 * Shows a node's choices in the page's language; no effect unless that is Chinese.
 * @param {any} node
 * @param {string | undefined} locale
 */
export function nameOptions(node, locale) {
  if (!(locale ?? "").startsWith("zh")) return;
  for (const widget of node.widgets ?? []) {
    const names = CHINESE[widget.name];
    if (names && widget.options?.values) {
      widget.options.getOptionLabel = (/** @type {string | null} */ value) => (value == null ? "" : names[value] ?? value);
    }
  }
}
