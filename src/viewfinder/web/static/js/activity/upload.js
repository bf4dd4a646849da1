/** Sending much: as `call` of api.js, but telling how far it is. */

import { refusal, send, Unreachable } from "../api.js";
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
  const answer = await sent(path, body, options);
  if (!answer.ok) throw await refusal(answer);
  return answer.json();
}

function sent(path, body, { headers, signal, progress }) {
  const request = new XMLHttpRequest();
  request.open("POST", path);
  const all = key() === null ? headers : { ...headers, "X-API-Key": key() };
  for (const [name, value] of Object.entries(all)) request.setRequestHeader(name, value);
  request.upload.addEventListener("progress", ({ loaded, total }) => progress(loaded / total));
  signal.addEventListener("abort", () => request.abort());
  return new Promise((resolve, reject) => {
    request.addEventListener("load", () => {
      const { status, statusText, responseText } = request;
      const type = request.getResponseHeader("Content-Type") ?? "";
      resolve(new Response(responseText, { status, statusText, headers: { "Content-Type": type } }));
    });
    request.addEventListener("abort", () => reject(new DOMException("Stopped.", "AbortError")));
    request.addEventListener("error", () => {
      // If the server is away, this says so, and waits for it.
      send("/health/live").catch(() => {});
      reject(new Unreachable());
    });
    request.send(body);
  });
}
