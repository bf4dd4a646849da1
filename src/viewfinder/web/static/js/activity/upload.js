/** Sending much: as `call` of api.js, but telling how far it is. */

import { Refused, send, Unreachable } from "../api.js";
import { key } from "../key.js";

/**
 * Send a form.
 * @param {string} path
 * @param {FormData} body
 * @param {{headers: object, signal: AbortSignal, progress: (fraction: number) => void}} options
 * @returns {Promise<any>} The JSON of a success.
 * @throws {Refused} With the server's own words.
 * @throws {Unreachable} The connection was lost.
 */
export async function upload(path, body, options) {
  const request = await sent(path, body, options);
  const answer = read(request);
  if (request.status >= 400) throw new Refused(request.status, answer);
  return answer;
}

function sent(path, body, { headers, signal, progress }) {
  const request = new XMLHttpRequest();
  request.open("POST", path);
  const all = key() === null ? headers : { ...headers, "X-API-Key": key() };
  for (const [name, value] of Object.entries(all)) request.setRequestHeader(name, value);
  request.upload.addEventListener("progress", ({ loaded, total }) => progress(loaded / total));
  signal.addEventListener("abort", () => request.abort());
  return new Promise((resolve, reject) => {
    request.addEventListener("load", () => resolve(request));
    request.addEventListener("abort", () => reject(new DOMException("Stopped.", "AbortError")));
    request.addEventListener("error", () => {
      // If the server is away, this says so, and waits for it.
      send("/health/live").catch(() => {});
      reject(new Unreachable());
    });
    request.send(body);
  });
}

function read({ status, statusText, responseText }) {
  try {
    return JSON.parse(responseText);
  } catch {
    return { detail: `The server answered ${status} ${statusText}.` }; // A gateway's own words.
  }
}
