/** Which photos there are to look at, in which order, and which one is looked at now. */

import { call } from "../api.js";

const PAGE = 50;
const AHEAD = 20;

/**
 * @typedef {object} Item A photo, and what is said of it.
 * @property {object} result As the API has it.
 * @property {?{label: string, note: ?string}} stored What the server is known to have.
 * @property {?{label: string, note: ?string}} wanted What it is to have.
 * @property {?{detail: string, code: ?string}} trouble Why it was not taken.
 */
const itemOf = (result) => {
  const stored = result.feedback && { label: result.feedback.label, note: result.feedback.note };
  return { result, stored, wanted: stored, trouble: null };
};

export class Queue {
  items = [];
  at = 0;
  error = null;
  #cursor;
  #loading = false;
  #stopped = false;

  /**
   * @param {URLSearchParams} query Which results, as of `GET /v1/results`.
   * @param {() => void} changed Called when there is something new.
   * @param {(id: string) => boolean} isLeftOut Whether a result is not wanted all the same.
   */
  constructor(query, changed, isLeftOut) {
    Object.assign(this, { query, changed, isLeftOut });
    this.load();
  }

  get current() {
    return this.items[this.at];
  }

  /** Whether more may come than there is here. */
  get hasMore() {
    return this.#cursor !== null;
  }

  get isLoading() {
    return this.#loading;
  }

  /** Ask for the next page, unless there is none or one is under way. */
  async load() {
    if (this.#loading || !this.hasMore) return;
    this.#loading = true;
    this.error = null;
    const query = new URLSearchParams(this.query);
    query.set("limit", PAGE);
    if (this.#cursor) query.set("cursor", this.#cursor);
    try {
      const page = await call(`/v1/results?${query}`);
      this.#cursor = page.next;
      const known = new Set(this.items.map((item) => item.result.id));
      this.items.push(...page.results.filter(({ id }) => !known.has(id) && !this.isLeftOut(id)).map(itemOf));
    } catch (error) {
      this.error = error;
    }
    this.#loading = false;
    if (!this.#stopped) this.changed();
  }

  /** Go to the next photo (1), or to the one before (-1); past the last there is the end. */
  move(step) {
    this.at = Math.min(Math.max(this.at + step, 0), this.items.length);
    if (this.items.length - this.at < AHEAD && !this.error) this.load();
  }

  /** Look at a photo, also at one that an earlier queue had. */
  show(item) {
    const place = this.items.indexOf(item);
    if (place < 0) this.items.splice(this.at, 0, item);
    else this.at = place;
  }

  /** Have a photo come after the one that is looked at. */
  showNext(item) {
    const place = this.items.indexOf(item);
    if (place === this.at) return;
    if (place >= 0) {
      this.items.splice(place, 1);
      if (place < this.at) this.at -= 1;
    }
    this.items.splice(this.at + 1, 0, item);
  }

  /** Tell nobody of what comes from now on. */
  stop() {
    this.#stopped = true;
  }
}
