/** Drift: how far recent photos are from those that a model was measured with. */

import { html, nothing } from "../../vendor/lit/lit-html.js";
import { count, many, orDash, percent } from "../format.js";
import { badge, empty } from "../parts.js";

const KINDS = { stable: "good", moderate: "warn", significant: "bad" };
const WORST_FIRST = ["significant", "moderate", "stable", null];
const ENOUGH = 100; // recent photos, before there is a verdict
const FULL = 0.5; // a bar is at its end

const opened = new Set();
const verdict = (level) => (level ? badge(level, KINDS[level]) : badge("no verdict"));
const rank = ({ level }) => WORST_FIRST.indexOf(level);

/** All versions that were compared, the worst first; `answers` are those of each model. */
export function drift(answers) {
  if (answers.some(({ enabled }) => !enabled)) {
    return html`<p class="notice">Nothing is compared: the setting <code>VIEWFINDER_DRIFT__ENABLED</code> is off.</p>`;
  }
  const found = versionsOf(answers).sort((one, other) => rank(one) - rank(other) || other.photos - one.photos);
  if (!found.length) return empty("No photo has been looked at yet", "Photos fill the window, not time.");
  return html`<div class="drift">${found.map(version)}</div>`;
}

const versionsOf = (answers) => answers.flatMap(({ name, versions }) => versions.map((one) => ({ name, ...one })));

/** The worst of all, in one clause. */
export function driftInWords(answers) {
  const worst = WORST_FIRST[Math.min(...versionsOf(answers).map(rank), WORST_FIRST.length - 1)];
  return worst ? `drift is ${worst}` : "there is no verdict on drift";
}

function version(one) {
  const title = `${one.name}@${one.version} ${one.variant}`;
  const all = html`<div class="parts">${Object.entries(one.parts).map(([name, found]) => part(`${title} ${name}`, name, found))}</div>`;
  return html`<section class="stack" aria-label="Drift of ${title}">
    <div class="row"><h3>${title}</h3> ${verdict(one.level)} <span class="quiet small">${photos(one)}</span></div>
    ${one.level ? all : folded(title, html`<span class="small">What was seen</span>`, all)}
  </section>`;
}

/** What opens on demand, and stays as it was when new figures come. */
const folded = (key, summary, content) => html`<details
  ?open=${opened.has(key)}
  @toggle=${({ currentTarget }) => opened[currentTarget.open ? "add" : "delete"](key)}
><summary>${summary}</summary>${content}</details>`;

function photos({ photos: recent, reference, level }) {
  const seen = many(recent, "recent photo");
  if (reference === null) return html`${seen}, no reference. <code>viewfinder optimize</code> makes a version that has one.`;
  const compared = `${seen} against ${count(reference.photos)} of the reference.`;
  if (level !== null) return compared;
  return recent < ENOUGH ? `${compared} Too few photos: there is a verdict from ${ENOUGH} on.` : `${compared} The reference has too few.`;
}

function part(key, name, { psi, level, bins }) {
  const summary = html`<span>${name}</span>
    <span class="psi" .style=${`--share: ${percent(Math.min(1, (psi ?? 0) / FULL))}`}></span>
    <span class="number">${orDash(psi, (index) => index.toFixed(2))}</span>
    ${verdict(level)}`;
  return folded(key, summary, pairs(bins));
}

function pairs(bins) {
  if (!bins.length) return html`<p class="quiet small">Nothing was seen.</p>`;
  const most = Math.max(...bins.flatMap(({ reference, recent }) => [reference, recent]));
  const bar = (share, kind) => (share === null ? nothing : html`<i class=${kind} .style=${`--share: ${percent(most && share / most)}`}></i>`);
  const said = (share) => html`<td class="number">${orDash(share, percent)}</td>`;
  return html`<table class="bins">
    <thead><tr>
      <th scope="col">Range</th><td></td>
      <th class="number" scope="col"><i class="reference"></i> Reference</th><th class="number" scope="col"><i></i> Recent</th>
    </tr></thead>
    <tbody>${bins.map((one) => html`<tr>
      <th scope="row">${range(one)}</th><td aria-hidden="true">${bar(one.reference, "reference")}${bar(one.recent, "")}</td>
      ${said(one.reference)}${said(one.recent)}
    </tr>`)}</tbody>
  </table>`;
}

function range({ label, low, high }) {
  if (label !== null) return label;
  const [from, to] = [low, high].map((end) => end?.toPrecision(3));
  if (low === null) return high === null ? "all" : `below ${to}`;
  return high === null ? `${from} and more` : `${from} to ${to}`;
}
