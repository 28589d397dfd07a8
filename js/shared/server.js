// @ts-check
// Requests to the pack's routes, and commands to runs.

import { api } from "./comfy.js";

/** Characters; browsers take 64 KiB for all such requests together. */
const MAX_KEPT_ALIVE = 15_000;

/** What the server answered with, where it did not do what it was asked to. */
export class Refusal extends Error {
  /** @param {number} status of HTTP @param {any} answer */
  constructor(status, answer) {
    super(answer.error ?? String(status));
    this.status = status;
    this.answer = answer;
  }
}

/**
 * @param {string} path below /bakery
 * @param {object} [body] sent with POST; without it the request is a GET
 * @returns {Promise<any>} the answer; rejects with a `Refusal`, or with what the browser says of the connection
 */
export async function ask(path, body) {
  const options = body && post(JSON.stringify(body));
  const response = await api.fetchApi(`/bakery${path}`, options);
  const answer = await response.json().catch(() => ({}));
  if (!response.ok) throw new Refusal(response.status, answer);
  return answer;
}

/** A small body is sent to its end where the page closes meanwhile. @param {string} body @returns {RequestInit} */
const post = (body) => ({ method: "POST", headers: { "Content-Type": "application/json" }, body, keepalive: body.length < MAX_KEPT_ALIVE });

/**
 * @param {{id: string, name: string}} run
 * @param {string} command
 * @param {object} [values]
 */
export const steerRun = ({ id, name }, command, values = {}) => ask(`/runs/${id}/${command}?name=${encodeURIComponent(name)}`, values);
