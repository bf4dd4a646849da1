/** How one photo is shown, with what came of it. */

import { html, nothing } from "../../vendor/lit/lit-html.js";
import { bytes, milliseconds, percent } from "../format.js";
import { named } from "../names.js";
import { badge, bars, button, problem } from "../parts.js";
import { describe, explain, placement } from "./heatmap.js";

const HEADS = { waiting: "Waiting", asking: "Asking…", failed: "No answer" };

/**
 * @param {Photo} photo
 * @param {{again: () => void, look: (() => void)|false, unseen: () => void}} act What its buttons
 *     do, if they are there, and what happens when the browser cannot show it.
 */
export const card = (photo, act) => html`
  <article class="card photo" aria-label=${photo.name} aria-busy=${["waiting", "asking"].includes(photo.state)}>
    ${picture(photo, act)}
    <div class="stack">${photo.state === "answered" ? answered(photo, act) : unanswered(photo, act)}</div>
  </article>`;

const picture = (photo, act) => html`
  <figure>
    <div class="frame">
      ${photo.source
        ? html`<img src=${photo.source} alt=${photo.name} loading="lazy" decoding="async" draggable="false" @error=${act.unseen}>`
        : html`<span class="no-picture quiet small">${photo.url ? "On another host" : "No preview"}</span>`}
      ${photo.heat?.map
        ? html`<canvas role="img" ?hidden=${!photo.heat.isShown} .style=${placement(photo.heat.map)}
            aria-label=${`Heat map. ${describe(photo.heat.map)}`}></canvas>`
        : nothing}
    </div>
    <figcaption>
      ${/^https?:/i.test(photo.url)
        ? html`<a href=${photo.url} target="_blank" rel="noreferrer"><bdi>${photo.name}</bdi></a>`
        : html`<bdi>${photo.name}</bdi> <span class="quiet">${photo.file ? bytes(photo.file.size) : nothing}</span>`}
    </figcaption>
  </figure>`;

const unanswered = (photo, act) => html`
  <h3 class=${photo.state === "failed" ? "" : "quiet"}>${HEADS[photo.state]}</h3>
  ${photo.state === "failed"
    ? html`${problem(photo.error)}
        <div class="row">${button("Try again", act.again, "slim")}</div>`
    : nothing}`;

const answered = (photo, act) => {
  const { answer, heat } = photo;
  return html`
    <div class="row spread">
      <h3 class="top-class">${answer.class} <span class="quiet">${percent(answer.confidence)}</span></h3>
      <span class="row">
        ${answer.abstained ? badge("not sure", "warn") : nothing}
        ${answer.cached ? badge("cached") : nothing}
      </span>
    </div>
    ${answer.abstained
      ? html`<p class="small">The model is not sure enough to be relied on: this is its best guess.</p>`
      : nothing}
    ${bars(answer.classes)}
    ${heat?.map ? account(heat) : nothing}
    ${heat?.error ? problem(heat.error) : nothing}
    <p class="quiet small took">
      <span>${named(answer.model)}</span><span>${answer.model.variant}</span>
      ${times(answer.timing_ms, photo.ms)}
    </p>
    <div class="row">
      ${photo.source && act.look
        ? html`<button type="button" class="slim" aria-pressed=${Boolean(heat?.isShown)} ?disabled=${heat?.isBusy}
            @click=${act.look}>${heat?.isBusy ? "Looking…" : "Show what it looked at"}</button>`
        : nothing}
      ${button("Ask again", act.again, "plain slim")}
    </div>`;
};

const times = ({ decode, queue, infer, total }, seen) => html`
  <span>decode ${milliseconds(decode)}</span><span>queue ${milliseconds(queue)}</span>
  <span>infer ${milliseconds(infer)}</span><span>total ${milliseconds(total)}</span>
  <span>${milliseconds(seen)} seen from here</span>`;

const account = ({ map, ms, isShown }) => html`
  <div class="account small" ?hidden=${!isShown}>
    <p class="legend"><span>little</span><canvas class="legend" aria-hidden="true"></canvas><span>much</span></p>
    <p>${describe(map)} <span class="quiet">${explain(map)} It took ${milliseconds(ms)}.</span></p>
  </div>`;
