/** Photos in, answers out. */

import { render } from "../../vendor/lit/lit-html.js";
import { count, many } from "../format.js";
import { ask } from "../classify/ask.js";
import { receiveFromCamera } from "../classify/camera.js";
import { card } from "../classify/card.js";
import { showRequest } from "../classify/code.js";
import { paint, paintLegend } from "../classify/heatmap.js";
import { receive } from "../classify/intake.js";
import { areGood, options, watchOptions } from "../classify/options.js";
import { Queue } from "../classify/queue.js";
import { named } from "../names.js";
import { showTally } from "../classify/tally.js";

const MOST = 1000;
const NEAR = 200; // pixels above the lower edge of the window
const list = document.querySelector("#photos");
const leftOut = document.querySelector("#left-out");
const places = new Map(); // from each photo to its part of the page, the oldest first
const queue = new Queue((photo) => {
  draw(photo);
  showTallySoon();
});
const NONE = { name: "photo.jpg" };
let latest = NONE;
let held = []; // photos that came while the options were wrong
let hasHeatMaps = true; // until the server says otherwise

let isTallyDue = false;

/** Once for all photos that come together. */
function showTallySoon() {
  if (isTallyDue) return;
  isTallyDue = true;
  queueMicrotask(() => {
    isTallyDue = false;
    showTally([...places.keys()], queue);
  });
}

function take(given, unread = []) {
  const sources = [...given, ...held];
  held = areGood() ? [] : sources;
  const room = MOST - places.size;
  const over = sources.length - room;
  leftOut.textContent =
    (held.length
      ? `Classes is a whole number from 1 to 100. Once it is right, ${many(held.length, "photo")} will be sent. `
      : over > 0
        ? `This page holds ${count(MOST)} photos; ${count(over)} were left out. Clear it, or use viewfinder classify photos/ --out labels.csv `
        : "") + (unread.length ? `Left out, as they cannot be read: ${unread.join(", ")}.` : "");
  leftOut.hidden = !leftOut.textContent;
  if (held.length) return;
  const photos = sources.slice(0, room).map(makePhoto);
  if (!photos.length) return;
  list.prepend(...photos.map((photo) => places.get(photo)));
  latest = photos[0];
  queue.add(photos, options());
  showAnswers();
  showLatest();
}

/** On a phone, and far down a long list, new photos would come out of sight. */
function showAnswers() {
  const { top } = list.getBoundingClientRect();
  if (top < 0 || top > innerHeight - NEAR) list.parentElement.scrollIntoView();
}

function makePhoto(source) {
  const photo =
    source instanceof File
      ? { name: source.name, file: source, source: URL.createObjectURL(source) }
      : { name: source, url: source };
  places.set(photo, document.createElement("li"));
  return photo;
}

function draw(photo) {
  const place = places.get(photo);
  if (place) render(card(photo, { again: () => again([photo]), look: hasHeatMaps && (() => look(photo)), unseen: () => unseen(photo) }), place);
}

function again(photos) {
  if (!areGood()) return;
  for (const photo of photos) photo.heat = null;
  latest = photos[0];
  queue.add(photos, options());
  showLatest();
}

/** Ask for the heat map, of the version that gave the answer; or hide it, or show it again. */
async function look(photo) {
  latest = photo;
  if (photo.heat?.map) {
    photo.heat.isShown = !photo.heat.isShown;
  } else {
    const busy = { isBusy: true };
    photo.heat = busy;
    draw(photo);
    const heat = await heatOf(photo);
    if (photo.heat !== busy) return; // Somebody has asked for another answer meanwhile.
    photo.heat = heat;
    if (!hasHeatMaps) for (const one of places.keys()) draw(one);
  }
  draw(photo);
  if (photo.heat?.map && places.has(photo)) paintOn(places.get(photo), photo.heat.map);
  showLatest();
}

async function heatOf(photo) {
  const { model } = photo.answer;
  const exactly = { ...photo.options, model: named(model), explain: "heatmap" };
  try {
    const { answer, ms } = await ask(photo, exactly, photo.abort.signal);
    return { map: answer.explanation, ms, isShown: true, options: exactly };
  } catch (error) {
    if (error.status === 422 && error.message.startsWith("explain:")) hasHeatMaps = false;
    return { error };
  }
}

function paintOn(place, map) {
  paint(place.querySelector(".frame canvas"), map);
  paintLegend(place.querySelector("canvas.legend"));
}

/** The browser cannot show it; the model may all the same. */
function unseen(photo) {
  URL.revokeObjectURL(photo.source);
  photo.source = null;
  draw(photo);
}

/** What was asked for the latest photo, whatever has been chosen since; or what would be asked. */
function showLatest() {
  showRequest(latest, (latest.heat?.isShown ? latest.heat : latest).options ?? options());
}

document.querySelector("#again").addEventListener("click", () => {
  again([...places.keys()].filter(({ state }) => state === "failed"));
});

document.querySelector("#clear").addEventListener("click", () => {
  queue.clear();
  for (const { source, abort } of places.keys()) {
    abort?.abort();
    if (source) URL.revokeObjectURL(source);
  }
  places.clear();
  list.replaceChildren();
  leftOut.hidden = true;
  held = [];
  latest = NONE;
  showLatest();
  showTallySoon();
  document.querySelector("#pick").focus();
});

receive(take);
receiveFromCamera(take);
watchOptions(() => (held.length ? take([]) : showLatest()));
showLatest();
