import { html, nothing, render } from "../../vendor/lit/lit-html.js";
import { count, percent } from "../format.js";
import { badge } from "../parts.js";
import "../recording.js";
import { draw } from "../region.js";
import { drawNothing, showAccuracy } from "../review/accuracy.js";
import { setModel } from "../review/export.js";
import * as filters from "../review/filters.js";
import { listen } from "../review/keys.js";
import { labelsOf } from "../review/labels.js";
import { Outbox } from "../review/outbox.js";
import { keep } from "../review/photos.js";
import { Queue } from "../review/queue.js";
import { Search } from "../review/search.js";
import { choicesOf, stage } from "../review/stage.js";

const BEHIND = 3;
const AHEAD = 8;
// A key that was meant for the photo before is not to count for one that comes back.
const MISSED_MS = 600;

const element = document.querySelector("#stage");
const undoable = [];
let returned = -Infinity;
let queue = null;

const outbox = new Outbox(stored, refused);
const search = new Search(
  () => (queue.current ? labelsOf(queue.current.result, redraw) : []),
  (label) => say(label),
  () => redraw(),
  () => element.focus({ preventScroll: true }),
);

function begin() {
  queue?.stop();
  queue = new Queue(filters.query(), redraw, (id) => outbox.waiting.some((item) => item.result.id === id));
  search.fill("");
  setModel(filters.modelOf());
  redraw();
}

function redraw() {
  const near = queue.items.slice(Math.max(0, queue.at - BEHIND), queue.at + AHEAD);
  keep([...(queue.current ? [queue.current] : []), ...near].map((item) => item.result), redraw);
  const skipped = queue.items.filter((item) => !item.wanted).length;
  const more = { search: search.view(), canUndo: undoable.length > 0, stored: outbox.stored.size, skipped };
  draw(element, stage(queue, acts, more));
  drawOutbox();
  if (modelName()) showAccuracy(modelName());
}

const modelName = () => filters.modelOf().split("@")[0] || queue.current?.result.model.name;

/** Look at another photo, and tell who does not see it. */
function look(go) {
  go();
  search.fill("");
  redraw();
  element.focus({ preventScroll: true });
  const result = queue.current?.result;
  document.querySelector("#next").textContent = result
    ? `Next: ${result.class}, ${percent(result.confidence)}`
    : "That was the last photo.";
}

function say(label) {
  const item = queue.current;
  if (!item) return;
  if (item.wanted?.label !== label) {
    undoable.push({ item, before: item.wanted });
    item.wanted = label === undefined || label === null ? null : { label, note: item.wanted?.note ?? null };
    item.trouble = null;
    outbox.send(item);
  }
  look(() => queue.move(1));
}

const acts = {
  say: (label) => say(label),
  confirm: () => queue.current && say(queue.current.wanted?.label ?? queue.current.result.class),
  skip: () => queue.current && look(() => queue.move(1)),
  back: () => queue.at && look(() => queue.move(-1)),
  undo() {
    const last = undoable.pop();
    if (!last) return;
    last.item.wanted = last.before;
    outbox.send(last.item);
    look(() => queue.show(last.item));
  },
  again: () => (queue.error ? queue.load() : begin()),
  all: () => filters.clear(),
};

const isMeant = () => performance.now() - returned > MISSED_MS;

listen({
  ...acts,
  confirm: () => isMeant() && acts.confirm(),
  choose(place) {
    const one = queue.current && choicesOf(queue.current.result)[place];
    if (one && isMeant()) say(one.class);
  },
  search: () => search.input?.focus(),
  help: () => document.querySelector("#keys").showModal(),
});
document.querySelector("#show-keys").addEventListener("click", () => document.querySelector("#keys").showModal());

function stored(item) {
  redraw();
  if (!outbox.waiting.includes(item)) showAccuracy(modelName() ?? item.result.model.name, { isNew: true });
}

function refused(item, error, said) {
  for (let place = undoable.length - 1; place >= 0; place -= 1) if (undoable[place].item === item) undoable.splice(place, 1);
  if (search.isUsed) {
    queue.showNext(item); // Somebody is about to say something of another one.
  } else if (queue.current === item || !queue.current?.trouble) {
    returned = performance.now();
    queue.show(item); // Those that are refused after it follow it.
    if (error.status === 422) search.fill(said?.label ?? "");
  }
  redraw();
}

function drawOutbox() {
  const waiting = outbox.waiting.length;
  const parts = [`${count(outbox.stored.size)} stored in this visit`];
  if (waiting) parts.push(`${count(waiting)} waiting to be stored`);
  const why = waiting && outbox.words ? badge(outbox.words, "warn") : nothing;
  const isQuiet = !waiting && !outbox.stored.size;
  render(isQuiet ? nothing : html`<span>${parts.join(" · ")}</span> ${why}`, document.querySelector("#outbox"));
}

addEventListener("beforeunload", (event) => {
  if (outbox.waiting.length) event.preventDefault();
});
document.addEventListener("back", () => {
  if (queue.error) queue.load();
  redraw();
});
filters.onChange(begin);
drawNothing();
begin();
