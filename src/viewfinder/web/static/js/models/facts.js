/** The figures of a version that matter first. */

import { html, nothing } from "../../vendor/lit/lit-html.js";
import { bytes, count, milliseconds, percent } from "../format.js";
import { fact } from "../parts.js";
import { flatten, mainResult, mainSplit, which } from "./summary.js";

const decimals = (number) => number.toFixed(3);

function measured(summary, evaluation) {
  const [part, found] = mainSplit(summary.evaluation) ?? [];
  if (!found) return nothing;
  const digits = found.photos < 1000 ? 0 : 1;
  const [, result] = mainResult(evaluation) ?? [];
  const photos = `${count(found.photos)} ${which(part, evaluation?.unseen)}`;
  return html`${fact("Right", percent(found.accuracy, digits), `likely ${percent(found.accuracy_low, digits)} to ${percent(found.accuracy_high, digits)}, from ${photos}`)}
    ${result && result.top_k < summary.labels_count ? fact(`Among the best ${result.top_k}`, percent(found.top5_accuracy, digits)) : nothing}
    ${fact("Macro F1", percent(found.macro_f1, digits), "each class alike")}
    ${fact("Calibration error", decimals(found.ece), `ECE; ${decimals(found.ece_uncalibrated)} without calibration`)}
    ${fact("Answered", percent(found.coverage, digits), found.abstain_below === null ? "it never abstains" : `${percent(found.accuracy_answered ?? 0, digits)} of those right`)}`;
}

/** What a version that was measured elsewhere says of that, as it is. */
function said(summary) {
  const rest = mainSplit(summary.evaluation) ? [] : flatten(summary.evaluation ?? {});
  if (!rest.length) return nothing;
  return html`<details>
    <summary>What its maker says of it</summary>
    <dl class="pairs">${rest.map(([name, value]) => html`<dt>${name.replaceAll("_", " ")}</dt><dd>${value}</dd>`)}</dl>
  </details>`;
}

export function facts(summary, evaluation) {
  const best = summary.variants.find((one) => one.recommended);
  const { temperature, abstain_below } = summary.calibration;
  return html`<dl class="facts">
      ${measured(summary, evaluation)}
      ${fact("Served as", best.name, `${bytes(best.bytes)}${best.p50_ms === null ? "" : `, ${milliseconds(best.p50_ms)} for a photo`}`)}
      ${fact("“I don’t know” below", abstain_below === null ? "–" : percent(abstain_below, 0), abstain_below === null ? "it always answers" : "confidence")}
      ${fact("Temperature", temperature.toFixed(2), temperature === 1 ? "logits as they are" : "logits are divided by it")}
    </dl>
    ${said(summary)}`;
}
