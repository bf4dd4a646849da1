/** How training went, epoch by epoch. */

import { html, nothing, svg } from "../../vendor/lit/lit-html.js";
import { orDash, percent } from "../format.js";
import { table } from "../parts.js";
import { Frame, ticks } from "./frame.js";

const known = (epochs, name) => epochs.map((epoch, n) => [n + 1, epoch[name]]).filter(([, value]) => typeof value === "number");

function plot(epochs) {
  const learned = known(epochs, "accuracy");
  const validated = known(epochs, "validation_accuracy");
  const values = [...learned, ...validated].map(([, value]) => value);
  if (epochs.length < 2 || !values.length) return nothing;
  const low = Math.min(0.9, Math.floor(10 * Math.min(...values)) / 10);
  const frame = new Frame({ height: 180, x: [1, epochs.length], y: [low, 1] });
  const last = validated.at(-1);
  const said = last ? `; ${percent(last[1])} of validation photos at the end` : "";
  const phases = epochs.map((epoch, n) => [n, epoch.phase]).filter(([n, phase]) => n > 0 && epochs[n - 1].phase !== phase);
  return html`<figure>
    <div class="scroll" tabindex="0" role="group" aria-label="Plot"><svg class="plot" viewBox=${frame.viewBox} role="img" aria-label=${`Share of photos that are right, over ${epochs.length} epochs${said}.`}>
      ${frame.axes(ticks(1, epochs.length, 8).filter(Number.isInteger), String, ticks(low, 1, 4), (value) => percent(value, 0), "epoch")}
      ${phases.map(([n, phase]) => svg`
        <line class="budget" x1=${frame.x(n + 0.5)} x2=${frame.x(n + 0.5)} y1=${frame.top} y2=${frame.bottom}></line>
        <text x=${frame.x(n + 0.5) + (n < epochs.length / 2 ? 5 : -5)} y=${frame.bottom - 6} text-anchor=${n < epochs.length / 2 ? "start" : "end"}>${phase}</text>`)}
      <polyline class="learned" points=${frame.line(learned)}></polyline>
      <polyline class="validated" points=${frame.line(validated)}></polyline>
      ${validated.map(([n, value]) => svg`<circle class="dot best" cx=${frame.x(n)} cy=${frame.y(value)} r="3"></circle>`)}
    </svg></div>
    <figcaption class="small quiet">Right, of the photos it learns from (dashed) and of the validation photos (with dots).</figcaption>
  </figure>`;
}

const rowOf = (one) => [
  one.phase, one.epoch, orDash(one.loss, (loss) => loss.toFixed(3)), orDash(one.accuracy, percent), orDash(one.validation_accuracy, percent),
];

export function training(evaluation) {
  const epochs = evaluation.history ?? [];
  if (!epochs.length) return nothing;
  return html`<section class="stack" aria-labelledby="training-title">
    <h3 id="training-title">Training</h3>
    ${plot(epochs)}
    <details>
      <summary>Its epochs as a table</summary>
      ${table("Epochs", ["Phase", "Epoch", "Loss", "Right, learning", "Right, validation"], epochs.map(rowOf))}
    </details>
  </section>`;
}
