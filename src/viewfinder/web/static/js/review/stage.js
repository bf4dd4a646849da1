/** One photo, what was answered, and everything that can be said of it. */

import { html, nothing } from "../../vendor/lit/lit-html.js";
import { count, percent } from "../format.js";
import { named } from "../names.js";
import { badge, button, empty, moment, problem, storing } from "../parts.js";
import { NOT_STORED, photoOf } from "./photos.js";

const MOST_CHOICES = 9;
const BACK = html`Back <kbd>←</kbd>`;

/** Classes that a key can choose. */
export const choicesOf = (result) => result.classes.slice(0, MOST_CHOICES);

/**
 * @param {import("./queue.js").Queue} queue
 * @param {object} acts What the buttons do: `confirm`, `say`, `skip`, `back`, `undo`, `again`, `all`.
 * @param {object} more `search` is a template; `canUndo`, `stored` and `skipped` are about this visit.
 */
export function stage(queue, acts, more) {
  const item = queue.current;
  if (item) return reviewing(item, queue, acts, more);
  if (queue.error) return html`${problem(queue.error)}<div class="row acts">${button("Try again", acts.again)}</div>`;
  if (queue.isLoading || queue.hasMore) return html`<p class="empty" aria-busy="true">Looking for photos…</p>`;
  return queue.items.length ? end(acts, more) : none(queue, acts);
}

const reviewing = (item, queue, acts, more) => html`
  <div class="one">
    <figure>${shown(item.result)}</figure>
    <div class="stack">
      <div class="row spread small">
        <span>${left(queue)}</span>
        <span class="quiet">${named(item.result.model)} · ${moment(item.result.created)}</span>
      </div>
      ${item.trouble ? problem(item.trouble) : nothing}
      <div>
        <p class="quiet small">The model says</p>
        <h2><bdi>${item.result.class}</bdi> <span class="quiet">${percent(item.result.confidence)}</span>
          ${item.result.abstained ? badge("too unsure to answer", "warn") : nothing}</h2>
        ${said(item)}
      </div>
      <ol class="choices">${choicesOf(item.result).map((one, place) => choice(one, place, item, acts))}</ol>
      ${more.search}
      <div class="row acts">
        ${button(html`${item.wanted ? "Keep" : "Right"} <kbd>Enter</kbd>`, acts.confirm, "main")}
        ${button(html`Skip <kbd>→</kbd>`, acts.skip)}
        ${button(BACK, acts.back, "", !queue.at)}
        ${button(html`Undo <kbd>u</kbd>`, acts.undo, "", !more.canUndo)}
        ${item.wanted ? button("Take the review back", () => acts.say(null), "plain") : nothing}
      </div>
    </div>
  </div>`;

function left(queue) {
  const isAgain = queue.query.get("reviewed") === "true";
  const number = queue.items.slice(queue.at).filter((item) => isAgain || !item.wanted).length;
  return html`<strong>${queue.hasMore ? `more than ${count(number)}` : count(number)}</strong> left`;
}

function shown(result) {
  const { image, words } = photoOf(result);
  if (image) {
    image.alt = `A photo that was answered with ${result.class}`;
    return image;
  }
  if (!words) return html`<p class="quiet" aria-busy="true">The photo is on its way…</p>`;
  return empty(words, words === NOT_STORED ? storing : nothing);
}

function said(item) {
  if (!item.wanted) return nothing;
  const isNew = item.wanted === item.stored && item.result.feedback?.known === false;
  return html`<p class="said">Reviewed as <strong><bdi>${item.wanted.label}</bdi></strong>
    ${isNew ? badge("new class", "accent") : nothing}
    ${item.wanted.label === item.result.class ? badge("right", "good") : badge("corrected", "warn")}</p>`;
}

const choice = (one, place, item, acts) => html`<li>
  <button type="button" class="share" aria-pressed=${item.wanted?.label === one.class} .style=${`--share: ${percent(one.confidence)}`}
    @click=${() => acts.say(one.class)}>
    <kbd>${place + 1}</kbd><span><bdi>${one.class}</bdi></span><span class="number">${percent(one.confidence)}</span>
  </button>
</li>`;

const end = (acts, { stored, skipped }) => html`<div class="empty">
  <strong>That was the last one.</strong>
  <span>${count(stored)} stored in this visit${skipped ? `, ${count(skipped)} skipped` : ""}.</span>
  <div class="row">
    ${button("Look for more", acts.again, "main")}
    ${button(BACK, acts.back)}
  </div>
</div>`;

const none = (queue, acts) => queue.query.size > 2 || queue.query.get("reviewed") === "true"
  ? empty("No photo is like that.", button("Show all that are not reviewed", acts.all, "main"))
  : empty("Nothing waits to be reviewed.", html`Photos that are classified come here, the least sure first. To see them too, start the server with
      <code>VIEWFINDER_RECORD=images viewfinder serve</code>.`);
