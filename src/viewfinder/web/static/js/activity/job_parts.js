/** What is said of a job, in the list and when it is opened. */

import { html, nothing } from "../../vendor/lit/lit-html.js";
import { count, duration, many } from "../format.js";
import { named } from "../names.js";
import { badge, moment, problem } from "../parts.js";

const KINDS = { queued: "", running: "accent", succeeded: "good", failed: "bad", cancelled: "warn" };

export const isOpen = ({ state }) => state === "queued" || state === "running";
const doneOf = ({ counts }) => counts.total - counts.waiting;

/** Seconds that a job has been worked on. */
const worked = ({ started, finished }) =>
  started === null ? 0 : Math.max(0.001, ((finished === null ? Date.now() : new Date(finished)) - new Date(started)) / 1000);

export const title = (job) => `${many(job.counts.total, "image")} for ${named(job.model)}`;
export const stateBadge = (job) => badge(job.state, kindOf(job));

/** It has succeeded with whatever it could answer: that is not good where it could not. */
function kindOf({ state, counts: { total, failed } }) {
  if (state !== "succeeded" || !failed) return KINDS[state];
  return failed < total ? "warn" : "bad";
}

/** How far a job is: a bar, and the same in words. */
export function progress(job) {
  const { total, failed } = job.counts;
  const done = doneOf(job);
  const words = `${count(done)} of ${count(total)}`;
  return html`<progress max=${total} value=${done} aria-label=${`Images worked on: ${words}`}></progress>
    <p class="row spread small"><span>${words} ${failed ? badge(`${count(failed)} failed`, "bad") : nothing}</span><span class="quiet">${pacing(job)}</span></p>`;
}

function pacing(job) {
  const speed = worked(job) && doneOf(job) / worked(job);
  if (!speed) return job.state === "queued" ? "waits for its turn" : "";
  const rate = `${speed.toFixed(speed < 10 ? 1 : 0)} a second`;
  return job.state === "running" ? `${rate}, about ${duration(job.counts.waiting / speed)} left` : rate;
}

export const times = (job) => html`<p class="quiet small row">
  <span>sent ${moment(job.created)}</span>
  ${job.started ? html`<span>started ${moment(job.started)}</span>` : nothing}
  ${job.finished
    ? html`<span>${job.state === "cancelled" ? "called off" : "finished"} ${moment(job.finished)}${job.started ? `, after ${duration(worked(job))}` : ""}</span>`
    : nothing}
</p>`;

export const failure = (job) => (job.error ? problem(job.error) : nothing);

const CALLBACKS = {
  waiting: ["tries again", "warn"],
  delivered: ["delivered", "good"],
  refused: ["refused", "bad"],
  expired: ["given up", "bad"],
};

/** Whom a job tells, and how that stands, as far as it is known. */
export function callback(job) {
  if (job.callback === null) return nothing;
  const { url, state, attempts } = job.callback;
  const [text, kind] = CALLBACKS[state] ?? ["", ""];
  const words = state === "waiting" && !attempts.length ? "is being sent" : text;
  return html`<p class="small row">
    <span class="url">Callback to ${url}</span>
    ${words ? badge(words, kind) : html`<span class="quiet">${isOpen(job) ? "when it is over" : ""}</span>`}
    ${state ? html`<span class="quiet">${last(job.callback)}</span>` : nothing}
  </p>`;
}

function last({ state, attempts, next_attempt: due }) {
  const { status, error } = attempts.at(-1) ?? {};
  const answered = status ? `answered ${status}` : (error ?? "");
  if (state !== "waiting" || due === null) return answered;
  const left = duration(Math.max(0, (new Date(due) - Date.now()) / 1000));
  return `${answered.replace(/\.$/, "")}${answered && "; "}next attempt in ${left}`;
}
