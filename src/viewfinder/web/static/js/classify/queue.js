/**
 * Photos one by one, four side by side: each has an answer, a failure and a second try of its
 * own, and what is answered is seen while the rest is still on its way. A batch would answer all
 * at once, and one upload that breaks would take 64 photos with it.
 */

import { Unreachable } from "../api.js";
import { ask } from "./ask.js";

const AT_ONCE = 4;
const MOST_REFUSALS = 10;
const [LEAST_S, MOST_S] = [1, 60];

export class Queue {
  #waiting = [];
  #asking = new Set();
  #stranded = new Set();
  #isAway = false;
  #heldUntil = 0;
  #atOnce = AT_ONCE;
  #changed;

  /**
   * @param {(photo?: Photo) => void} changed Is told of each photo whose state has changed, and
   *     of each second of a pause.
   */
  constructor(changed) {
    this.#changed = changed;
    this.total = 0;
    document.addEventListener("back", () => this.#goOn());
  }

  get isIdle() {
    return this.#asking.size + this.#waiting.length === 0;
  }

  /** Seconds until photos are sent again to a server that took no more, or 0. */
  get heldFor() {
    return Math.max(0, Math.ceil((this.#heldUntil - performance.now()) / 1000));
  }

  get done() {
    return this.total - this.#asking.size - this.#waiting.length;
  }

  /** Have photos answered, after those that wait already. */
  add(photos, options) {
    if (this.isIdle) this.total = 0;
    this.total += photos.length;
    for (const photo of photos) {
      Object.assign(photo, { state: "waiting", options, error: null, isSecondTry: false, refusals: 0 });
      this.#stranded.delete(photo);
      this.#waiting.push(photo);
      this.#changed(photo);
    }
    this.#isAway = false;
    this.#fill();
  }

  /** Forget all photos, also those that the server has in hand. */
  clear() {
    for (const photo of this.#asking) photo.abort.abort();
    this.#waiting = [];
    this.#asking.clear();
    this.#stranded.clear();
    this.total = 0;
  }

  #fill() {
    while (!this.#isAway && !this.#heldUntil && this.#waiting.length && this.#asking.size < this.#atOnce) {
      this.#run(this.#waiting.shift());
    }
  }

  async #run(photo) {
    photo.abort = new AbortController();
    this.#asking.add(photo);
    this.#set(photo, { state: "asking" });
    try {
      const { answer, ms } = await ask(photo, photo.options, photo.abort.signal);
      this.#end(photo, { state: "answered", answer, ms, heat: null });
    } catch (error) {
      if (photo.abort.signal.aborted) return;
      if (error instanceof Unreachable) this.#strand(photo);
      if (isFull(error) && ++photo.refusals < MOST_REFUSALS) this.#putBack(photo, error.retryAfter);
      else this.#end(photo, { state: "failed", error });
    }
    if (photo.state !== "waiting" && !this.#heldUntil) this.#atOnce = AT_ONCE;
    this.#fill();
  }

  /** Have a refused photo go before all that were not; after the pause one goes alone at first. */
  #putBack(photo, seconds) {
    this.#waiting.splice(this.#waiting.findLastIndex(({ refusals }) => refusals) + 1, 0, photo);
    this.#end(photo, { state: "waiting" });
    this.#atOnce = 1;
    const isHeld = this.#heldUntil > 0;
    const until = performance.now() + 1000 * Math.min(Math.max(seconds, LEAST_S), MOST_S);
    this.#heldUntil = Math.max(this.#heldUntil, until);
    if (!isHeld) this.#tick();
  }

  #tick() {
    if (this.heldFor) setTimeout(() => this.#tick(), 1000);
    else this.#heldUntil = 0;
    this.#changed();
    this.#fill();
  }

  #strand(photo) {
    this.#isAway = true;
    // Once: a photo that the server never answers must not be sent for ever.
    if (!photo.isSecondTry) this.#stranded.add(photo);
  }

  #goOn() {
    const stranded = [...this.#stranded];
    this.#stranded.clear();
    for (const photo of stranded) this.#set(photo, { state: "waiting", isSecondTry: true });
    this.#waiting.unshift(...stranded);
    this.#isAway = false;
    this.#fill();
  }

  #end(photo, news) {
    this.#asking.delete(photo);
    this.#set(photo, news);
  }

  #set(photo, news) {
    Object.assign(photo, news);
    this.#changed(photo);
  }
}

/** Whether the server has room for it later; a 503 that does not say when is of another kind. */
const isFull = ({ status, retryAfter }) => status === 429 || (status === 503 && retryAfter > 0);
