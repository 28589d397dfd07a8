// @ts-check
// Files dropped on a dataset: images, captions, and others. Pure functions.

const CAPTION_ENDINGS = [".txt", ".caption"];
/** Files that ComfyUI opens as a workflow, or looks for one in. */
const OF_THE_PAGE = [".json", ".safetensors", ".latent", ".mp4", ".mov", ".webm", ".mkv", ".mp3", ".flac", ".ogg", ".opus", ".wav", ".glb"];

/** @param {string} name @returns {[string, string]} stem and ending */
export function split(name) {
  const dot = name.lastIndexOf(".");
  return dot > 0 ? [name.slice(0, dot), name.slice(dot)] : [name, ""];
}

/** Whether some of the files are meant for a dataset. @param {{name: string}[]} files */
export const areOurs = (files) => files.some(({ name }) => !OF_THE_PAGE.includes(split(name)[1].toLowerCase()));

/**
 * @template {{name: string}} F
 * @param {F[]} files
 * @param {string[]} formats endings of the images that training reads
 * @param {string} captionExtension of the node
 * @returns {{images: F[], captions: F[], others: F[]}}
 */
export function sorted(files, formats, captionExtension) {
  const first = (captionExtension.startsWith(".") ? captionExtension : `.${captionExtension}`).toLowerCase();
  const endings = [...new Set([first, ...CAPTION_ENDINGS])];
  const ending = (/** @type {F} */ { name }) => split(name)[1].toLowerCase();
  const images = files.filter((file) => formats.includes(ending(file)));
  const captions = endings.flatMap((each) => files.filter((file) => ending(file) === each)); // as training prefers them
  const others = files.filter((file) => !images.includes(file) && !captions.includes(file));
  return { images, captions, others };
}

/**
 * Name under which a dropped picture comes into a folder: with the stem of another one it would share that one's
 * caption. A file of the same name is compared by ComfyUI, which numbers one that differs.
 * @param {string} name
 * @param {string[]} taken names of the folder's images
 * @returns {string}
 */
export function freeName(name, taken) {
  const [stem, ending] = split(name);
  const stems = new Set(taken.map((each) => split(each)[0]));
  if (taken.includes(name) || !stems.has(stem)) return name;
  let number = 2;
  while (stems.has(`${stem}-${number}`)) number++;
  return `${stem}-${number}${ending}`;
}

/** Some systems decompose letters in names. @param {string} name */
const stemOf = (name) => split(name)[0].normalize("NFC");

/** The text of a file; undefined where it is not UTF-8. @param {ArrayBuffer} bytes */
export function decoded(bytes) {
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch {
    return undefined;
  }
}

/**
 * Which image each dropped caption is for: the one dropped with it, under the name it got, else the one of the folder.
 * Of two for one image, the first counts.
 * @param {{name: string, text: string}[]} captions
 * @param {Map<string, string>} stored name in the folder of each dropped image
 * @param {{name: string, caption: string}[]} images of the folder
 * @returns {{captions: Record<string, string>, homeless: string[], doubled: string[]}} by image; names of captions without
 *   one, and of those whose image has another one here
 */
export function matched(captions, stored, images) {
  const byStem = new Map(images.map((image) => [stemOf(image.name), image]));
  for (const [name, kept] of stored) {
    const image = images.find((each) => each.name === kept);
    if (image) byStem.set(stemOf(name), image);
  }
  /** @type {Record<string, string>} */
  const found = {};
  const [homeless, doubled, seen] = [/** @type {string[]} */ ([]), /** @type {string[]} */ ([]), new Set()];
  for (const { name, text } of captions) {
    const image = byStem.get(stemOf(name));
    if (!image) homeless.push(name);
    else if (seen.has(image)) doubled.push(name);
    else if (image.caption !== text) found[image.name] = text;
    seen.add(image);
  }
  return { captions: found, homeless, doubled };
}
