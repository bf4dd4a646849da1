/** The photos themselves, ready before they are wanted. */

import { call, Unreachable } from "../api.js";

const FRESH_MS = 60_000;
const kept = new Map();

export const NOT_STORED = "No photo is stored with this answer.";

/**
 * The photo of a result, as far as it has come.
 * @returns {{image: ?HTMLImageElement, words: ?string}} Words say why there is none.
 */
export const photoOf = (result) => kept.get(result.id) ?? { image: null, words: null };

/**
 * Have these photos, the first one first, and forget all others.
 * @param {object[]} results
 * @param {() => void} changed Called when one has come.
 */
export function keep(results, changed) {
  const wanted = new Set(results.map((result) => result.id));
  for (const [id, photo] of kept) {
    if (wanted.has(id)) continue;
    kept.delete(id);
    if (photo.image) URL.revokeObjectURL(photo.image.src);
  }
  for (const result of results) if (!kept.has(result.id)) bring(result, changed);
}

async function bring(result, changed) {
  const photo = { image: null, words: null };
  kept.set(result.id, photo);
  try {
    if (await isStored(result)) photo.image = await decoded(await call(`/v1/results/${result.id}/image`));
    else photo.words = NOT_STORED;
  } catch (error) {
    if (error instanceof Unreachable) kept.delete(result.id); // It is asked for again.
    else photo.words = error.message;
  }
  if (kept.get(result.id) === photo) changed();
  else if (photo.image) URL.revokeObjectURL(photo.image.src);
}

/** The photo of an answer that was given just now may be stored a moment later. */
async function isStored(result) {
  if (result.image.stored || Date.now() - new Date(result.created) > FRESH_MS) return result.image.stored;
  return (await call(`/v1/results/${result.id}`)).image.stored;
}

async function decoded(blob) {
  const image = new Image();
  image.src = URL.createObjectURL(blob);
  image.alt = "";
  try {
    await image.decode();
  } catch {
    throw new Error("The stored photo cannot be shown.");
  }
  return image;
}
