/** One model: who answers, its versions, and what can be done with it. */

import { html, nothing } from "../../vendor/lit/lit-html.js";
import { bytes, count, milliseconds, percent } from "../format.js";
import { versionPath } from "../names.js";
import { badge, button, moment } from "../parts.js";
import { endShadow, endSplit, load, promote, rollBack, setAliases, setShadow, unload } from "./actions.js";
import { setSplit } from "./canary.js";
import { stateBadge, usualBadge } from "./list.js";
import { aliasesOf, answering, shadow, share, split, who } from "./routing.js";
import { change, state, wanted } from "./state.js";
import { mainSplit } from "./summary.js";
import { traffic } from "./traffic.js";

const FIRST = 10;

const actions = (model) => html`<div class="row">
  ${split(model).length
    ? button("End the split", () => endSplit(model))
    : nothing}
  ${model.versions.length > 1
    ? html`${button(split(model).length ? "Change the split" : "Canary", () => setSplit(model))}
        ${shadow(model) === null
          ? button("Shadow", () => setShadow(model))
          : button("End the shadow", () => endShadow(model))}`
    : nothing}
  ${button("Aliases", () => setAliases(model))}
  ${model.rollback === null
    ? nothing
    : button(`Roll back to ${model.rollback}`, () => rollBack(model))}
</div>`;

function role(model, version) {
  const part = split(model).find((one) => one.version === version);
  if (part) return badge(`answers ${share(part.percent)}`, "accent");
  if (shadow(model) === version) return badge("shadow", "warn");
  if (answering(model).includes(version)) return badge("answers", "accent");
  return nothing;
}

function right(summary) {
  const [, found] = mainSplit(summary.evaluation) ?? [];
  if (!found) return html`<span class="quiet">not measured</span>`;
  const range = `between ${percent(found.accuracy_low)} and ${percent(found.accuracy_high)} (95%)`;
  return html`<span title=${range}>${percent(found.accuracy)}</span>`;
}

function served(summary) {
  const best = summary.variants.find((one) => one.recommended);
  const facts = [best.p50_ms === null ? null : milliseconds(best.p50_ms), bytes(best.bytes)].filter((one) => one !== null);
  return html`${best.name} <span class="small quiet">${facts.join(", ")}</span>`;
}

/** What needs the bundle; a dash for each where that cannot be had. */
function facts(model, one) {
  const summary = one.state === "failed" ? null : wanted(versionPath(model.name, one.version));
  const known = summary && !(summary instanceof Error);
  const cell = (label, value) => html`<td data-label=${label}>${known ? value(summary) : html`<span class="quiet">–</span>`}</td>`;
  return html`${cell("Right", right)} ${cell("Served as", served)} ${cell("Made", ({ created }) => moment(created))}`;
}

function row(model, one) {
  const { version } = one;
  const is_open = state.version === version;
  const which = html`<span class="unseen"> version ${version}</span>`;
  return html`<tr class=${is_open ? "open" : ""}>
    <th scope="row">
      <a href="#${model.name}@${version}" aria-current=${is_open ? "true" : nothing}>Version ${version}</a>
      ${aliasesOf(model, version).map((alias) => badge(alias))}
    </th>
    <td data-label="State"><span class="row">${stateBadge(one.state)} ${role(model, version)}</span></td>
    ${facts(model, one)}
    <td class="does">
      <span class="row">
        ${model.aliases.stable === version && split(model).length === 0
          ? nothing
          : button(html`Promote${which}`, () => promote(model, version), "slim")}
        ${one.state === "ready"
          ? button(html`Unload${which}`, () => unload(model, version), "slim plain")
          : button(html`${one.state === "failed" ? "Try again" : "Load"}${which}`, () => load(model, version), "slim plain", one.state === "loading")}
      </span>
    </td>
  </tr>
  ${one.reason ? html`<tr class="why"><td colspan="6"><p class="notice bad small">Version ${version}: ${one.reason}.</p></td></tr>` : nothing}`;
}

function versions(model) {
  const all = [...model.versions].reverse();
  const some = state.isWhole ? all : all.filter((one, place) => place < FIRST || one.version === state.version || aliasesOf(model, one.version).length);
  return html`<div class="scroll">
      <table class="versions tall">
        <caption class="unseen">Versions of ${model.name}, the newest first</caption>
        <thead><tr><th scope="col">Version</th><th scope="col">State</th><th scope="col">Right</th><th scope="col">Served as</th><th scope="col">Made</th><th scope="col"><span class="unseen">Actions</span></th></tr></thead>
        <tbody>${some.map((one) => row(model, one))}</tbody>
      </table>
    </div>
    ${some.length < all.length
      ? html`<div>${button(`Show all ${count(all.length)} versions`, () => change({ isWhole: true }), "slim")}</div>`
      : nothing}`;
}

export const model = (one) => html`<section class="card stack" aria-labelledby="model-title">
    <div class="row spread">
      <h2 id="model-title" tabindex="-1">${one.name} ${usualBadge(one.name)}</h2>
      ${actions(one)}
    </div>
    <p>
      ${who(one)}
      ${one.labels_count === null ? nothing : html`<span class="quiet">${count(one.labels_count)} classes.</span>`}
    </p>
    ${one.problem ? html`<p class="notice warn">${one.problem}.</p>` : nothing} ${versions(one)}
  </section>
  ${one.traffic ? traffic(one) : nothing}`;
