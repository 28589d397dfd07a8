// @ts-check
// The folders that are shown on the page: one session each, however many nodes show it.

import { DatasetSession } from "./dataset_session.js";

/** @typedef {import("./dataset_model.js").Source} Source */

/** @type {Map<string, DatasetSession>} */
const sessions = new Map();

/**
 * The session of a folder: one for all nodes that show it. What was typed or asked for stays there until it is done.
 * @param {Source} source
 * @param {import("./dataset_session.js").Service} service
 */
export function sessionOf(source, service) {
  for (const [key, session] of sessions) {
    if (!session.isWatched && !session.isBusy) sessions.delete(key);
  }
  const key = JSON.stringify([source.folder, source.caption_extension, source.metadata]);
  const session = sessions.get(key) ?? new DatasetSession(source, service, () => readElsewhere(session));
  sessions.set(key, session);
  return session;
}

/** Others that show files of the same folder, such as with another ending of captions. @param {DatasetSession} edited */
function readElsewhere(edited) {
  for (const other of sessions.values()) {
    if (other !== edited && other.isWatched && haveFilesInCommon(other.source.folder, edited.source.folder)) void other.load();
  }
}

/** @param {string} one @param {string} other */
const haveFilesInCommon = (one, other) => `${one}/`.startsWith(`${other}/`) || `${other}/`.startsWith(`${one}/`);
