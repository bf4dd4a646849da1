/** The public API, which is all that these pages ask. */

import { askForKey, key } from "./key.js";

const RETRY_MS = 1500;
const banner = document.createElement("p");
Object.assign(banner, { id: "unreachable", className: "banner bad", role: "alert", hidden: true });
banner.textContent = "The server cannot be reached. Looking for it…";
document.querySelector("#main").before(banner);

/**
 * The server's own words for what went wrong: RFC 9457's fields are in `problem`, and in
 * `retryAfter` the seconds after which to ask again, or 0 where nobody said.
 */
export class Refused extends Error {
  constructor(status, problem, retryAfter = 0) {
    super(problem.errors?.map(({ field, message }) => `${field}: ${message}`).join("; ") || problem.detail);
    this.status = status;
    this.problem = problem;
    this.retryAfter = retryAfter;
  }
}

/** No answer came at all. */
export class Unreachable extends Error {
  constructor() {
    super("The server cannot be reached.");
  }
}

/**
 * `fetch` with the key of this tab. Where the server wants one, it is asked for, and the request
 * goes out again.
 * @throws {Unreachable}
 */
export async function send(path, options = {}) {
  const used = key();
  const headers = { ...options.headers, ...(used === null ? {} : { "X-API-Key": used }) };
  let response;
  try {
    response = await fetch(path, { ...options, headers });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    watch();
    throw new Unreachable();
  }
  if (response.status !== 401) return response;
  const why = used === null ? "" : (await response.clone().json()).detail;
  const another = key() !== used && key() !== null;
  return another || (await askForKey(why)) ? send(path, options) : response;
}

/**
 * Ask, and read the answer.
 * @param {string} path
 * @param {object} options As of `fetch`; `json` is sent as a JSON body.
 * @returns {Promise<any>} The JSON; a Blob of what is not JSON; null where there is nothing.
 * @throws {Refused} With the server's own words.
 * @throws {Unreachable}
 */
export async function call(path, { json, ...options } = {}) {
  if (json !== undefined) {
    options.body = JSON.stringify(json);
    options.headers = { "Content-Type": "application/json", ...options.headers };
  }
  const response = await send(path, options);
  if (!response.ok) throw await refusal(response);
  if (response.status === 204) return null;
  return isJson(response) ? response.json() : response.blob();
}

const isJson = (response) => /^application\/(problem\+)?json/.test(response.headers.get("Content-Type") ?? "");

/** The error that an answer which is none stands for. */
export async function refusal(response) {
  // A gateway between may answer in its own words.
  const problem = isJson(response) ? await response.json() : {};
  const detail = `The server answered ${response.status} ${response.statusText}.`;
  // A gateway may say it as a date: then it is not known here.
  const seconds = Number(response.headers.get("Retry-After")) || 0;
  return new Refused(response.status, { detail, ...problem }, seconds);
}

/** Say that the server is away, look for it, and tell the page (`back`) once it is there again. */
function watch() {
  if (!banner.hidden) return;
  banner.hidden = false;
  const look = async () => {
    try {
      const response = await fetch("/health/live", { cache: "no-store" });
      if (!response.ok) throw new Error();
    } catch {
      setTimeout(look, RETRY_MS);
      return;
    }
    banner.hidden = true;
    document.dispatchEvent(new Event("back"));
  };
  setTimeout(look, RETRY_MS);
}
