/** The page Live: figures from `/metrics`, as differences between two looks. */

import { html, nothing } from "../../vendor/lit/lit-html.js";
import { call } from "../api.js";
import { count, milliseconds } from "../format.js";
import { drift, driftInWords } from "../live/drift.js";
import { History } from "../live/history.js";
import { parse, select, sum } from "../metrics.js";
import { answers, confidence } from "../live/panels.js";
import { away, notReady, parts, server } from "../live/state.js";
import { figure, tiles } from "../live/tiles.js";
import { modelPath } from "../names.js";
import { problem } from "../parts.js";
import { draw, refresh, region } from "../region.js";

const SECOND_LOOK_MS = 700;
const MANY_CHANGES = 3;
const MOST_MODELS = 12;

const history = new History();
const ids = ["figures", "drift", "state", "server", "pause", "summary", "sum-up"];
const [figures, driftPart, statePart, serverPart, pause, summary, sumUp] = ids.map((id) => document.getElementById(id));

let latest = null;
let asked = 0; // models whose drift is shown
let routing = null;
let compared = [];
let chosen = "";
let isPaused = false;
let isHeard = true;

/* The figures */

region("figures", (text) => {
  const at = Date.now();
  latest = parse(text);
  isHeard = true;
  history.add(at, latest);
  draw(serverPart, server(latest, at));
  if (history.now === null) setTimeout(() => refresh("#figures"), SECOND_LOOK_MS);
  if (routing && toCompare().length > asked) compare();
  return view();
});

function view() {
  const at = Date.now();
  const { points, counted } = history;
  const now = isHeard ? history.now : null;
  const [capacity, threads] = ["queue_capacity", "compute_threads"].map((name) => sum(latest, `viewfinder_${name}`));
  return html`
    ${history.changes < MANY_CHANGES ? nothing : several}
    ${tiles({ at, minutes: history.minutes(at), points, now, counted, capacity, threads })}
    <div class="wide">${answers(counted, routing)}${confidence(counted, chosen, choose)}</div>`;
}

const several = html`<p class="notice warn">Another server answers from one look to the next, and each counts for itself.
  Open this page at the address of one of them.</p>`;

const redraw = () => latest && draw(figures, view());

function choose(name) {
  chosen = name;
  redraw();
}

figures.addEventListener("htmx:error", () => {
  isHeard = false;
  draw(statePart, away);
  history.interrupt();
  redraw();
});

/** What else than an error a refusal may mean. */
function instead(element, status, template) {
  element.addEventListener("htmx:after:request", (event) => {
    const { response, text } = event.detail.ctx;
    if (response.status !== status) return;
    event.preventDefault();
    event.stopPropagation();
    draw(element, template(text));
  });
}

instead(figures, 404, () => html`<p class="notice">There are no figures: the setting <code>VIEWFINDER_METRICS__ENABLED</code> is off.</p>`);
instead(statePart, 503, (text) => notReady(JSON.parse(text)));

/* State and drift */

region("state", parts);

region("drift", (models) => {
  routing = models;
  compare();
});

async function compare() {
  const names = toCompare();
  asked = names.length;
  try {
    compared = await Promise.all(names.map((name) => call(`${modelPath(name)}/drift`)));
    draw(driftPart, drift(compared));
  } catch (error) {
    draw(driftPart, problem(error));
  }
}

/** The default model, and those that have seen photos. */
function toCompare() {
  const seen = latest ? select(latest, "viewfinder_drift_photos").map(({ labels }) => labels.model) : [];
  const isKnown = (name) => routing.models.some((one) => one.name === name);
  return [...new Set([routing.default, ...seen])].filter(isKnown).slice(0, MOST_MODELS);
}

/* Pausing, and summing up */

pause.addEventListener("click", () => {
  isPaused = !isPaused;
  pause.setAttribute("aria-pressed", isPaused);
  refresh();
});

document.addEventListener("htmx:before:request", (event) => isPaused && event.preventDefault());

document.addEventListener("visibilitychange", () => document.hidden || refresh());

sumUp.addEventListener("click", () => {
  summary.hidden = false;
  summary.textContent = inWords((isHeard && history.now) || null);
});

function inWords(now) {
  if (now === null) return "There are no figures now.";
  const { reasons, words } = history.counted;
  const refused = reasons.map(([reason, number]) => `${count(number)} ${reason}`).join(", ");
  return `At ${new Date().toLocaleTimeString("en-GB")}: ${[
    `${figure(now.answered + now.refused + now.failed)} requests a second, of which ${figure(now.refused)} are refused and ${figure(now.failed)} fail`,
    now.p95 === null ? "no photo is being classified" : `95 answers in 100 take less than ${milliseconds(now.p95)}`,
    `${count(now.people + now.jobs)} images wait`,
    refused ? `refused in the ${words}: ${refused}` : `nothing was refused in the ${words}`,
    driftInWords(compared),
  ].join("; ")}.`;
}
