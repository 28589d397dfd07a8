// @ts-check
// The way back: what takes edits of a dataset back, the last first.

/**
 * @typedef {object} Edit
 * @property {string} action of the server's routes
 * @property {Record<string, any>} values sent with it, besides the folder
 */

const MAX_STEPS = 100;

/**
 * What takes an edit back. It is based on what the edit has left: what changed since is not taken back unseen.
 * @param {Edit} edit
 * @param {any} answer of the server to it
 * @returns {Edit | null} null where nothing was changed
 */
export function inverse({ action, values }, answer) {
  const isEmpty = (/** @type {object} */ before) => !Object.keys(before ?? {}).length;
  switch (action) {
    case "captions":
    case "tag":
      return isEmpty(answer.before) ? null : { action: "captions", values: { captions: answer.before, versions: versionsOf(answer) } };
    case "mark":
      return isEmpty(answer.before) ? null : { action, values: { marks: answer.before, based_on: values.marks } };
    case "exclude":
      return { action, values: { name: answer.name, is_excluded: !values.is_excluded } };
    case "add":
      return answer.names.length ? { action: "remove", values: { names: answer.names, is_removed: true } } : null;
    default:
      return null;
  }
}

/** @param {{before: object, images?: {name: string, version: string}[]}} answer */
function versionsOf({ before, images = [] }) {
  return Object.fromEntries(images.filter(({ name }) => name in before).map(({ name, version }) => [name, version]));
}

/** Steps back; one holds the edits that take one act of the user back, and stays until they have succeeded. */
export class History {
  /** @type {Edit[][]} */
  #steps = [];

  get isEmpty() {
    return this.#steps.length === 0;
  }

  /** @param {...(Edit | null)} edits that take back what was just done, in this order */
  add(...edits) {
    const step = edits.filter((edit) => edit !== null);
    if (step.length) this.#steps = [...this.#steps.slice(1 - MAX_STEPS), step];
  }

  /**
   * Takes the last step back. Where an edit fails, it and those behind it stay.
   * @param {(edit: Edit) => Promise<void>} perform
   */
  async takeBack(perform) {
    const step = this.#steps.at(-1);
    while (step?.length) {
      await perform(step[0]);
      step.shift();
    }
    this.#drop(step);
  }

  /** Gives up the edit that could not be taken back and never will be. */
  giveUp() {
    const step = this.#steps.at(-1);
    step?.shift();
    if (!step?.length) this.#drop(step);
  }

  /** The next time, the edit takes back whatever is there. */
  insist() {
    const values = this.#steps.at(-1)?.[0]?.values;
    delete values?.versions;
    delete values?.based_on;
  }

  /** @param {Edit[] | undefined} step */
  #drop(step) {
    this.#steps = this.#steps.filter((each) => each !== step);
  }
}
