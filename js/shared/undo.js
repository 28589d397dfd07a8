// @ts-check
// Changes of the graph that a button makes: the page keeps them, and its undo takes them back.

import { app } from "./comfy.js";

/** Notes the graph as it is now. */
export function noteChange() {
  const tracker = app.extensionManager.workflow?.activeWorkflow?.changeTracker;
  (tracker?.captureCanvasState ?? tracker?.checkState)?.call(tracker);
}
