/** Which answers are wanted: in the form as people say it, in the address as the API says it. */

import { call } from "../api.js";
import { modelPath, namesOf } from "../names.js";

const form = document.querySelector("#filters");
const box = document.querySelector("#filter-box");
const badge = document.querySelector("#filter-count");
const names = document.querySelector("#model-names");
const classes = document.querySelector("#class-names");
export const PAGE = 30;

const fraction = (percents) => String(Number((percents / 100).toFixed(6)));
const percents = (fraction) => String(Number((fraction * 100).toFixed(4)));
const moment = (local) => new Date(local).toISOString();

function local(moment) {
  const date = new Date(moment);
  if (Number.isNaN(date.getTime())) return "";
  return new Date(date - date.getTimezoneOffset() * 60_000).toISOString().slice(0, 16);
}

const CONVERSIONS = {
  min_confidence: [fraction, percents],
  max_confidence: [fraction, percents],
  since: [moment, local],
  until: [moment, local],
};

/** The parameters of `GET /v1/results` that the form says. */
export function wanted() {
  const query = new URLSearchParams();
  for (const [name, value] of new FormData(form)) {
    if (value.trim()) query.set(name, CONVERSIONS[name]?.[0](value) ?? value.trim());
  }
  return query;
}

/** Ask for everything again. */
export const clear = () => form.reset();

function keep() {
  const query = wanted();
  badge.textContent = String(query.size);
  badge.hidden = !query.size;
  history.replaceState(null, "", `${location.pathname}${query.size ? `?${query}` : ""}${location.hash}`);
}

function take() {
  for (const [name, value] of new URLSearchParams(location.search)) {
    const field = form.elements.namedItem(name);
    if (field?.name) field.value = CONVERSIONS[name]?.[1](value) ?? value;
  }
  box.open = matchMedia("(min-width: 60rem)").matches;
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

const offerNames = async () => {
  const { models, default: first } = await call("/v1/models");
  offer(names, [...new Set([first, ...models.flatMap(namesOf)])]);
};

// Suggestions only: what is typed holds without them.
const unless = (failed) => failed.catch(() => {});

form.addEventListener("submit", (event) => event.preventDefault());
form.addEventListener("change", (event) => {
  if (!form.reportValidity()) return;
  keep();
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

take();
keep();
