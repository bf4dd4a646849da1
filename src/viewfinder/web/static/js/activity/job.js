/** One job: how it gets on, whom it tells, and what came of its images. */

import { html, nothing } from "../../vendor/lit/lit-html.js";
import { call } from "../api.js";
import { save } from "../carry.js";
import { percent } from "../format.js";
import { Paged } from "../paged.js";
import { button, closing, copyable, problem } from "../parts.js";
import { draw } from "../region.js";
import { callback, failure, isOpen, progress, stateBadge, times, title } from "./job_parts.js";

const dialog = document.querySelector("#job-dialog");
const KINDS = [
  ["", "All"],
  ["true", "Failed"],
  ["false", "Answered"],
];
let shown = null;

/** Open a job; without an id, close the one that is open. */
export function showJob(id) {
  if (id === shown?.id) return;
  if (id === undefined) {
    dialog.close();
    return;
  }
  shown = blank(id);
  redraw();
  if (!dialog.open) dialog.showModal();
  followJob();
}

function blank(id, failed = "") {
  const mine = { id, failed, job: null };
  const ask = (cursor) => call(`${pathOf(mine)}&limit=50${cursor ? `&cursor=${cursor}` : ""}`);
  mine.images = new Paged("results", ask, () => mine === shown && redraw());
  return mine;
}

dialog.addEventListener("close", () => {
  shown = null;
  if (location.hash.startsWith("#jobs/")) location.hash = "jobs";
});

/** Look how the open job is; of one that is over there is nothing new but its callback. */
export async function followJob() {
  const mine = shown;
  if (mine === null) return;
  try {
    const isNews = mine.job === null || isOpen(mine.job);
    const job = await call(`/v1/jobs/${mine.id}`);
    if (isNews) await mine.images.reread(); // Of a job that is not over, it grows.
    mine.job = job;
    mine.images.trouble = null;
  } catch (error) {
    mine.images.trouble = error;
  }
  if (mine === shown) redraw();
}

document.addEventListener("back", followJob);

const pathOf = ({ id, failed }) => `/v1/jobs/${id}/results?${failed && `failed=${failed}`}`;

function choose(failed) {
  shown = blank(shown.id, failed);
  followJob();
}

async function download() {
  const mine = shown;
  try {
    save(await call(pathOf(mine), { headers: { Accept: "application/x-ndjson" } }), `job-${mine.id}.ndjson`);
  } catch (error) {
    mine.images.trouble = error;
    redraw();
  }
}

const redraw = () => draw(dialog, view(shown));

const view = ({ id, job, failed, images }) => html`<div class="stack">
  <div class="row spread"><h2 id="job-title">${job ? title(job) : "Job"}</h2>${closing}</div>
  ${images.trouble ? problem(images.trouble) : nothing} ${images.trouble && !job ? nothing : content(job, failed, images)}
  <p class="quiet small">Id: ${copyable(id, "the id")}</p>
</div>`;

const content = (job, failed, images) => html`${job ? about(job) : nothing}
  <div class="row spread">
    <div class="row" role="group" aria-label="Which images">
      ${KINDS.map(
        ([value, text]) => html`<button type="button" class="slim" aria-pressed=${value === failed} @click=${() => choose(value)}>${text}</button>`,
      )}
    </div>
    ${button("Save as NDJSON", download, "slim")}
  </div>
  ${list(images.items)}
  ${images.button}`;

const about = (job) => html`<div>
    <div class="row">${stateBadge(job)} ${times(job)}</div>
    ${progress(job)} ${callback(job)}
  </div>
  ${failure(job)}`;

const list = (results) =>
  results.length
    ? html`<ol class="images">${results.map(image)}</ol>`
    : html`<p class="quiet">Nothing is here so far.</p>`;

const image = ({ filename, result, error }) => html`<li>
  <span class="name"><bdi>${filename}</bdi></span>
  ${result
    ? html`<span><strong><bdi>${result.class}</bdi></strong> <span class="quiet">${percent(result.confidence)}${result.abstained ? ", abstained" : ""}</span></span>`
    : html`<span class="error">✗ ${error.detail}</span>`}
</li>`;
