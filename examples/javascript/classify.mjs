// Asks a Viewfinder server, with `fetch` alone: for Node 18 and later, and for browsers.

/** An error that the server told of (https://www.rfc-editor.org/rfc/rfc9457). */
export class ViewfinderError extends Error {
  /**
   * @param {{code?: string, detail?: string, status?: number}} problem
   * @param {number} status of the answer
   */
  constructor(problem, status) {
    super(problem.detail ?? `The server answered ${status}.`);
    this.name = "ViewfinderError";
    this.code = problem.code ?? "unknown"; // stable: write programs against it
    this.status = problem.status ?? status;
  }
}

export class Viewfinder {
  #headers;

  /**
   * @param {string} url of the server; in a page that it serves, ""
   * @param {{key?: string, timeoutMs?: number}} [options] the time is for a call with all its tries
   */
  constructor(url, { key, timeoutMs = 30_000 } = {}) {
    this.url = url;
    this.timeoutMs = timeoutMs;
    this.#headers = key ? { "X-API-Key": key } : {};
  }

  /**
   * Classify one photo.
   * @param {Blob} photo
   * @param {{model?: string, topK?: number}} [options]
   * @returns {Promise<{class: string, confidence: number, abstained: boolean}>} and more: docs/api.md
   */
  classify(photo, options) {
    // The bytes themselves tell which kind of image it is.
    return this.#ask("/v1/classify", options, new Blob([photo], { type: "image/*" }));
  }

  /**
   * Classify up to 64 photos in one request; one that fails has an `error` in place of a `result`.
   * @param {Iterable<Blob>} photos
   * @param {{model?: string, topK?: number}} [options]
   * @returns {Promise<({result: object} | {error: ViewfinderError})[]>} in their order
   */
  async classifyBatch(photos, options) {
    const form = new FormData();
    for (const photo of photos) form.append("files", photo);
    const { results } = await this.#ask("/v1/batch-classify", options, form);
    return results.map(({ result, error }) =>
      result ? { result } : { error: new ViewfinderError(error, error.status) },
    );
  }

  async #ask(path, { model, topK } = {}, body) {
    const query = new URLSearchParams();
    if (model !== undefined) query.set("model", model);
    if (topK !== undefined) query.set("top_k", String(topK));
    const last = Date.now() + this.timeoutMs;
    for (;;) {
      const left = Math.max(1, last - Date.now());
      const answer = await fetch(`${this.url}${path}?${query}`, {
        method: "POST",
        body,
        // The server does not begin what nobody waits for any more.
        headers: { ...this.#headers, "X-Request-Timeout-Ms": String(left) },
        signal: AbortSignal.timeout(left), // a TimeoutError then
      });
      if (answer.ok) return await answer.json();
      const error = new ViewfinderError(await problemOf(answer), answer.status);
      const waitMs = 1000 * Number(answer.headers.get("Retry-After") ?? Number.NaN);
      const passes = [429, 503].includes(answer.status) && Date.now() + waitMs < last;
      if (!passes) throw error;
      await new Promise((resolve) => setTimeout(resolve, waitMs));
    }
  }
}

/** What the server says is wrong; something between it and us may say it in another form. */
async function problemOf(answer) {
  const type = answer.headers.get("Content-Type") ?? "";
  if (!type.startsWith("application/problem+json")) return {};
  return answer.json().catch(() => ({}));
}
