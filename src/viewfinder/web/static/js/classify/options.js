/** Which model is asked, and for how many classes: kept for as long as the page is open. */

import { html, nothing } from "../../vendor/lit/lit-html.js";
import { namesOf } from "../names.js";
import { region } from "../region.js";

const classes = document.querySelector("#top-k");
let model = "";

/** Whether they can be sent; where not, the field says why. */
export const areGood = () => classes.reportValidity();

/** As the API has them. */
export const options = () => ({ model, top_k: classes.value });

/** @param {() => void} changed Is told when somebody has chosen otherwise, and well. */
export function watchOptions(changed) {
  classes.addEventListener("change", () => classes.validity.valid && changed());
  document.querySelector("#models").addEventListener("change", (event) => {
    model = event.target.value;
    changed();
  });
}

const option = (value, text, state) => html`<option
  value=${value} .selected=${value === model} ?disabled=${state === "failed"}
>${text}${state === "failed" ? " (failed)" : nothing}</option>`;

const group = ({ name, versions, aliases }) => html`<optgroup label=${name}>
  ${option(name, name)}
  ${Object.entries(aliases).map(([alias, version]) => option(`${name}@${alias}`, `${name}@${alias} (version ${version})`))}
  ${versions.map(({ version, state }) => option(`${name}@${version}`, `${name}@${version}`, state))}
</optgroup>`;

const callings = (one) => [...namesOf(one), ...Object.keys(one.aliases).map((alias) => `${one.name}@${alias}`)];

let known = { default: "Default model", models: [] };

const field = (note = nothing) => {
  // What was chosen stays chosen, also when it has gone: the server says so then.
  const isGone = model !== "" && !known.models.flatMap(callings).includes(model);
  return html`<label for="model">Model</label>
    <select id="model">
      ${option("", known.default)}
      ${known.models.filter(({ versions }) => versions.length).map(group)}
      ${isGone ? option(model, `${model} (gone)`) : nothing}
    </select>
    ${note}`;
};

region(
  "models",
  (answer) => {
    known = { ...answer, default: `${answer.default} (default)` };
    return field();
  },
  // A key may be good for photos and not for this.
  (answer) => field(html`<p class="quiet small">${answer.detail ?? answer}</p>`),
);
