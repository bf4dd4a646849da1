/** How good a model is, by what people have said: asked anew after each review. */

import { html, nothing } from "../../vendor/lit/lit-html.js";
import { call, Unreachable } from "../api.js";
import { count, orDash, percent } from "../format.js";
import { modelPath } from "../names.js";
import { meter, problem, table } from "../parts.js";
import { draw } from "../region.js";

const element = document.querySelector("#accuracy");
let model = null;
let isAsking = false;
let isStale = false;

/** Show the accuracy of a model; of the same one, only if it has changed. */
export function showAccuracy(name, { isNew = false } = {}) {
  if (name === model && !isNew) return;
  model = name;
  ask();
}

async function ask() {
  isStale = true;
  if (isAsking) return;
  isAsking = true;
  while (isStale) {
    isStale = false;
    await askOnce(model);
  }
  isAsking = false;
}

async function askOnce(name) {
  try {
    const answer = await call(`${modelPath(name)}/live-accuracy`);
    draw(element, view(answer));
  } catch (error) {
    if (!(error instanceof Unreachable)) draw(element, html`${title(name)}${problem(error)}`);
  }
}

document.addEventListener("back", () => model && ask());

export const drawNothing = () =>
  draw(element, html`${title("")}<p class="quiet">How good the answers are is counted as soon as something is reviewed.</p>`);

const title = (name) => html`<h2>Live accuracy ${name ? html`<span class="quiet">${name}</span>` : nothing}</h2>`;

const view = ({ name, versions, caution }) => html`
  ${title(name)}
  ${versions.length
    ? versions.map(version)
    : html`<p class="quiet">Nothing of this model is reviewed yet.</p>`}
  <p class="small quiet">${caution}</p>`;

const version = (one) => html`<div class="version">
  <div class="row spread">
    <h3>Version ${one.version}</h3>
    <span>${count(one.correct)} of ${count(one.reviewed)} right</span>
  </div>
  <div class="row">
    <strong class="figure">${percent(one.accuracy.value)}</strong>
    <span class="quiet small">95% interval ${interval(one.accuracy)}</span>
  </div>
  ${meter(one.accuracy)}
  ${one.abstained.reviewed ? html`<p class="small">It stood by ${part(one.answered)}; it was too unsure of ${part(one.abstained)}.</p>` : nothing}
  <details>
    <summary>By class (${count(one.classes.length)})</summary>
    ${table(`Accuracy by class, version ${one.version}`, ["Class", "Photos", "Found", "Answers", "Right"], one.classes.map(rowOf))}
    ${one.confusions.length
      ? html`<h3 class="small">Taken for another</h3><ul class="small points">${one.confusions.map(
          (each) => html`<li><bdi>${each.class}</bdi>, answered with <bdi>${each.answered}</bdi>: ${count(each.count)}</li>`,
        )}</ul>`
      : nothing}
  </details>
</div>`;

const rowOf = (one) => [one.class, count(one.reviewed), share(one.recall), count(one.answered), share(one.precision)];
const interval = ({ low, high }) => `${percent(low)} to ${percent(high)}`;
const part = ({ correct, reviewed }) => `${count(reviewed)}, ${count(correct)} of them right`;
const share = (estimate) =>
  orDash(estimate, (known) => html`<span title="95% interval ${interval(known)}">${percent(known.value, 0)}</span>`);
