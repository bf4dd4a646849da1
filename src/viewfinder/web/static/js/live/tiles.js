/** The tiles: what each shows, in the order in which an operator looks. */

import { html } from "../../vendor/lit/lit-html.js";
import { bytes, count, milliseconds, orDash, percent } from "../format.js";
import { chart, swatch } from "./chart.js";

const KINDS = ["one", "two", "three"];

/** So many things, or so many in a second: few digits. */
export const figure = (value) => (value < 10 ? String(Number(value.toFixed(value < 1 ? 2 : 1))) : count(Math.round(value)));
const share = (value) => percent(value, value && value < 0.1 ? 1 : 0);
const row = (name, value) => html`<li><span>${name}</span><b>${value}</b></li>`;

const RATE = { unit: "a second", format: figure, least: 1 };
const TIME = { format: milliseconds, least: 10 };

/** `big` are the figures whose sum is on top; `lines` have a name, a class of live.css and a figure. */
const TILES = [
  {
    title: "Requests",
    ...RATE,
    big: ["answered", "refused", "failed"],
    lines: [["Answered", "one", "answered"], ["Refused (4xx)", "warn", "refused"], ["Failed (5xx)", "bad", "failed"]],
  },
  {
    title: "Latency",
    unit: "p95 of classify",
    ...TIME,
    big: ["p95"],
    lines: [["p50", "one", "p50"], ["p95", "two", "p95"], ["p99", "three", "p99"]],
  },
  {
    title: "Refusals",
    ...RATE,
    big: ["refusals"],
    lines: [["Refused", "warn", "refusals"]],
    foot: ({ counted }) => refusals(counted),
  },
  {
    title: "Queue",
    unit: "images wait",
    format: figure,
    least: 10,
    big: ["people", "jobs"],
    lines: [["People", "one", "people"], ["Jobs", "two", "jobs"]],
    foot: ({ now, capacity }) => [row("Places for each", orDash(capacity, count)), row("Images in one call", orDash(now?.batch, figure))],
  },
  {
    title: "Time of an image",
    unit: "on average",
    ...TIME,
    big: ["decode", "queue", "infer"],
    lines: [["Decoding", "one", "decode"], ["Waiting", "two", "queue"], ["Model", "three", "infer"]],
  },
  {
    title: "Images",
    ...RATE,
    big: ["images"],
    lines: ({ counted }) => most(counted.versions, ({ answers }) => answers).map(({ name }, place) => [name, KINDS[place], name]),
  },
  {
    title: "Cache and doubt",
    unit: "from the cache",
    format: share,
    limit: 1,
    big: ["cached"],
    lines: [["From the cache", "one", "cached"], ["Abstained", "two", "abstained"]],
  },
  {
    title: "Processor",
    unit: "cores",
    format: figure,
    least: 1,
    big: ["processor"],
    lines: [["Whole server", "one", "processor"], ["Computing", "two", "busy"]],
    foot: ({ now, threads }) => [row("Compute threads", orDash(threads, count)), row("Memory", orDash(now?.memory, bytes))],
  },
];

/** All tiles. */
export const tiles = (seen) => html`<div class="tiles">${TILES.map((one) => tile(one, seen))}</div>`;

function tile({ title, unit, format, big, lines, foot, ...axis }, seen) {
  const drawn = Array.isArray(lines) ? lines : lines(seen);
  const { now } = seen;
  return html`<section class="card tile" aria-label=${title}>
    <h2>${title}</h2>
    <p class="figure"><strong>${orDash(now && sumOf(big.map((key) => now[key])), format)}</strong> <span class="quiet">${unit}</span></p>
    ${chart(title, drawn, seen, { format, ...axis })}
    <ul class="legend small">
      ${drawn.map(([name, kind, key]) => row(html`${swatch(kind)} ${name}`, orDash(now?.[key], format)))}
      ${foot?.(seen)}
    </ul>
  </section>`;
}

const sumOf = (figures) => (figures.includes(null) ? null : figures.reduce((sum, one) => sum + one));

function refusals({ reasons, words }) {
  if (!reasons.length) return html`<li class="quiet">Nothing in the ${words}.</li>`;
  const rows = most(reasons, ([, number]) => number).map(([reason, number]) => row(reason, count(number)));
  return [html`<li class="quiet">In the ${words}:</li>`, rows];
}

/** The few that have most. */
const most = (all, of) => all.toSorted((one, other) => of(other) - of(one)).slice(0, KINDS.length);
