// @ts-check
// A setting of ComfyUI's page, by the call that the page has.

/**
 * @typedef {{
 *   extensionManager?: { setting?: { get?: (id: string) => any } },
 *   ui?: { settings?: { getSettingValue?: (id: string) => any } },
 * }} Page
 */

/**
 * @param {Page} page
 * @param {string} id
 * @returns {any} undefined where the page tells nothing
 */
export const setting = (page, id) => {
  const current = page.extensionManager?.setting;
  return current?.get ? current.get(id) : page.ui?.settings?.getSettingValue?.(id);
};
