/** One job: how it gets on, whom it tells, and what came of its images. */

import { html, nothing } from "../../vendor/lit/lit-html.js";
import { call } from "../api.js";
import { save } from "../carry.js";
import { percent } from "../format.js";
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

const blank = (id, failed = "") => ({ id, failed, job: null, pages: [{ cursor: null, results: [], next: null }], trouble: null });

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
    if (isNews) await readOn(mine);
    Object.assign(mine, { job, trouble: null });
  } catch (error) {
    mine.trouble = error;
  }
  if (mine === shown) redraw();
}

document.addEventListener("back", followJob);

/** The last page once more: of a job that is not over, it grows. */
async function readOn(mine) {
  const page = mine.pages.at(-1);
  const after = page.cursor === null ? "" : `&cursor=${encodeURIComponent(page.cursor)}`;
  Object.assign(page, await call(`${pathOf(mine)}&limit=50${after}`));
}

const pathOf = ({ id, failed }) => `/v1/jobs/${id}/results?${failed && `failed=${failed}`}`;

async function more() {
  const mine = shown;
  const added = { cursor: mine.pages.at(-1).next, results: [], next: null };
  mine.pages.push(added);
  try {
    await readOn(mine);
    mine.trouble = null;
  } catch (error) {
    mine.pages = mine.pages.filter((page) => page !== added);
    mine.trouble = error;
  }
  if (mine === shown) redraw();
}

function choose(failed) {
  shown = blank(shown.id, failed);
  followJob();
}

async function download() {
  const mine = shown;
  try {
    save(await call(pathOf(mine), { headers: { Accept: "application/x-ndjson" } }), `job-${mine.id}.ndjson`);
  } catch (error) {
    mine.trouble = error;
    redraw();
  }
}

const redraw = () => draw(dialog, view(shown));

const view = ({ id, job, trouble, failed, pages }) => html`<div class="stack">
  <div class="row spread"><h2 id="job-title">${job ? title(job) : "Job"}</h2>${closing}</div>
  ${trouble ? problem(trouble) : nothing} ${trouble && !job ? nothing : content(job, failed, pages)}
  <p class="quiet small">Id: ${copyable(id, "the id")}</p>
</div>`;

const content = (job, failed, pages) => html`${job ? about(job) : nothing}
  <div class="row spread">
    <div class="row" role="group" aria-label="Which images">
      ${KINDS.map(
        ([value, text]) => html`<button type="button" class="slim" aria-pressed=${value === failed} @click=${() => choose(value)}>${text}</button>`,
      )}
    </div>
    ${button("Save as NDJSON", download, "slim")}
  </div>
  ${images(pages.flatMap((page) => page.results))}
  ${pages.at(-1).next ? button("More", more, "more") : nothing}`;

const about = (job) => html`<div>
    <div class="row">${stateBadge(job)} ${times(job)}</div>
    ${progress(job)} ${callback(job)}
  </div>
  ${failure(job)}`;

const images = (results) =>
  results.length
    ? html`<ol class="images">${results.map(image)}</ol>`
    : html`<p class="quiet">Nothing is here so far.</p>`;

const image = ({ filename, result, error }) => html`<li>
  <span class="name"><bdi>${filename}</bdi></span>
  ${result
    ? html`<span><strong><bdi>${result.class}</bdi></strong> <span class="quiet">${percent(result.confidence)}${result.abstained ? ", abstained" : ""}</span></span>`
    : html`<span class="error">✗ ${error.detail}</span>`}
</li>`;
