/** What people have said, on its way to the server: one after the other, and nothing is lost. */

import { call, Unreachable } from "../api.js";

const RETRY_MS = 3000;

const soon = () => new Promise((resolve) => setTimeout(resolve, RETRY_MS));
const back = () => new Promise((resolve) => document.addEventListener("back", resolve, { once: true }));

/** Whether the same request may be taken later: the server is too busy, or a part of it is away. */
const isPassing = (error) => error.status === 429 || error.status >= 500;

export class Outbox {
  waiting = [];
  stored = new Set();
  words = null;
  #unsure = new Set();
  #isRunning = false;

  /**
   * @param {(item: object) => void} changed Called when something was stored, or has to wait.
   * @param {(item: object, error: Error, said: ?object) => void} refused Called when the server
   *     does not take what was said; the photo has again what it had before.
   */
  constructor(changed, refused) {
    this.changed = changed;
    this.refused = refused;
  }

  /** Bring what is wanted of a photo to the server, after what was said before. */
  send(item) {
    if (!this.waiting.includes(item)) this.waiting.push(item);
    this.#run();
  }

  async #run() {
    if (this.#isRunning) return;
    this.#isRunning = true;
    while (this.waiting.length) await this.#next(this.waiting[0]);
    this.#isRunning = false;
  }

  async #next(item) {
    // A request without an answer may have been carried out: it goes out again in any case.
    if (item.wanted === item.stored && !this.#unsure.has(item)) {
      this.waiting.shift();
      this.changed(item);
      return;
    }
    const said = item.wanted;
    try {
      await this.#store(item, said);
      this.words = null;
    } catch (error) {
      await this.#failed(item, said, error);
    }
  }

  async #store(item, said) {
    const path = `/v1/results/${item.result.id}/feedback`;
    const answer =
      said === null
        ? await call(path, { method: "DELETE" })
        : await call(path, { method: "PUT", json: said.note === null ? { label: said.label } : said });
    this.#unsure.delete(item);
    item.trouble = null;
    item.result = { ...item.result, feedback: answer && answer.feedback };
    item.stored = answer && { label: answer.feedback.label, note: answer.feedback.note };
    if (item.wanted === said) item.wanted = item.stored;
    if (said === null) this.stored.delete(item);
    else this.stored.add(item);
  }

  async #failed(item, said, error) {
    if (error instanceof Unreachable || isPassing(error)) {
      this.#unsure.add(item);
      this.words = error.message;
      this.changed(item);
      await (error instanceof Unreachable ? back() : soon());
      this.waiting.push(this.waiting.shift()); // One that cannot be stored does not keep the others.
      return;
    }
    this.waiting.shift();
    this.#unsure.delete(item);
    this.words = null;
    item.wanted = item.stored;
    item.trouble = { detail: `This was not stored. ${error.message ?? error}`, code: error.problem?.code };
    this.refused(item, error, said);
  }
}
