/** The reviewed photos as a zip, and the commands for what follows. */

import { html, nothing } from "../../vendor/lit/lit-html.js";
import { refusal, send } from "../api.js";
import { save } from "../carry.js";
import { bytes, count } from "../format.js";
import { button, problem } from "../parts.js";
import { draw } from "../region.js";

const MOST_BYTES = 500_000_000;
const TAIL_BYTES = 300;
const element = document.querySelector("#export");
let model = "";
let state = {};
let since = "";

/** Say of which model the photos are to be; "" is of all. */
export function setModel(name) {
  model = name;
  redraw();
}

function update(changes) {
  state = { ...state, ...changes };
  redraw();
}

const redraw = () => draw(element, view());

const view = () => html`
  <h2>Export for training</h2>
  <p class="quiet">Every reviewed photo of ${model || "all models"} that is stored, in a folder for each class.</p>
  <div class="row end">
    <label class="field">Answered since
      <input type="date" .value=${since} @change=${(event) => ((since = event.target.value), redraw())}>
    </label>
    ${state.stop
      ? button("Stop", () => state.stop.abort())
      : button("Download reviewed.zip", download, "main")}
  </div>
  <div role="status">${state.stop ? html`<p>${bytes(state.size)} so far…</p>` : nothing}${state.said ? html`<p class="notice ${state.kind}">${state.said}</p>` : nothing}</div>
  ${state.error ? problem(state.error) : nothing}
  <p class="small">Many photos, or a folder that has some already? At the server:</p>
  <pre tabindex="0" aria-label="Commands">${commands()}</pre>`;

function commands() {
  const name = model.split("@")[0] || "NAME";
  const only = (model ? ` --model ${model}` : "") + (since ? ` --since ${since}` : "");
  return `viewfinder data export photos/ --reviewed${only}
viewfinder data check photos/
viewfinder train photos/ --name ${name}`;
}

async function download() {
  const stop = new AbortController();
  update({ stop, size: 0, said: null, error: null });
  try {
    const parts = await read(await open(stop.signal));
    const blob = new Blob(parts, { type: "application/zip" });
    const done = await countsOf(blob);
    if (done.written) save(blob, "reviewed.zip");
    update({ said: summary(done), kind: done.written ? "good" : "warn" });
  } catch (error) {
    if (error.name === "AbortError") update({ said: "Stopped; nothing was saved.", kind: "warn" });
    else update({ error: error instanceof TypeError ? "The download broke off; nothing was saved." : error });
  }
  update({ stop: null });
}

async function open(signal) {
  const query = new URLSearchParams();
  if (model) query.set("model", model);
  if (since) query.set("since", `${since}T00:00:00Z`);
  const response = await send(`/v1/results/export?${query}`, { signal });
  if (response.ok) return response.body.getReader();
  throw await refusal(response);
}

async function read(reader) {
  const parts = [];
  let size = 0;
  for (let part = await reader.read(); !part.done; part = await reader.read()) {
    parts.push(part.value);
    size += part.value.length;
    if (size > MOST_BYTES) {
      reader.cancel();
      throw new Error(`That is more than ${bytes(MOST_BYTES)}, too much for a browser. Take the command below.`);
    }
    update({ size });
  }
  return parts;
}

/** The zip ends with a comment, which says what is in it. */
async function countsOf(blob) {
  const tail = await blob.slice(-TAIL_BYTES).text();
  return JSON.parse(tail.slice(tail.lastIndexOf("{")));
}

function summary({ written, without_image: without, unfit }) {
  const said = written
    ? [`${count(written)} photos saved. Unpack them to photos/, and go on with the last two commands.`]
    : ["There is nothing to export yet."];
  if (without) said.push(`${count(without)} have no stored photo: VIEWFINDER_RECORD=images stores those of later answers.`);
  if (unfit) said.push(`${count(unfit)} have a class that cannot be the name of a folder.`);
  return said.join(" ");
}

redraw();
