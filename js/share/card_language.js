// @ts-check
// In which language Share LoRA writes its card when it is to follow the page.

export const AS_THE_PAGE = "as the page";
const CHINESE = "中文";

/**
 * What is queued for a choice of language: Chinese on a Chinese page; otherwise the choice, which then means English.
 * @param {unknown} chosen value of the widget
 * @param {string | undefined} locale of the page, such as `en`, `zh-TW`
 */
export const queuedLanguage = (chosen, locale) =>
  chosen === AS_THE_PAGE && (locale ?? "").startsWith("zh") ? CHINESE : chosen;
