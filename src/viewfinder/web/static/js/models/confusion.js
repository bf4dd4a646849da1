/** What was taken for what. */

import { html, nothing } from "../../vendor/lit/lit-html.js";
import { count, percent } from "../format.js";
import { mainResult } from "./summary.js";

const MOST_CLASSES = 40;
const SHOWN_PAIRS = 8;

function cell(number, whole, isRight) {
  if (!number) return html`<td></td>`;
  return html`<td class=${isRight ? "right" : "wrong"} .style=${`--share: ${percent(number / (whole || 1))}`}>${number}</td>`;
}

const matrix = (labels, rows) => html`<div class="scroll" tabindex="0" role="region" aria-label="Confusion matrix">
  <table class="confusion">
    <caption class="unseen">What photos show, downwards, and what they were taken for, to the right</caption>
    <thead><tr><td></td>${labels.map((label) => html`<th scope="col"><span>${label}</span></th>`)}</tr></thead>
    <tbody>
      ${rows.map((numbers, row) => {
        const whole = numbers.reduce((sum, one) => sum + one, 0);
        return html`<tr><th scope="row">${labels[row]}</th>${numbers.map((number, column) => cell(number, whole, row === column))}</tr>`;
      })}
    </tbody>
  </table>
</div>`;

export function confusion(evaluation) {
  const [, result] = mainResult(evaluation) ?? [];
  if (!result?.confusion?.length) return nothing;
  const labels = result.classes.map((one) => one.label);
  const pairs = result.confused.slice(0, SHOWN_PAIRS);
  return html`<section class="stack" aria-labelledby="confusion-title">
    <h3 id="confusion-title">What is taken for what</h3>
    ${labels.length <= MOST_CLASSES
      ? html`<p class="small quiet">A row is what photos show, a column what they were taken for.</p>${matrix(labels, result.confusion)}`
      : html`<p class="small quiet">The report has the whole matrix of ${count(labels.length)} classes. The pairs that occur most:</p>`}
    ${pairs.length && labels.length > MOST_CLASSES
      ? html`<ul class="points">${pairs.map((one) => html`<li>${one.label} taken for ${one.answer}: ${count(one.photos)} (${percent(one.share, 0)} of its photos)</li>`)}</ul>`
      : nothing}
    ${pairs.length ? nothing : html`<p>It made no mistake.</p>`}
  </section>`;
}
