/** Small templates that several pages use. */

import { html, nothing } from "../vendor/lit/lit-html.js";
import { copy } from "./carry.js";
import { ago, percent } from "./format.js";

/** Bars of classes, the most confident first. */
export const bars = (classes) => html`
  <ol class="bars">
    ${classes.map(
      (one) => html`<li class="share" .style=${`--share: ${percent(one.confidence)}`}>
        <span><bdi>${one.class}</bdi></span><span>${percent(one.confidence)}</span>
      </li>`,
    )}
  </ol>`;

/** A share with its 95% interval, as a bar with a whisker. */
export const meter = ({ value, low, high }) => html`<span
  class="meter share"
  .style=${`--share: ${percent(value)}; --low: ${percent(low)}; --high: ${percent(high)}`}
  title=${`between ${percent(low, 0)} and ${percent(high, 0)} (95%)`}
  aria-hidden="true"
></span>`;

/** A word in a coloured pill; kind is good, warn, bad, accent or "". */
export const badge = (text, kind = "") => html`<span class="badge ${kind}">${text}</span>`;

/** By the code of a problem, a view of what helps against it: whoever knows of a help adds it. */
export const helps = new Map();

/** What the server said that went wrong: a problem of RFC 9457, an Error, or text. */
export const problem = (what) => html`<p class="notice bad" role="alert">
  ${what?.detail ?? what?.message ?? what}
  ${helps.get((what?.problem ?? what)?.code)?.() ?? nothing}
</p>`;

/** A button that does something; kind is of main, plain, danger and slim, or "". */
export const button = (text, does, kind = "", isOff = false) =>
  html`<button type="button" class=${kind} ?disabled=${isOff} @click=${does}>${text}</button>`;

/** Nothing is here yet, and how that changes. */
export const empty = (title, hint = nothing) => html`<div class="empty">
  <strong>${title}</strong><span>${hint}</span>
</div>`;

/** How photos come to be stored. */
export const storing = html`The setting <code>VIEWFINDER_RECORD=images</code> keeps those of later answers.`;

/** A moment, as people say it, with the exact one to be seen on hovering. */
export const moment = (iso) =>
  iso === null
    ? html`–`
    : html`<time datetime=${iso} title=${new Date(iso).toLocaleString()}>${ago(iso)}</time>`;

/** A table that scrolls by itself: what a row is about comes first, and then its figures. */
export const table = (title, [first, ...heads], rows, kind = "") => html`<div class="scroll" tabindex="0" role="region" aria-label=${title}>
  <table class=${kind}>
    <thead><tr><th scope="col">${first}</th>${heads.map((head) => html`<th scope="col" class="number">${head}</th>`)}</tr></thead>
    <tbody>${rows.map(
      ([name, ...cells]) => html`<tr><th scope="row">${name}</th>${cells.map((cell) => html`<td class="number">${cell}</td>`)}</tr>`,
    )}</tbody>
  </table>
</div>`;

/** A figure with its name, and what else is to be known of it. */
export const fact = (title, value, note = nothing) => html`<div><dt>${title}</dt><dd>${value}</dd><dd class="small quiet">${note}</dd></div>`;

/** An id, and a button that copies it. */
export const copyable = (text, what) => html`<span class="row copyable">
  <code>${text}</code>
  <button type="button" class="slim plain" aria-label=${`Copy ${what}`} @click=${copyBefore}>Copy</button>
</span>`;

async function copyBefore({ currentTarget: button }) {
  if (!(await copy(button.previousElementSibling))) return;
  button.textContent = "Copied";
  setTimeout(() => (button.textContent = "Copy"), 2000);
}

/** The button that closes a dialog. */
export const closing = button("Close", ({ target }) => target.closest("dialog").close(), "plain slim");
