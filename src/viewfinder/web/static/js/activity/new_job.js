/** A new job: photos or a zip, chosen or dropped, and sent once, however often it is tried. */

import { html, nothing } from "../../vendor/lit/lit-html.js";
import { Unreachable } from "../api.js";
import { bytes, many, percent } from "../format.js";
import { allNames } from "../names.js";
import { button, problem } from "../parts.js";
import { draw, refresh } from "../region.js";
import { isZip } from "../zip.js";
import { upload } from "./upload.js";

const form = document.querySelector("#new-job");
const input = document.querySelector("#job-files");
const drop = document.querySelector("#drop");
const chosen = document.querySelector("#chosen");
const sendButton = document.querySelector("#send-job");
const area = document.querySelector("#sending");
const box = document.querySelector("#new-job-box");
const panel = document.querySelector("#panel-jobs");
const elsewhere = document.querySelector("#elsewhere");
const hint = chosen.textContent;

box.open = matchMedia("(min-width: 60rem)").matches;

let files = [];
let key = newKey();
let underWay = null;

/** Of one job, whatever becomes of the connection: sent again, it makes no second one. */
function newKey() {
  return [...crypto.getRandomValues(new Uint8Array(16))].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}

function choose(given) {
  if (underWay !== null || !given.length) return;
  document.removeEventListener("back", submit);
  files = [...given];
  key = newKey();
  const size = bytes(files.reduce((sum, file) => sum + file.size, 0));
  draw(chosen, html`<bdi>${files.length === 1 ? files[0].name : many(files.length, "file")}</bdi>, ${size}`);
  draw(area, nothing);
}

function forget() {
  files = [];
  input.value = "";
  draw(chosen, hint);
}

function wrong() {
  if (!files.length) return "Choose photos, or one zip of them, first.";
  if (files.length > 1 && files.some(isZip)) return "Send photos, or one zip: not both, and not several.";
  return null;
}

function body() {
  const data = new FormData();
  const callback = form.elements.callback_url.value.trim();
  if (callback) data.append("callback_url", callback);
  for (const file of files) data.append(isZip(file) ? "archive" : "files", file);
  return data;
}

function path() {
  // In the address, they are looked at before everything is uploaded.
  const query = new URLSearchParams({ top_k: form.elements.top_k.value });
  if (form.elements.model.value) query.set("model", form.elements.model.value);
  return `/v1/jobs?${query}`;
}

async function submit() {
  if (underWay !== null) return;
  document.removeEventListener("back", submit);
  const mistake = wrong();
  if (mistake !== null) {
    draw(area, problem(mistake));
    return;
  }
  underWay = new AbortController();
  sendButton.disabled = true;
  const options = { headers: { "Idempotency-Key": key }, signal: underWay.signal, progress };
  progress(0);
  try {
    const job = await upload(path(), body(), options);
    forget();
    key = newKey();
    draw(area, accepted(job));
    refresh("#job-filter");
  } catch (error) {
    draw(area, failed(error));
  } finally {
    underWay = null;
    sendButton.disabled = false;
  }
}

const progress = (fraction) =>
  draw(
    area,
    html`<div class="row">
      <progress max="1" value=${fraction} aria-label="Upload"></progress>
      <span class="small">${fraction < 1 ? `${percent(fraction, 0)} sent` : "Sent; the server looks at it"}</span>
      ${button("Stop", () => underWay?.abort(), "slim")}
    </div>`,
  );

const accepted = (job) => html`<p class="notice good">
  The job is accepted: ${many(job.counts.total, "image")}. <a href=${`#jobs/${job.id}`}>Open it</a>
</p>`;

function failed(error) {
  if (error.name === "AbortError") return html`<p class="notice">Stopped. What was chosen is still here.</p>`;
  if (!(error instanceof Unreachable)) return problem(error);
  document.addEventListener("back", submit, { once: true });
  return html`<div class="notice warn" role="alert">
    The connection was lost. What was chosen is still here; sent again, it makes no second job. If the server is away, that happens by itself once it is back.
    ${button("Try again", submit, "slim")}
  </div>`;
}

form.addEventListener("submit", (event) => {
  event.preventDefault();
  submit();
});
// Another model, or address, is another job.
form.addEventListener("change", ({ target }) => {
  if (target !== input) key = newKey();
});
input.addEventListener("change", () => choose(input.files));
// Anywhere on the page: beside the form, the browser would leave the page for the file.
for (const name of ["dragover", "dragleave", "drop"]) {
  document.addEventListener(name, (event) => {
    if (!event.dataTransfer.types.includes("Files")) return;
    event.preventDefault();
    drop.classList.toggle("over", name === "dragover");
    if (name === "drop") take(event.dataTransfer.files);
  });
}

function take(given) {
  const isHere = !panel.hidden;
  draw(elsewhere, isHere ? nothing : html`<p class="notice">Photos are taken on the tab <a href="#jobs">Jobs</a>: drop them there.</p>`);
  if (!isHere) return;
  box.open = true;
  choose(given);
}

addEventListener("hashchange", () => draw(elsewhere, nothing));

async function offerModels() {
  const [first, ...others] = await allNames();
  const select = form.elements.model;
  const { options, value } = select;
  options[0].textContent = `${first} (default)`;
  options.length = 1;
  for (const name of others) options.add(new Option(name, name));
  select.value = others.includes(value) ? value : "";
}

const offer = () => offerModels().catch(() => {}); // The default does without.
document.addEventListener("back", offer);
offer();
