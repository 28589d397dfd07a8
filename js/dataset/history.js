// @ts-check
// Undo for edits of a dataset, the last first.

/**
 * @typedef {object} Edit
 * @property {string} action of the server's routes
 * @property {Record<string, any>} values sent with it, besides the folder
 */

const MAX_STEPS = 100;

/**
 * The undo of an edit. It is based on the edit's result, so that later changes are not overwritten unseen.
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

/** Undo steps; each holds the edits that undo one user action, and stays until they succeed. */
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
   * Undoes the last step. If an edit fails, it and those after it stay.
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

  /** Drops an edit that can never be undone. */
  giveUp() {
    const step = this.#steps.at(-1);
    step?.shift();
    if (!step?.length) this.#drop(step);
  }

  /** Makes the next try undo the edit whatever has changed since. */
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
