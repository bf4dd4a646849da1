/** Where numbers lie in a plot, and its axes. */

import { svg } from "../../vendor/lit/lit-html.js";

/** Round numbers from `low` to `high`, a few of them. */
export function ticks(low, high, wanted = 5) {
  const rough = (high - low) / wanted || 1;
  const size = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 2.5, 5, 10].map((times) => times * size).find((one) => one >= rough * 0.999);
  const found = [];
  for (let n = Math.ceil(low / step - 1e-9); n * step <= high + step * 1e-9; n += 1) found.push(Number((n * step).toPrecision(12)));
  return found;
}

export class Frame {
  constructor({ left = 44, top = 12, width = 560, height = 240, x, y }) {
    Object.assign(this, { left, top, width, height, right: left + width, bottom: top + height });
    [this.xLow, this.xHigh] = x;
    [this.yLow, this.yHigh] = y;
  }

  x(value) {
    return this.left + (this.width * (value - this.xLow)) / (this.xHigh - this.xLow || 1);
  }

  y(value) {
    return this.top + (this.height * (this.yHigh - value)) / (this.yHigh - this.yLow || 1);
  }

  line(points) {
    return points.map(([x, y]) => `${this.x(x).toFixed(1)},${this.y(y).toFixed(1)}`).join(" ");
  }

  get viewBox() {
    return `0 0 ${this.right + 12} ${this.bottom + 40}`;
  }

  axes(xTicks, xText, yTicks, yText, xTitle) {
    return svg`
      ${yTicks.map((value) => svg`
        <line class="grid" x1=${this.left} x2=${this.right} y1=${this.y(value)} y2=${this.y(value)}></line>
        <text x=${this.left - 6} y=${this.y(value) + 4} text-anchor="end">${yText(value)}</text>`)}
      ${xTicks.map((value) => svg`<text x=${this.x(value)} y=${this.bottom + 16} text-anchor="middle">${xText(value)}</text>`)}
      <text x=${(this.left + this.right) / 2} y=${this.bottom + 34} text-anchor="middle">${xTitle}</text>`;
  }
}

const LETTER = 7;
const LINE = 14;

/** Names beside dots, moved up or down where others stand already: `[{x, y, anchor}]`. */
export function labels(frame, dots) {
  const taken = dots.map(({ x, y, radius }) => [x - radius, y, x + radius, Math.max(LINE, radius + 6)]);
  return dots.map(({ x, y, radius, name }, own) => {
    const width = LETTER * name.length;
    const fits = x + radius + 5 + width <= frame.right + 10;
    const left = fits ? x + radius + 5 : x - radius - 5 - width;
    const isFree = (height) =>
      height >= frame.top && height <= frame.bottom &&
      taken.every(([from, at, to, away], n) => n === own || left + width < from || left > to || Math.abs(height - at) >= away);
    const offsets = [0, ...Array.from({ length: 16 }, (_, n) => [-(n + 1) * LINE, (n + 1) * LINE]).flat()];
    const place = y + (offsets.find((offset) => isFree(y + offset)) ?? 0);
    taken.push([left, place, left + width, LINE]);
    return { x: fits ? left : left + width, y: place, anchor: fits ? "start" : "end" };
  });
}
