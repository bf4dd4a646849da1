/** `POST /v1/classify` for one photo. */

import { html } from "../../vendor/lit/lit-html.js";
import { call } from "../api.js";
import { isZip } from "../zip.js";

const ZIP = html`This is a zip. <a href="/activity#jobs">Activity, New job</a> takes zips of photos.`;

/**
 * One photo, and how far its answer is.
 * @typedef {object} Photo
 * @property {string} name
 * @property {File} [file] Either this,
 * @property {string} [url] or where the server is to fetch it from.
 * @property {"waiting"|"asking"|"answered"|"failed"} state
 */

/** The path and query of a request: `options` are those of the API, left out where undefined. */
export function path(options) {
  const given = Object.entries(options).filter(([, value]) => value !== undefined && value !== "");
  const query = new URLSearchParams(given).toString().replaceAll("%40", "@");
  return query ? `/v1/classify?${query}` : "/v1/classify";
}

/** What the file says it is; what it really is, the server sees from its bytes. */
export const mediaType = (file) => (file?.type.startsWith("image/") ? file.type : "image/*");

/**
 * @returns {Promise<{answer: object, ms: number}>} The answer, and how long it took from here.
 * @throws {Error} With words to show.
 */
export async function ask({ file, url }, options, signal) {
  if (file) await checkFile(file);
  const began = performance.now();
  const body = file ? { body: file, headers: { "Content-Type": mediaType(file) } } : { json: { url } };
  const answer = await call(path(options), { method: "POST", signal, ...body });
  return { answer, ms: performance.now() - began };
}

/** A file that has gone fails in the same way as a server that has gone, were it sent. */
async function checkFile(file) {
  if (isZip(file)) throw Object.assign(new Error(), { detail: ZIP });
  try {
    await file.slice(0, 1).arrayBuffer();
  } catch {
    throw new Error("This file cannot be read (any more). Choose it again.");
  }
}
