// @ts-check
// Files that were dropped and uploaded become images of the folder, with their captions.

import { inverse } from "./history.js";

/**
 * Lists the folder again once files were uploaded, then writes captions that were dropped.
 * @param {import("./dataset_session.js").DatasetSession} session whose turn it is
 * @param {Set<string>} added names of uploaded images
 * @param {(entries: import("./dataset_model.js").Entry[]) => Record<string, string>} captionsFor by name
 */
export async function finishAdding(session, added, captionsFor) {
  const before = new Set(session.entries.map(({ name }) => name));
  await session.list();
  const names = session.entries.map(({ name }) => name).filter((name) => added.has(name) && !before.has(name));
  const captions = captionsFor(session.entries);
  const edits = [];
  if (Object.keys(captions).length) {
    const versions = Object.fromEntries(session.entries.filter(({ name }) => name in captions).map(({ name, version }) => [name, version]));
    const edit = { action: "captions", values: { captions, versions } };
    edits.push(inverse(edit, await session.send(edit)));
  }
  // What was there already stays when the adding is taken back; captions of new images go with them.
  session.history.add(...edits, inverse({ action: "add", values: {} }, { names }));
}
