/** How far all photos together are. */

import { count, many } from "../format.js";

const [tally, progress, spoken, held, again, clear, nothing] = ["tally", "progress", "spoken", "held", "again", "clear", "nothing"].map(
  (id) => document.querySelector(`#${id}`),
);
const FEW = 3;
const FULL = "The server takes no more just now";

const photosOf = (number) => many(number, "photo");

/** Show it, and say it once nothing is under way: not each photo, of which there may be hundreds. */
export function showTally(photos, queue) {
  const failed = photos.filter(({ state }) => state === "failed").length;
  nothing.hidden = photos.length > 0;
  clear.hidden = photos.length === 0;
  again.hidden = failed < 2 || !queue.isIdle;
  progress.hidden = queue.isIdle || queue.total <= FEW;
  progress.max = queue.total;
  progress.value = queue.done;
  tally.textContent = queue.isIdle ? atRest(photos.length, failed) : `${count(queue.done)} of ${count(queue.total)}`;
  const isHeld = !queue.isIdle && queue.heldFor > 0;
  held.hidden = !isHeld;
  held.textContent = `${FULL}; going on in ${queue.heldFor} s.`;
  const words = queue.isIdle ? inWords(photos, failed) : isHeld ? FULL : "";
  if (spoken.textContent !== words) spoken.textContent = words;
}

const atRest = (total, failed) => (total ? photosOf(total) + (failed ? `, ${count(failed)} failed` : "") : "");

function inWords(photos, failed) {
  if (photos.length === 1 && !failed) return `${photos[0].name}: ${photos[0].answer.class}`;
  return photos.length ? `${photosOf(photos.length)}: ${count(photos.length - failed)} answered, ${count(failed)} failed` : "";
}
