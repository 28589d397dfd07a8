// @ts-check
// Files dropped on a dataset: images, captions, and others. Pure functions.

const CAPTION_ENDINGS = [".txt", ".caption"];

/** @param {string} name @returns {[string, string]} stem and ending */
export function split(name) {
  const dot = name.lastIndexOf(".");
  return dot > 0 ? [name.slice(0, dot), name.slice(dot)] : [name, ""];
}

/**
 * @template {{name: string, type: string}} F
 * @param {F[]} files
 * @param {string[]} formats endings of the images that training reads
 * @param {string} captionExtension of the node
 * @returns {{images: F[], captions: F[], others: F[], isOurs: boolean}} `isOurs`: some are meant for a dataset
 */
export function sorted(files, formats, captionExtension) {
  const endings = new Set([...CAPTION_ENDINGS, (captionExtension.startsWith(".") ? captionExtension : `.${captionExtension}`).toLowerCase()]);
  const ending = (/** @type {F} */ { name }) => split(name)[1].toLowerCase();
  const images = files.filter((file) => formats.includes(ending(file)));
  const captions = files.filter((file) => endings.has(ending(file)));
  const others = files.filter((file) => !images.includes(file) && !captions.includes(file));
  return { images, captions, others, isOurs: images.length + captions.length > 0 || others.some(({ type }) => type.startsWith("image/")) };
}

/**
 * Which image each dropped caption is for: the one dropped with it, under the name it got, else the one of the folder.
 * @param {{name: string, text: string}[]} captions
 * @param {Map<string, string>} stored name in the folder of each dropped image
 * @param {{name: string, caption: string}[]} images of the folder
 * @returns {{captions: Record<string, string>, homeless: string[]}} by image; names of captions without one
 */
export function matched(captions, stored, images) {
  const byStem = new Map(images.map((image) => [split(image.name)[0], image]));
  for (const [name, kept] of stored) {
    const image = images.find((each) => each.name === kept);
    if (image) byStem.set(split(name)[0], image);
  }
  /** @type {Record<string, string>} */
  const found = {};
  const homeless = [];
  for (const { name, text } of captions) {
    const image = byStem.get(split(name)[0]);
    if (!image) homeless.push(name);
    else if (image.caption !== text) found[image.name] = text;
  }
  return { captions: found, homeless };
}
