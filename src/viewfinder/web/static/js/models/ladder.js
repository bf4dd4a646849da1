/** The variants of a version: what each costs, what each is worth, and which is served. */

import { html, nothing, svg } from "../../vendor/lit/lit-html.js";
import { bytes, milliseconds, orDash, percent } from "../format.js";
import { badge, table } from "../parts.js";
import { Frame, labels, ticks } from "./frame.js";

// What has collapsed would press all others into one line.
const DEEPEST = 0.1;
const SMALLEST = 4;
const LARGEST = 13;

/** Rows of a ladder, or what the manifest alone says of its variants. */
function rowsOf(summary, ladder) {
  const recommended = (name) => summary.variants.find((one) => one.name === name)?.recommended ?? false;
  if (ladder) return ladder.rows.map((row) => ({ ...row, best: recommended(row.name) }));
  return summary.variants.map((one) => ({ ...one, best: one.recommended, agreement: null, what: "" }));
}

function plot(rows, worth, words, base, drop) {
  const points = rows.filter((row) => row.p50_ms > 0 && worth(row) !== null && worth(row) !== undefined);
  if (points.length < 2) return nothing;
  const worths = points.map(worth);
  const least = Math.max(Math.min(...worths), Math.max(...worths) - DEEPEST);
  const low = Math.max(0, Math.floor(100 * least - 1) / 100);
  const high = Math.min(1, Math.ceil(100 * Math.max(...worths) + 1) / 100);
  const slowest = Math.max(...points.map((row) => row.p50_ms));
  const frame = new Frame({ x: [0, 1.1 * slowest], y: [low, high] });
  const heaviest = Math.max(...points.map((row) => row.bytes));
  const dots = points
    .toSorted((one, other) => worth(other) - worth(one))
    .map((row) => ({
      row,
      name: worth(row) < low ? `${row.name} (${percent(worth(row), 0)})` : row.name,
      x: frame.x(row.p50_ms),
      y: frame.y(Math.max(low, worth(row))),
      radius: Math.max(SMALLEST, LARGEST * Math.sqrt(row.bytes / heaviest)),
    }));
  const places = labels(frame, dots);
  const said = dots.map(({ row }) => `${row.name} ${percent(worth(row))} in ${milliseconds(row.p50_ms)}, ${bytes(row.bytes)}${row.best ? ", recommended" : ""}`);
  const budget = base - drop;
  return html`<figure>
    <div class="scroll" tabindex="0" role="group" aria-label="Plot"><svg class="plot" viewBox=${frame.viewBox} role="img" aria-label=${`${words} against milliseconds: ${said.join("; ")}.`}>
      ${frame.axes(ticks(0, frame.xHigh), (ms) => `${ms}`, ticks(low, high, 4), (value) => percent(value, 0), "milliseconds for a photo on one core")}
      ${budget > low && budget < high ? svg`<line class="budget" x1=${frame.left} x2=${frame.right} y1=${frame.y(budget)} y2=${frame.y(budget)}></line>` : nothing}
      ${dots.map(
        ({ row, name, x, y, radius }, place) => svg`
          <circle class=${row.best ? "dot best" : "dot"} cx=${x} cy=${y} r=${radius}><title>${said[place]}</title></circle>
          ${Math.abs(places[place].y - y) > 8 ? svg`<line class="lead" x1=${x} y1=${y} x2=${places[place].x} y2=${places[place].y}></line>` : nothing}
          <text class=${row.best ? "name best" : "name"} x=${places[place].x} y=${places[place].y + 4} text-anchor=${places[place].anchor}>${name}${row.best ? " ✓" : ""}</text>`,
      )}
    </svg></div>
    <figcaption class="small quiet">
      ${words}, up, against time. The larger a dot, the larger the file; ✓ is the one that is served.
      ${budget > low && budget < high ? "Below the dashed line it would lose more than is allowed." : nothing}
    </figcaption>
  </figure>`;
}

const range = ({ value, low, high }) =>
  `${signed(value)} (${signed(low)} to ${signed(high)})`;

const signed = (share) => `${share > 0 ? "+" : ""}${(100 * share).toFixed(1)}`;

const named = (name, { best, what }) => html`${name} ${best ? badge("served", "accent") : nothing}
  ${what ? html`<div class="what small quiet">${what}</div>` : nothing}`;

const COLUMNS = [
  ["Variant", "name", named],
  ["Size", "bytes", bytes],
  ["One photo", "p50_ms", (ms) => orDash(ms, milliseconds)],
  ["Right", "accuracy", (share) => orDash(share, percent)],
  ["Points lost or won (95%)", "difference", (found) => orDash(found?.points, range)],
  ["Agrees", "agreement", (share) => orDash(share, percent)],
  ["Photos a second", "throughput", (rate) => orDash(rate, Math.round)],
];
const OPTIONAL = new Set(["accuracy", "difference", "agreement", "throughput"]);

export function ladder(summary, found) {
  const rows = rowsOf(summary, found);
  const by = found?.basis === "agreement" ? "agreement" : "accuracy";
  const words = by === "accuracy" ? "Right" : "Same answer as the reference";
  const base = rows.find((row) => row.name === found?.reference)?.[by] ?? 1;
  const columns = COLUMNS.filter(([, name]) => !OPTIONAL.has(name) || rows.some((row) => orDash(row[name], String) !== "–"));
  return html`<section class="stack" aria-labelledby="variants-title">
    <h3 id="variants-title">Variants</h3>
    ${found ? html`<p class="small quiet">
      ${found.photos ? `Measured on ${found.photos} validation photos, timed on ${found.machine}.` : `Timed on ${found.machine}.`}
      The quickest that loses no more than ${(100 * found.max_drop).toFixed(1)} points is served.
    </p>` : nothing}
    ${plot(rows, (row) => row[by], words, base, found?.max_drop ?? 1)}
    ${table("Variants as a table", columns.map(([head]) => head), rows.map((row) => columns.map(([, name, view]) => view(row[name], row))))}
    ${found?.left_out?.length
      ? html`<p class="small quiet">Left out: ${found.left_out.map((one) => `${one.name} (${one.why})`).join("; ")}.</p>`
      : nothing}
  </section>`;
}
