/** Small templates that several pages use. */

import { html, nothing } from "../vendor/lit/lit-html.js";
import { ago, percent } from "./format.js";

/** Bars of classes, the most confident first. */
export const bars = (classes) => html`
  <ol class="bars">
    ${classes.map(
      (one) => html`<li .style=${`--share: ${percent(one.confidence)}`}>
        <span>${one.class}</span><span>${percent(one.confidence)}</span>
      </li>`,
    )}
  </ol>`;

/** A word in a coloured pill; kind is good, warn, bad, accent or "". */
export const badge = (text, kind = "") => html`<span class="badge ${kind}">${text}</span>`;

/** What the server said that went wrong: a problem of RFC 9457, an Error, or text. */
export const problem = (what) => html`<p class="notice bad" role="alert">
  ${what?.detail ?? what?.message ?? what}
</p>`;

/** Nothing is here yet, and how that changes. */
export const empty = (title, hint = nothing) => html`<div class="empty">
  <strong>${title}</strong><span>${hint}</span>
</div>`;

/** A moment, as people say it, with the exact one to be seen on hovering. */
export const moment = (iso) =>
  iso === null
    ? html`–`
    : html`<time datetime=${iso} title=${new Date(iso).toLocaleString()}>${ago(iso)}</time>`;
