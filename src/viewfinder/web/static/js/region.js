/**
 * Parts of a page that show what the API answers: htmx asks, as their `hx-` attributes say, and
 * lit draws what comes, without touching what stays the same.
 *
 *     <form hx-get="/v1/results" hx-target="#history" hx-trigger="load, change, every 5s">…</form>
 *     <div id="history"></div>
 *
 *     region("history", (page) => html`…`);
 */

import htmx from "../vendor/htmx/htmx.esm.min.js";
import { render } from "../vendor/lit/lit-html.js";
import { send } from "./api.js";
import { problem } from "./parts.js";

const views = new Map();
const drawn = new WeakSet();

/**
 * Say how a part is drawn.
 * @param {string} id Of the element that `hx-target` names.
 * @param {(answer: any, ctx: object) => any} view Gets the JSON (of other answers, the text) and
 *     htmx's account of the request; gives a template, or nothing where it has drawn by itself.
 * @param {(answer: any) => any} refused The same for an answer that is a problem.
 */
export function region(id, view, refused = problem) {
  views.set(id, { view, refused });
}

/** Draw into an element, in place of what the page began with. */
export function draw(element, template) {
  if (!drawn.has(element)) element.replaceChildren();
  drawn.add(element);
  render(template, element);
}

/** Have every part, or one, ask again. */
export function refresh(selector = "[hx-get]") {
  for (const element of document.querySelectorAll(selector)) htmx.trigger(element, "refresh");
}

document.addEventListener("htmx:config:request", ({ detail: { ctx } }) => {
  ctx.fetch = send;
  ctx.request.headers.Accept = "application/json, text/plain";
  // An empty field of a form means that it was left out.
  for (const [name, value] of [...ctx.request.body]) if (!value) ctx.request.body.delete(name);
});

document.addEventListener("htmx:before:request", (event) => {
  const isTimer = !event.detail.ctx.sourceEvent?.isTrusted;
  if (document.hidden && isTimer && drawn.has(event.detail.ctx.target)) event.preventDefault();
});

document.addEventListener("htmx:after:request", (event) => {
  event.preventDefault(); // Nothing is put into the page as HTML.
  const { ctx } = event.detail;
  const type = ctx.response.headers.get("Content-Type") ?? "";
  const answer = /json/.test(type) ? JSON.parse(ctx.text) : ctx.text;
  const { view, refused } = views.get(ctx.target.id);
  const shown = ctx.response.status < 400 ? view(answer, ctx) : refused(answer);
  if (shown !== undefined) draw(ctx.target, shown);
});

document.addEventListener("back", () => refresh());
