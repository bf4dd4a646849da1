/** The list of jobs, as they get on. */

import { html, nothing } from "../../vendor/lit/lit-html.js";
import { call } from "../api.js";
import { ask } from "../dialog.js";
import { Paged } from "../paged.js";
import { button, empty, problem } from "../parts.js";
import { draw, refresh, region } from "../region.js";
import { followJob } from "./job.js";
import { callback, failure, isOpen, progress, stateBadge, times, title } from "./job_parts.js";

const list = document.querySelector("#job-list");
const filter = document.querySelector("#job-filter");
const DAY_MS = 86_400_000;
const AT_ONCE = 5;

// The list does not say how callbacks stand: of those of a day, a few are asked for at a time, in turn.
const callbacks = new Map();
const asked = new Map();
const paged = new Paged("jobs", nextOf, redraw);

region("job-list", (page) => {
  const last = page.jobs.at(-1)?.id ?? "";
  // Pages that were fetched by hand stay.
  if (paged.isPaged) paged.items = [...page.jobs, ...paged.items.filter((one) => one.id < last)];
  else paged.begin(page);
  follow();
  followJob();
  return view();
});

async function follow() {
  const turn = (one) => asked.get(one.id) ?? 0;
  const due = paged.items.filter(isUnsettled).sort((one, other) => turn(one) - turn(other)).slice(0, AT_ONCE);
  for (const { id } of due) {
    asked.set(id, Date.now());
    try {
      callbacks.set(id, (await call(`/v1/jobs/${id}`)).callback);
    } catch {
      return; // It is asked again with the next list.
    }
  }
  if (due.length) redraw();
}

function isUnsettled({ id, callback, finished }) {
  if (callback === null || finished === null || Date.now() - new Date(finished) > DAY_MS) return false;
  return [undefined, null, "waiting"].includes(callbacks.get(id)?.state);
}

function nextOf(cursor) {
  const state = filter.elements.state.value;
  return call(`/v1/jobs?limit=20&cursor=${cursor}${state && `&state=${state}`}`);
}

async function cancel(job) {
  const isSure = await ask({
    title: "Cancel this job?",
    text: `${title(job)}: what has been answered stays, the rest is never worked on.`,
    yes: "Cancel the job",
    no: "Let it go on",
    isFinal: true,
  });
  if (!isSure) return;
  try {
    await call(`/v1/jobs/${job.id}`, { method: "DELETE" });
    paged.trouble = null;
  } catch (error) {
    paged.trouble = error;
    redraw();
  }
  refresh("#job-filter");
}

filter.addEventListener("submit", (event) => event.preventDefault());
filter.addEventListener("change", () => {
  paged.isPaged = false;
});

function redraw() {
  draw(list, view());
}

const withCallback = (job) => ({ ...job, callback: callbacks.get(job.id) ?? job.callback });

const view = () => html`
  ${paged.trouble ? problem(paged.trouble) : nothing}
  ${paged.items.length ? html`<ol class="jobs stack">${paged.items.map(card)}</ol>` : none()}
  ${paged.button}`;

const card = (job) => html`<li class="card stack">
  <div class="row spread"><h3>${title(job)}</h3>${stateBadge(job)}</div>
  <div>${progress(job)}</div>
  ${failure(job)}
  <div class="row spread">
    <div>${times(job)} ${callback(withCallback(job))}</div>
    <div class="row">
      <a class="button" href=${`#jobs/${job.id}`} aria-label=${`Results of ${title(job)}`}>Results</a>
      ${isOpen(job) ? button("Cancel…", () => cancel(job), "danger") : nothing}
    </div>
  </div>
</li>`;

const none = () =>
  filter.elements.state.value
    ? empty(`No job is ${filter.elements.state.value}`)
    : empty(
        "There are no jobs",
        html`Choose photos for a new one, or send a zip: <code>curl -F archive=@photos.zip ${location.origin}/v1/jobs</code>`,
      );
