/** One answer, with all that is known of it. */

import { html, nothing } from "../../vendor/lit/lit-html.js";
import { call } from "../api.js";
import { ask } from "../dialog.js";
import { bytes, milliseconds, percent } from "../format.js";
import { named } from "../names.js";
import { badge, bars, button, closing, copyable, problem, storing } from "../parts.js";
import { draw } from "../region.js";

const dialog = document.querySelector("#result-dialog");
let shown = null;

/** What else is to be said of an answer, in a word each. */
export const tags = (one) => [
  one.abstained ? badge("abstained", "warn") : nothing,
  one.cached ? badge("cached") : nothing,
  one.job_id === null ? nothing : badge("job"),
  one.feedback === null ? nothing : said(one.feedback),
];

const said = (feedback) =>
  feedback.correct ? badge("✓ right", "good") : badge(`✗ it is ${feedback.label}`, "bad");

/**
 * Show an answer.
 * @param {object} result As the API says it.
 * @param {(id: string) => void} erased Called once it is erased.
 */
export function showResult(result, erased) {
  shown = { result, erased, photo: null, trouble: null };
  redraw();
  dialog.showModal();
  dialog.scrollTop = 0;
  complete(shown);
}

dialog.addEventListener("close", () => {
  if (shown?.photo) URL.revokeObjectURL(shown.photo);
  shown = null;
  draw(dialog, nothing);
});

/** What has come to it since the list was fetched, and its photo. */
async function complete(mine) {
  const path = `/v1/results/${mine.result.id}`;
  try {
    mine.result = await call(path);
    mine.trouble = null;
    if (mine.result.image.stored && !mine.photo) {
      const photo = URL.createObjectURL(await call(`${path}/image`));
      if (mine === shown) mine.photo = photo;
      else URL.revokeObjectURL(photo);
    }
  } catch (error) {
    mine.trouble = error;
  }
  if (mine === shown) redraw();
}

document.addEventListener("back", () => shown && complete(shown));

async function erase() {
  const mine = shown;
  const isSure = await ask({
    title: "Erase this answer?",
    text: "It goes for good: the answer, its stored photo, and the copy that a job has of it.",
    yes: "Erase it",
    no: "Keep it",
    isFinal: true,
  });
  if (!isSure) return;
  try {
    await call(`/v1/results/${mine.result.id}`, { method: "DELETE" });
  } catch (error) {
    // Whoever erased it before: it is gone.
    if (error.status !== 404) {
      mine.trouble = error;
      if (mine === shown) redraw();
      return;
    }
  }
  dialog.close();
  mine.erased(mine.result.id);
}

const redraw = () => draw(dialog, view(shown));

const view = ({ result, photo, trouble }) => html`<div class="stack">
  <div class="row spread"><h2 id="result-title"><bdi>${result.class}</bdi>, ${percent(result.confidence)}</h2>${closing}</div>
  <div class="row">${tags(result)}</div>
  ${trouble ? problem(trouble) : nothing}
  ${result.image.stored
    ? html`<div class="photo">${photo ? html`<img src=${photo} alt="The photo that was answered">` : "Loading the photo…"}</div>`
    : html`<p class="quiet small">The photo is not stored. ${storing}</p>`}
  <div>
    <h3>Classes</h3>
    ${bars(result.classes)}
  </div>
  ${facts(result)} ${opinion(result)}
  <div class="row">
    ${button("Erase…", erase, "danger")}
  </div>
</div>`;

const facts = (result) => html`<dl class="pairs">
  <dt>Model</dt>
  <dd>${named(result.model)} <span class="quiet">(${result.model.variant})</span></dd>
  <dt>Answered</dt>
  <dd>${new Date(result.created).toLocaleString("en-GB")}</dd>
  <dt>Time taken</dt>
  <dd>${milliseconds(result.timing_ms.total)} <span class="quiet small">${stages(result.timing_ms)}</span></dd>
  <dt>File</dt>
  <dd>${bytes(result.image.bytes)}</dd>
  <dt>SHA-256</dt>
  <dd>${copyable(result.image.sha256, "the SHA-256")}</dd>
  <dt>Id</dt>
  <dd>${copyable(result.id, "the id")}</dd>
  ${result.job_id === null
    ? nothing
    : html`<dt>Job</dt>
        <dd><a href=${`#jobs/${result.job_id}`} @click=${() => dialog.close()}>${result.job_id}</a></dd>`}
  ${result.key_id === null ? nothing : html`<dt>Key</dt><dd><code>${result.key_id}</code></dd>`}
</dl>`;

const stages = ({ decode, queue, infer }) =>
  `decode ${milliseconds(decode)}, queue ${milliseconds(queue)}, infer ${milliseconds(infer)}`;

function opinion({ feedback }) {
  if (feedback === null) {
    return html`<p>Nobody has said yet whether this is right. <a href="/review">Review answers</a></p>`;
  }
  return html`<p class="notice ${feedback.correct ? "good" : "bad"}">
    ${feedback.correct ? "Right, as a person says." : html`Wrong: a person says that it is <strong><bdi>${feedback.label}</bdi></strong>.`}
    <bdi>${feedback.note ?? nothing}</bdi>
  </p>`;
}
