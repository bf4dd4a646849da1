/** The last five minutes, as far as this page has looked: bounded, and with gaps where it has not. */

import { countsOf, figuresOf, together } from "./figures.js";
import { isAnother } from "../metrics.js";

const SPANS = [1, 2, 5]; // minutes
const SPAN_MS = 300_000;
const POINTS = 150;
const SMOOTH_MS = 10_000; // a rate is that of the last ten seconds
const GAP_MS = 10_000;
const SOON_MS = 500;
const CALM = 4; // so many looks in a row at one process

export class History {
  points = [];
  /** How often of late another process answered than before. */
  changes = 0;
  #looks = [];

  /** Take a look in. */
  add(at, look) {
    const last = this.#looks.at(-1);
    const passed = at - last?.at;
    if (passed >= 0 && passed < SOON_MS) return;
    const isOther = last !== undefined && isAnother(last.look, look);
    if (isOther) this.changes += 1;
    if (isOther || passed < 0 || passed > GAP_MS) this.interrupt();
    this.#looks.push({ at, look });
    if (this.#looks.length > 1) this.#step(last);
  }

  /** Nothing was heard for a while, or nobody listened: no line goes across. */
  interrupt() {
    this.#looks = [];
  }

  #step(before) {
    const { at, look } = this.#looks.at(-1);
    while (at - this.#looks[0].at > SMOOTH_MS && this.#looks.length > 2) this.#looks.shift();
    if (this.#looks.length > CALM) this.changes = 0;
    const base = this.#looks[0];
    this.points.push({
      at,
      begins: this.points.at(-1)?.at !== before.at,
      seconds: (at - before.at) / 1000,
      figures: figuresOf(base.look, look, (at - base.at) / 1000),
      counts: countsOf(before.look, look),
    });
    this.points = this.points.filter((point) => at - point.at <= SPAN_MS && point.at <= at).slice(-POINTS);
  }

  /** The latest figures; null before there are two looks in a row. */
  get now() {
    return this.#looks.length > 1 ? this.points.at(-1).figures : null;
  }

  /** All that was counted, and in how long a time. */
  get counted() {
    const seconds = this.points.reduce((sum, point) => sum + point.seconds, 0);
    const words = !seconds ? "first moments" : seconds < 100 ? `last ${Math.round(seconds)} seconds` : `last ${Math.round(seconds / 60)} minutes`;
    return { words, ...together(this.points.map(({ counts }) => counts)) };
  }

  /** How many minutes it takes to show all points. */
  minutes(at) {
    return SPANS.find((minutes) => at - this.points[0]?.at <= minutes * 60_000) ?? SPANS.at(this.points.length && -1);
  }
}
