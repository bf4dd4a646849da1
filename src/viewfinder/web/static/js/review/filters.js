/** Which photos are wanted; the page's address says so too, and keeps it. */

import { html } from "../../vendor/lit/lit-html.js";
import { namesOf } from "../names.js";
import { region } from "../region.js";

const form = document.querySelector("#filters form");
const told = document.querySelector("#filters-said");
const given = new URLSearchParams(location.search);

const valueOf = (name) => form.elements[name].value.trim();
const fraction = (text) => String(Number(text) / 100);

/** The filters as `GET /v1/results` takes them. */
export function query() {
  const asked = new URLSearchParams({ reviewed: valueOf("reviewed"), order: valueOf("order") });
  if (modelOf()) asked.set("model", modelOf());
  if (valueOf("class")) asked.set("class", valueOf("class"));
  if (valueOf("min")) asked.set("min_confidence", fraction(valueOf("min")));
  if (valueOf("max")) asked.set("max_confidence", fraction(valueOf("max")));
  return asked;
}

/** The model that is asked for, as `name` or `name@3`; "" is all. */
export const modelOf = () => valueOf("model");

/** Ask for all that is not reviewed. */
export function clear() {
  form.reset();
  form.elements.model.value = "";
  form.dispatchEvent(new Event("change"));
}

/** @param {() => void} changed Called when others are wanted. */
export function onChange(changed) {
  form.addEventListener("change", () => {
    if (!form.reportValidity()) return;
    tell();
    changed();
  });
  form.addEventListener("submit", (event) => event.preventDefault());
}

function tell() {
  const kept = new URLSearchParams([...new FormData(form)].filter(([, value]) => value));
  history.replaceState(null, "", `?${kept}`);
  say();
}

function say() {
  const chosen = (name) => form.elements[name].selectedOptions[0].textContent.trim();
  const parts = [chosen("reviewed"), chosen("order")];
  if (modelOf()) parts.push(modelOf());
  if (valueOf("class")) parts.push(`answered with ${valueOf("class")}`);
  if (valueOf("min") || valueOf("max")) parts.push(`${valueOf("min") || 0} to ${valueOf("max") || 100}% sure`);
  told.textContent = parts.join(", ");
}

const option = (value) => html`<option value=${value} ?selected=${value === given.get("model")}>${value}</option>`;

region("models", ({ models }) => {
  const names = models.flatMap(namesOf);
  if (given.get("model") && !names.includes(given.get("model"))) names.push(given.get("model"));
  return html`<option value="">all models</option>${names.map(option)}`;
});

for (const [name, value] of given) {
  const field = form.elements.namedItem(name);
  if (field === null || !value) continue;
  if (name === "model") field.append(new Option(value, value, true, true));
  else field.value = value;
  if (!field.value) form.reset(); // An address that somebody has made up.
}
say();
