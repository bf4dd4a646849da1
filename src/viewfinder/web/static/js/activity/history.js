/** The answers that were given: new ones come by themselves, unless somebody is busy with these. */

import { html, nothing } from "../../vendor/lit/lit-html.js";
import { call } from "../api.js";
import { many, milliseconds, percent } from "../format.js";
import { named } from "../names.js";
import { Paged } from "../paged.js";
import { button, empty, moment, problem, storing } from "../parts.js";
import { draw, refresh, region } from "../region.js";
import { clear, PAGE, wanted } from "./filters.js";
import { keepOnly } from "./photos.js";
import { showResult, tags } from "./result.js";

const list = document.querySelector("#results");
let query = null;
let fresh = 0;
const paged = new Paged("results", (cursor) => call(`/v1/results?${wanted()}&limit=${PAGE}&cursor=${cursor}`), redraw);

region("results", (page, ctx) => {
  const isSame = ctx.request.action === query;
  query = ctx.request.action;
  if (isSame && isBusy()) hold(page);
  else replace(page);
  return view();
});

const isBusy = () =>
  paged.isPaged ||
  document.querySelector("dialog[open]") !== null ||
  (list.contains(document.activeElement) && list !== document.activeElement);

function replace(page) {
  paged.begin(page);
  paged.trouble = null;
  fresh = 0;
}

/** Rows stay where they are; what is new is counted, and what has changed is shown. */
function hold(page) {
  const known = new Map(page.results.map((one) => [one.id, one]));
  const newest = paged.items[0]?.id ?? "";
  paged.items = paged.items.map((one) => known.get(one.id) ?? one);
  fresh = page.results.filter((one) => one.id > newest).length;
}

function showFresh() {
  query = null;
  list.focus();
  refresh("#filters");
}

function erased(id) {
  paged.items = paged.items.filter((one) => one.id !== id);
  redraw();
  list.focus();
  refresh("#filters");
}

function redraw() {
  draw(list, view());
}

function view() {
  const { items: results, next, trouble } = paged;
  keepOnly(results.map((one) => one.id));
  return html`
    <div class="row spread status">
      <p role="status" class="quiet small">${results.length ? `${many(results.length, "answer")}${next ? "" : " in all"}, newest first` : nothing}</p>
      ${fresh ? button(`Show ${fresh >= PAGE ? `${fresh} or more` : fresh} new`, showFresh, "slim") : nothing}
    </div>
    ${results.length ? html`<ol class="answers card">${results.map(row)}</ol>` : none()}
    ${trouble ? problem(trouble) : nothing}
    ${paged.button}
    ${results.length && results.every((one) => !one.image.stored) ? unseen : nothing}`;
}

const row = (one) => html`<li>
  <button type="button" class="answer" @click=${() => showResult(one, erased)}>
    ${one.image.stored ? html`<stored-photo result=${one.id}></stored-photo>` : html`<span class="no-photo"></span>`}
    <span class="what"><strong><bdi>${one.class}</bdi></strong> ${tags(one)}</span>
    <span class="sure share number" .style=${`--share: ${percent(one.confidence)}`}>${percent(one.confidence)}</span>
    <span class="who quiet small">${named(one.model)}</span>
    <span class="when quiet small">${moment(one.created)}</span>
    <span class="took quiet small number">${milliseconds(one.timing_ms.total)}</span>
  </button>
</li>`;

const unseen = html`<p class="quiet small">Photos of these are not stored. ${storing}</p>`;

const none = () =>
  wanted().size
    ? html`${empty("No answer is like that", "Take a filter away, or see whether its words are right.")}
        <p class="row centre">${button("Clear filters", clear)}</p>`
    : empty(
        "Nothing has been answered yet",
        html`<a href="/">Classify a photo</a>, or send one: <code>curl -F file=@photo.jpg ${location.origin}/v1/classify</code>`,
      );
