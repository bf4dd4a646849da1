/** Which answers are wanted; the page's address says so too. */

import { call } from "../api.js";
import { allNames, modelPath } from "../names.js";
import { keep, queryOf, take } from "../query.js";

const form = document.querySelector("#filters");
const box = document.querySelector("#filter-box");
const badge = document.querySelector("#filter-count");
const names = document.querySelector("#model-names");
const classes = document.querySelector("#class-names");
export const PAGE = 30;

/** The parameters of `GET /v1/results` that the form says. */
export const wanted = () => queryOf(form);

/** Ask for everything again. */
export const clear = () => form.reset();

function tell() {
  const { size } = wanted();
  badge.textContent = String(size);
  badge.hidden = !size;
  keep(form);
}

function offer(list, values) {
  list.replaceChildren(...values.map((value) => Object.assign(document.createElement("option"), { value })));
}

async function offerClasses() {
  const [name] = form.elements.model.value.split("@");
  const known = [...names.options].map((option) => option.value);
  const model = known.includes(name) ? name : known[0];
  if (model === undefined) return;
  const { labels } = await call(`${modelPath(model)}/labels`);
  offer(classes, labels.map((label) => label.class));
}

const offerNames = async () => offer(names, await allNames());

// Suggestions only: what is typed holds without them.
const unless = (failed) => failed.catch(() => {});

form.addEventListener("submit", (event) => event.preventDefault());
form.addEventListener("change", (event) => {
  if (!form.reportValidity()) return;
  tell();
  if (event.target.name === "model") unless(offerClasses());
});
form.addEventListener("reset", () => {
  // The fields are empty after this event.
  queueMicrotask(() => form.dispatchEvent(new Event("change", { bubbles: true })));
});
form.addEventListener("focusin", () => unless(offerNames().then(offerClasses)), { once: true });
form.addEventListener("htmx:config:request", (event) => {
  const { body } = event.detail.ctx.request;
  for (const name of [...body.keys()]) body.delete(name);
  if (!form.checkValidity()) event.preventDefault();
  else for (const [name, value] of [...wanted(), ["limit", PAGE]]) body.append(name, value);
});

take(form);
tell();
box.open = matchMedia("(min-width: 60rem)").matches;
