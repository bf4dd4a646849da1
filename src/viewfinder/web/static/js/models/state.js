/** What the page knows. Models come every few seconds; what a bundle says is asked for once. */

import { call, Unreachable } from "../api.js";
import { versionPath } from "../names.js";

export const state = {
  models: null,
  usual: "", // the default model: `name`, `name@3` or `name@alias`
  name: null,
  version: null,
  isWhole: false, // whether all versions of a long list are shown
};

const TRAFFIC_MS = 9000;
const answers = new Map();
const asking = new Set();
const asked = new Map();
let redraw = () => {};

export const onChange = (view) => (redraw = view);

export function change(fields) {
  Object.assign(state, fields);
  redraw();
}

/** The model that is open: the one that is named, else the default one. */
export function chosen() {
  const name = state.name ?? state.usual.split("@")[0];
  return state.models.find((one) => one.name === name) ?? (state.name === null ? state.models[0] : undefined);
}

/**
 * What the API answers at a path, asked for once.
 * @returns {any} The answer; an Error; undefined as long as there is neither.
 */
export function wanted(path, read = (answer) => answer) {
  if (!answers.has(path)) ask(path, read);
  return answers.get(path);
}

/** The same for what changes: the last answer, which is brought up to date now and then. */
export function current(path, read = (answer) => answer) {
  if (Date.now() - (asked.get(path) ?? 0) > TRAFFIC_MS) ask(path, read);
  return answers.get(path);
}

async function ask(path, read) {
  if (asking.has(path)) return;
  asking.add(path);
  asked.set(path, Date.now());
  try {
    answers.set(path, await read(await call(path)));
  } catch (error) {
    if (error instanceof Unreachable) return; // whoever is back asks again
    if (!(answers.has(path) && isPassing(error))) answers.set(path, error);
  } finally {
    asking.delete(path);
  }
  redraw();
}

/** Whether the same question may be answered later. */
const isPassing = ({ status }) => status === undefined || status === 429 || status >= 500;

/** Forget what versions said that are there no more, and what may have passed. */
export function forget() {
  const there = new Set(state.models.flatMap(({ name, versions }) => versions.map((one) => versionPath(name, one.version))));
  for (const [path, answer] of answers) {
    const [of] = path.match(/^\/v1\/models\/[^/]+\/versions\/\d+/) ?? [];
    if ((of && !there.has(of)) || (answer instanceof Error && isPassing(answer))) answers.delete(path);
  }
}
