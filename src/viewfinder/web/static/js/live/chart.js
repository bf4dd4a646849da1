/** Lines over the last minutes: time is the same in all of them, and to the right is now. */

import { html, svg } from "../../vendor/lit/lit-html.js";

const WIDTH = 300;
const HEIGHT = 64;
const EDGE = 2; // for half of a line's width

/**
 * Draw lines ([name, class, figure]), and say in words what they show, from `minutes` ago until
 * `at`. The axis ends at `limit`, or else above the highest value and not below `least`.
 */
export function chart(title, lines, { points, at, minutes }, { format, least, limit }) {
  const top = limit ?? above(Math.max(least, ...lines.flatMap((line) => valuesOf(line, points))));
  const words = lines.map((line) => inWords(line, points, format)).join("; ") || "nothing yet";
  return html`<div class="chart">
    <svg viewBox="0 0 ${WIDTH} ${HEIGHT}" preserveAspectRatio="none" role="img" aria-label="${title}: ${words}.">
      <path class="grid" d="M0 ${EDGE}H${WIDTH}M0 ${HEIGHT - EDGE}H${WIDTH}" />
      ${lines.map((line) => svg`<path class="line ${line[1]}" d=${path(line, points, { at, span: minutes * 60_000, top })} />`)}
    </svg>
    <div class="axis quiet" aria-hidden="true"><span>${minutes} min ago</span><span>up to ${format(top)}</span><span>now</span></div>
  </div>`;
}

/** A short piece of a line, for a legend. */
export const swatch = (kind) => html`<svg width="22" height="8" aria-hidden="true"><path class="line ${kind}" d="M1 4H21" /></svg>`;

const valueOf = ([, , key], { figures }) => figures[key] ?? null;
const valuesOf = (line, points) => points.map((point) => valueOf(line, point)).filter((value) => value !== null);

/** The next of 1, 2, 5, 10, 20… that is not below. */
export function above(value) {
  const power = 10 ** Math.floor(Math.log10(value));
  return power * [1, 2, 5, 10].find((step) => step * power >= value * (1 - 1e-9));
}

function inWords(line, points, format) {
  const values = valuesOf(line, points);
  if (!values.length) return `${line[0]} nothing yet`;
  const last = valueOf(line, points.at(-1));
  return `${line[0]} ${last === null ? "nothing" : format(last)} now, from ${format(Math.min(...values))} to ${format(Math.max(...values))}`;
}

function path(line, points, { at, span, top }) {
  let drawn = "";
  let isApart = true;
  for (const point of points) {
    const value = valueOf(line, point);
    if (value !== null) {
      const x = (WIDTH * (1 - (at - point.at) / span)).toFixed(1);
      const y = (HEIGHT - EDGE - (HEIGHT - 2 * EDGE) * Math.min(value / top, 1)).toFixed(1);
      // A point alone is a dot: a line without length, with round ends.
      drawn += isApart || point.begins ? `M${x} ${y}h0` : `L${x} ${y}`;
    }
    isApart = value === null;
  }
  return drawn;
}
