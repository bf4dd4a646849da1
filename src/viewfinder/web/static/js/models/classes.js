/** How well each class is found, the weakest first. */

import { html, nothing } from "../../vendor/lit/lit-html.js";
import { count, orDash, percent } from "../format.js";
import { meter, table } from "../parts.js";
import { mainResult } from "./summary.js";

const FIRST = 15;

const worth = (one) => one.recall?.value ?? 2; // what no photo shows comes last

const share = (value) => orDash(value, (known) => percent(known, 0));

const likely = (recall) => html`${meter(recall)}<span class="unseen">${share(recall.low)} to ${share(recall.high)}</span>`;

const HEADS = ["Class", "Photos", "Found", html`<span class="unseen">Likely between</span>`, "Right when named", "F1"];

const rowOf = ({ label, support, recall, precision, f1 }) => [
  label, count(support), share(recall?.value), recall ? likely(recall) : nothing, share(precision), share(f1),
];

const part = (rows, title) => table(title, HEADS, rows.map(rowOf), "classes");

export function classes(evaluation) {
  const [, result] = mainResult(evaluation) ?? [];
  if (!result?.classes?.length) return nothing;
  const rows = result.classes.toSorted((one, other) => worth(one) - worth(other) || other.support - one.support);
  return html`<section class="stack" aria-labelledby="classes-title">
    <h3 id="classes-title">Classes, the weakest first</h3>
    ${part(rows.slice(0, FIRST), "Classes, the weakest first")}
    ${rows.length > FIRST
      ? html`<details><summary>The other ${count(rows.length - FIRST)}</summary>${part(rows.slice(FIRST), "The other classes")}</details>`
      : nothing}
  </section>`;
}
