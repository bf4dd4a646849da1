/**
 * Photos one by one, four side by side: each has an answer, a failure and a second try of its
 * own, and what is answered is seen while the rest is still on its way. A batch would answer all
 * at once, and one upload that breaks would take 64 photos with it.
 */

import { Unreachable } from "../api.js";
import { ask } from "./ask.js";

const AT_ONCE = 4;

export class Queue {
  #waiting = [];
  #asking = new Set();
  #stranded = new Set();
  #isAway = false;
  #changed;

  /** @param {(photo: Photo) => void} changed Is told of each photo whose state has changed. */
  constructor(changed) {
    this.#changed = changed;
    this.total = 0;
    document.addEventListener("back", () => this.#goOn());
  }

  get isIdle() {
    return this.#asking.size + this.#waiting.length === 0;
  }

  get done() {
    return this.total - this.#asking.size - this.#waiting.length;
  }

  /** Have photos answered, after those that wait already. */
  add(photos, options) {
    if (this.isIdle) this.total = 0;
    this.total += photos.length;
    for (const photo of photos) {
      Object.assign(photo, { state: "waiting", options, error: null, isSecondTry: false });
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
    while (!this.#isAway && this.#waiting.length && this.#asking.size < AT_ONCE) {
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
      this.#end(photo, { state: "failed", error });
    }
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
