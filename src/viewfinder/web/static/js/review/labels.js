/** All classes of a model's version, and those of them that fit what somebody types. */

import { call } from "../api.js";
import { versionPath } from "../names.js";

const FEWEST_LOOSE = 3;
const RETRY_MS = 3000;
const lists = new Map();

/**
 * The classes of the version that answered.
 * @returns {?string[]} None where the version is gone; null until they have come.
 */
export function labelsOf(result, changed) {
  const { name, version } = result.model;
  const path = `${versionPath(name, version)}/labels`;
  if (!lists.has(path)) bring(path, changed);
  return lists.get(path);
}

async function bring(path, changed) {
  lists.set(path, null);
  try {
    const { labels } = await call(path);
    lists.set(path, labels.map((label) => label.class));
  } catch (error) {
    if (error.status === 404) lists.set(path, []);
    else setTimeout(() => lists.delete(path), RETRY_MS); // Whoever types next asks again.
  }
  changed();
}

const plain = (text) => text.normalize("NFD").replace(/\p{M}/gu, "").toLowerCase();

function rank(label, text) {
  if (label === text) return 0;
  if (` ${label} `.includes(` ${text} `)) return 1;
  if (` ${label}`.includes(` ${text}`)) return 2;
  if (text.split(" ").every((word) => label.includes(word))) return 3;
  return Infinity;
}

/** How far apart the letters of a text are in a label, if they are there in that order. */
function spread(label, text) {
  const first = label.indexOf(text[0]);
  let last = first;
  for (const letter of text.slice(1)) {
    last = label.indexOf(letter, last + 1);
    if (last < 0) return Infinity;
  }
  return first < 0 ? Infinity : last - first;
}

const best = (labels, rank, most) =>
  labels
    .map((label) => ({ label, rank: rank(plain(label)) }))
    .filter((one) => one.rank < Infinity)
    .sort((a, b) => a.rank - b.rank || a.label.length - b.label.length)
    .slice(0, most)
    .map((one) => one.label);

/** The labels that fit best: with it in them, or else with its letters in that order. */
export function fitting(labels, typed, most) {
  const text = plain(typed.trim().replace(/\s+/g, " "));
  if (!text) return [];
  const found = best(labels, (label) => rank(label, text), most);
  return found.length || text.length < FEWEST_LOOSE ? found : best(labels, (label) => spread(label, text), most);
}
