/** How the server is: its parts in words, which version runs, and since when. */

import { html, nothing } from "../../vendor/lit/lit-html.js";
import { duration, many } from "../format.js";
import { select, sum } from "../metrics.js";
import { badge } from "../parts.js";

/** The answer of `GET /health/ready`. */
export function parts({ status, parts: found }) {
  const isReady = ([, state]) => state === "ready";
  const all = Object.entries(found);
  const wrong = all.filter((one) => !isReady(one));
  return html`<p class="row">
      ${status === "ready" ? badge("Ready", "good") : badge("Degraded", "warn")}
      <span>${all.filter(isReady).map(([name]) => name).join(", ")}</span>
    </p>
    ${wrong.length ? html`<ul class="wrong points">${wrong.map(([name, state]) => html`<li><b>${name}</b>: ${state}</li>`)}</ul>` : nothing}`;
}

/** The answer where the server cannot do its work, in its own words. */
export const notReady = ({ detail }) => html`<p class="row">${badge("Not ready", "bad")} <span>${detail}</span></p>`;

/** No answer came at all. */
export const away = html`<p>${badge("Not reached", "bad")}</p>`;

/** Which server this is, by its metrics. */
export function server(look, at) {
  const version = select(look, "viewfinder_build_info")[0]?.labels.version;
  const began = Math.min(...select(look, "process_start_time_seconds").map(({ value }) => value));
  const since = Number.isFinite(began) ? `running for ${duration(Math.max(0, at / 1000 - began))}` : "";
  const said = [version && `Viewfinder ${version}`, number(look, "worker"), since, number(look, "connection")];
  return html`<p class="quiet small">${said.filter(Boolean).join(" · ")}</p>`;
}

function number(look, what) {
  const value = sum(look, `viewfinder_${what}s`);
  return value === null ? "" : many(value, what);
}
