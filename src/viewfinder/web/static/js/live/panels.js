/** What was answered in the last minutes: who answered, and how sure the models were. */

import { html, nothing } from "../../vendor/lit/lit-html.js";
import { count, percent } from "../format.js";
import { badge, table } from "../parts.js";

const none = html`<p class="quiet">No image was answered. Show the server one on the page <a href="/">Classify</a>.</p>`;
const add = (all, of) => all.reduce((sum, one) => sum + of(one), 0);

const panel = (title, { words }, content) => html`<section class="card stack" aria-label=${title}>
  <h2>${title} <span class="quiet small">${words}</span></h2>
  ${content}
</section>`;

/** Which version answered how much; `routing` is `GET /v1/models`, as soon as it is known. */
export function answers(counted, routing) {
  if (!counted.versions.length) return panel("Answers", counted, none);
  const total = add(counted.versions, ({ answers }) => answers);
  const rows = counted.versions.toSorted((one, other) => one.name.localeCompare(other.name, "en", { numeric: true }));
  const rowOf = ({ name, answers, confidence, abstained }) => [
    html`${name} ${roles(name, routing)}`,
    count(answers),
    ...[answers / total, confidence / answers, abstained / answers].map((share) => percent(share)),
  ];
  return panel("Answers", counted, table("Answers by version", ["Version", "Answers", "Share", "Sure", "Abstained"], rows.map(rowOf), "tight"));
}

/** What part a version has in the traffic of its model. */
function roles(name, routing) {
  const known = routing?.models.find((one) => name.startsWith(`${one.name}@`));
  const isIt = (version) => name.startsWith(`${known?.name}@${version} `);
  const part = known?.traffic?.split.find(({ version }) => isIt(version));
  const aliases = Object.entries(known?.aliases ?? {}).filter(([alias, version]) => alias !== "latest" && isIt(version));
  return [aliases.map(([alias]) => badge(alias)), part ? badge(`${part.percent}% of requests`, "accent") : nothing];
}

/** How sure the models were, in tenths; `chosen` is a version, or "" for all. */
export function confidence(counted, chosen, choose) {
  const { versions } = counted;
  if (!versions.length) return panel("Confidence", counted, none);
  const one = versions.filter(({ name }) => name === chosen);
  const tenths = versions[0].tenths.map((_, place) => add(one.length ? one : versions, (version) => version.tenths[place]));
  const most = Math.max(1, ...tenths);
  const words = tenths.map((number, place) => `from ${place * 10}%: ${count(number)}`).join(", ");
  return panel("Confidence", counted, html`
    <div class="tenths" role="img" aria-label="Answers by confidence, ${words}.">${tenths.map(
      (number, place) => html`<div>
        ${number ? count(number) : nothing}<i .style=${`--share: ${percent(number / most)}`}></i><span class="quiet">${place * 10}%</span>
      </div>`,
    )}</div>
    <select aria-label="Confidence of" @change=${({ target }) => choose(target.value)}>
      <option value="">All versions</option>
      ${versions.map(({ name }) => html`<option .value=${name} ?selected=${name === chosen}>${name}</option>`)}
    </select>`);
}
