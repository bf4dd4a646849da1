/** How well each class is found, the weakest first. */

import { html, nothing } from "../../vendor/lit/lit-html.js";
import { count, percent } from "../format.js";
import { mainResult } from "./summary.js";

const FIRST = 15;

const worth = (one) => one.recall?.value ?? 2; // what no photo shows comes last

/** A share with its interval, as a bar with a whisker. */
const meter = ({ value, low, high }) => html`<span
  class="meter"
  .style=${`--share: ${percent(value)}; --low: ${percent(low)}; --high: ${percent(high)}`}
  title=${`between ${percent(low, 0)} and ${percent(high, 0)} (95%)`}
  aria-hidden="true"
></span>`;

const share = (value) => (value === null || value === undefined ? "–" : percent(value, 0));

const table = (rows, caption) => html`<div class="scroll" tabindex="0" role="region" aria-label=${caption}>
  <table class="classes">
    <thead><tr><th scope="col">Class</th><th scope="col" class="number">Photos</th><th scope="col" class="number">Found</th><th scope="col"><span class="unseen">Likely between</span></th><th scope="col" class="number">Right when named</th><th scope="col" class="number">F1</th></tr></thead>
    <tbody>
      ${rows.map(
        (one) => html`<tr>
          <th scope="row">${one.label}</th>
          <td class="number">${count(one.support)}</td>
          <td class="number">${share(one.recall?.value)}</td>
          <td class="wide">${one.recall ? html`${meter(one.recall)}<span class="unseen">${share(one.recall.low)} to ${share(one.recall.high)}</span>` : nothing}</td>
          <td class="number">${share(one.precision)}</td>
          <td class="number">${share(one.f1)}</td>
        </tr>`,
      )}
    </tbody>
  </table>
</div>`;

export function classes(evaluation) {
  const [, result] = mainResult(evaluation) ?? [];
  if (!result?.classes?.length) return nothing;
  const rows = result.classes.toSorted((one, other) => worth(one) - worth(other) || other.support - one.support);
  return html`<section class="stack" aria-labelledby="classes-title">
    <h3 id="classes-title">Classes, the weakest first</h3>
    ${table(rows.slice(0, FIRST), "Classes, the weakest first")}
    ${rows.length > FIRST
      ? html`<details><summary>The other ${count(rows.length - FIRST)}</summary>${table(rows.slice(FIRST), "The other classes")}</details>`
      : nothing}
  </section>`;
}
