/** The models there are. */

import { html, nothing } from "../../vendor/lit/lit-html.js";
import { many } from "../format.js";
import { badge } from "../parts.js";
import { answering, listed } from "./routing.js";
import { chosen, state } from "./state.js";

const KINDS = { ready: "good", failed: "bad", loading: "accent", unloaded: "" };

export const stateBadge = (said) => badge(said, KINDS[said]);

/** The default model's name, with what follows it: `@3`, `@stable` or nothing. */
const isUsual = (name) => state.usual.split("@")[0] === name;

export const usualBadge = (name) =>
  isUsual(name) ? badge(`default${state.usual.slice(name.length)}`, "accent") : nothing;

/** The state of whoever answers; of the last version, where nobody does. */
function standing(model) {
  const [first] = answering(model);
  return (model.versions.find((one) => one.version === first) ?? model.versions.at(-1))?.state;
}

function summary(model) {
  const versions = answering(model);
  const who = versions.length > 1 ? `versions ${listed(versions)} answer` : versions.length ? `version ${versions[0]} answers` : "none answers";
  return `${many(model.versions.length, "version")}; ${who}`;
}

const entry = (model, open) => html`<li>
  <a href="#${model.name}" aria-current=${model === open ? "true" : nothing}>
    <strong>${model.name}</strong>
    <span class="small quiet">${summary(model)}</span>
    <span class="row">${stateBadge(standing(model))} ${usualBadge(model.name)}</span>
  </a>
</li>`;

export function list() {
  const open = chosen();
  return html`<ul class="list">
      ${state.models.map((model) => entry(model, open))}
    </ul>
    ${state.models.length > 1
      ? nothing
      : html`<p class="hint small quiet">Train one of your own:</p>
          <pre class="small" tabindex="0"><code>viewfinder train photos/ --name shoes</code></pre>`}`;
}
