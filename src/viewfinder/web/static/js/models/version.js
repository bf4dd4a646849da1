/** One version of a model, opened: what its bundle says of itself. */

import { html, nothing, render } from "../../vendor/lit/lit-html.js";
import { count } from "../format.js";
import { versionPath } from "../names.js";
import { button, moment, problem } from "../parts.js";
import { classes } from "./classes.js";
import { confusion } from "./confusion.js";
import { facts } from "./facts.js";
import { ladder } from "./ladder.js";
import { openReport } from "./report.js";
import { wanted } from "./state.js";
import { flatten } from "./summary.js";
import { training } from "./training.js";

// A thousand classes have a matrix of some megabytes: the report shows that.
const MOST_BYTES = 4_000_000;
const REPORT = "report.html";

/** What a document says; null where that cannot be had, undefined as long as it has not come. */
function read(path, files, name) {
  const file = files.find((one) => one.path === name);
  if (!file || file.bytes > MOST_BYTES) return null;
  const answer = wanted(`${path}/documents/${name}`);
  return answer instanceof Error ? null : answer;
}

/** A view of what a stranger may have written: what it cannot show, it says. */
function shown(view, ...given) {
  try {
    const template = view(...given);
    render(template, document.createDocumentFragment()); // Only there it fails at what is no text.
    return template;
  } catch {
    return html`<p class="notice warn">A part of what this version says of itself cannot be shown.</p>`;
  }
}

const provenance = (summary) => html`<details>
  <summary>Where it comes from</summary>
  <div class="scroll">
    <table class="provenance">
      <tbody>
        ${flatten(summary.provenance).map(
          ([name, value]) => html`<tr>
            <th scope="row">${name}</th>
            <td>${name === "parent" && value ? html`<a href="#${summary.name}@${value}">version ${value}</a>` : `${value ?? "–"}`}</td>
          </tr>`,
        )}
      </tbody>
    </table>
  </div>
</details>`;

/** The documents of a version; undefined as long as they are not known. */
function documentsOf(path) {
  const answer = wanted(`${path}/documents`);
  return answer instanceof Error ? [] : answer?.documents;
}

function reportButton(model, number) {
  const path = versionPath(model.name, number);
  if (!documentsOf(path)?.some((one) => one.path === REPORT)) return nothing;
  return button("Open the report", () => openReport(`${path}/documents/${REPORT}`));
}

function content(model, number) {
  const path = versionPath(model.name, number);
  const summary = wanted(path);
  if (summary instanceof Error) return problem(summary);
  const files = documentsOf(path);
  const evaluation = files && read(path, files, "evaluation.json");
  const rungs = evaluation?.ladder ?? (files && read(path, files, "ladder.json"));
  if ([summary, evaluation, rungs].includes(undefined)) return html`<p class="quiet">Reading…</p>`;
  return html`${shown(facts, summary, evaluation)} ${shown(ladder, summary, rungs)}
    ${evaluation
      ? html`${shown(classes, evaluation)} ${shown(confusion, evaluation)} ${shown(training, evaluation)}`
      : nothing}
    ${shown(provenance, summary)}`;
}

function subtitle(model, number) {
  const summary = wanted(versionPath(model.name, number));
  if (!summary?.created) return nothing;
  return html`<p class="quiet small">
    Made ${moment(summary.created)} · ${count(summary.labels_count)} classes · ${summary.input.width} × ${summary.input.height} pixels
  </p>`;
}

export function version(model, number) {
  const entry = model.versions.find((one) => one.version === number);
  const isFailed = entry === undefined || entry.state === "failed";
  return html`<section class="card stack" aria-labelledby="version-title">
    <div class="row spread">
      <div>
        <h2 id="version-title" tabindex="-1">${model.name} version ${number}</h2>
        ${isFailed ? nothing : subtitle(model, number)}
      </div>
      <div class="row">
        ${isFailed ? nothing : reportButton(model, number)}
        <a class="button" href="#${model.name}">Close</a>
      </div>
    </div>
    ${entry === undefined
      ? html`<p class="notice warn">There is no version ${number} of ${model.name} any more.</p>`
      : isFailed
        ? problem(`It cannot be used: ${entry.reason}. Mend or delete it in the store, then try again.`)
        : content(model, number)}
  </section>`;
}
