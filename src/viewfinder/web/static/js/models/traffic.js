/** A split and a shadow while they run, and how their versions compare. */

import { html, nothing } from "../../vendor/lit/lit-html.js";
import { count, milliseconds, orDash, percent } from "../format.js";
import { modelPath } from "../names.js";
import { fact, problem } from "../parts.js";
import { counted } from "./counted.js";
import { aliasesOf, shadow, share, split } from "./routing.js";
import { current } from "./state.js";

const shares = (model) => html`<ul class="bars" aria-label="Shares of the requests">
  ${split(model).map(
    (one) => html`<li class="share" .style=${`--share: ${one.percent}%`}>
      <span>Version ${one.version} ${aliasesOf(model, one.version).map((alias) => html`<span class="small">(${alias})</span> `)}</span>
      <span>${share(one.percent)}</span>
    </li>`,
  )}
</ul>`;

const reviewed = (accuracy) =>
  accuracy
    ? html`${percent(accuracy.accuracy.value, 0)}
        <span class="small quiet">${percent(accuracy.accuracy.low, 0)}–${percent(accuracy.accuracy.high, 0)}, ${count(accuracy.reviewed)} reviewed</span>`
    : html`<span class="quiet">none reviewed</span>`;

const HEADS = ["Answers", "Mean confidence", "“I don’t know”", "Graph", "Right, where reviewed"];

function compared(model) {
  const live = current(`${modelPath(model.name)}/live-accuracy`);
  const counts = current("/metrics", counted);
  const known = (one) => one && !(one instanceof Error);
  const rows = split(model).map(({ version }) => ({
    version,
    counts: known(counts) ? counts(model.name, version) : undefined,
    accuracy: known(live) ? live.versions.find((one) => one.version === version) : undefined,
  }));
  return html`<div class="scroll">
      <table class="tall">
        <caption class="unseen">The versions of the split, compared</caption>
        <thead><tr>${["Version", ...HEADS].map((head) => html`<th scope="col">${head}</th>`)}</tr></thead>
        <tbody>
          ${rows.map(
            ({ version, counts: of, accuracy }) => html`<tr>
              <th scope="row">Version ${version}</th>
              ${[orDash(of?.answers, count), orDash(of?.confidence, percent), orDash(of?.abstained, percent), orDash(of?.ms, milliseconds), known(live) ? reviewed(accuracy) : "–"].map(
                (cell, place) => html`<td data-label=${HEADS[place]}>${cell}</td>`,
              )}
            </tr>`,
          )}
        </tbody>
      </table>
    </div>
    <p class="small quiet">
      Answers, confidence and times are counted by this server since it was started, whatever the model was asked
      for by${counts?.status === 404 ? html`; they are switched off here (<code>metrics.enabled</code>)` : nothing}.
      ${known(live) ? live.caution : nothing}
    </p>
    ${live instanceof Error ? problem(live) : nothing}`;
}

function shadowed(model) {
  const found = model.shadow;
  if (!found?.compared && !found?.failed && !found?.skipped) {
    return html`<p class="quiet">It has seen no photo yet: it is shown those that the model is asked for by its name alone.</p>`;
  }
  return html`<dl class="facts">
      ${fact("Agrees", found.agreement === null ? "–" : percent(found.agreement), `on the class, of ${count(found.compared)} photos`)}
      ${fact("Confidence", found.confidence_difference === null ? "–" : `± ${percent(found.confidence_difference)}`, "apart in the answered class, on average")}
      ${fact("Failed", count(found.failed), "photos it could not answer")}
      ${fact("Skipped", count(found.skipped), "photos it was not shown: the machine was busy")}
    </dl>
    <p class="small quiet">Counted since it became the shadow, by the server process that this answer is from.</p>`;
}

export const traffic = (model) => html`<section class="card stack" aria-labelledby="traffic-title">
  <h2 id="traffic-title">Traffic</h2>
  ${split(model).length ? html`${shares(model)} ${compared(model)}` : nothing}
  ${shadow(model) === null ? nothing : html`<h3>Shadow: version ${shadow(model)}</h3> ${shadowed(model)}`}
</section>`;
