/** Which photos are wanted; the page's address says so too, and keeps it. */

import { html } from "../../vendor/lit/lit-html.js";
import { namesOf } from "../names.js";
import { keep, queryOf, take } from "../query.js";
import { region } from "../region.js";

const form = document.querySelector("#filters form");
const told = document.querySelector("#filters-said");
// Others may have made the address up, and what a model is called becomes part of commands to copy.
const REF = /^[a-z0-9][a-z0-9._-]{0,63}(@[1-9]\d{0,8})?$/;
const asked = new URLSearchParams(location.search).get("model");
const given = REF.test(asked) ? asked : null;

const valueOf = (name) => form.elements[name].value.trim();

/** The filters as `GET /v1/results` takes them. */
export const query = () => queryOf(form);

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
    keep(form);
    say();
    changed();
  });
  form.addEventListener("submit", (event) => event.preventDefault());
}

function say() {
  const chosen = (name) => form.elements[name].selectedOptions[0].textContent.trim();
  const parts = [chosen("reviewed"), chosen("order")];
  if (modelOf()) parts.push(modelOf());
  if (valueOf("class")) parts.push(`answered with ${valueOf("class")}`);
  const [low, high] = [valueOf("min_confidence"), valueOf("max_confidence")];
  if (low || high) parts.push(`${low || 0} to ${high || 100}% sure`);
  told.textContent = parts.join(", ");
}

const option = (value) => html`<option value=${value} ?selected=${value === given}>${value}</option>`;

region("models", ({ models }) => {
  const names = models.flatMap(namesOf);
  if (given && !names.includes(given)) names.push(given);
  return html`<option value="">all models</option>${names.map(option)}`;
});

// Its models have not come yet.
if (given) form.elements.model.add(new Option(given, given));
take(form);
say();
