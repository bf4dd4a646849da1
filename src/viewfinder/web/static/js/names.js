/** How models and their versions are called, in words and in paths of the API. */

import { call } from "./api.js";

export const named = ({ name, version }) => `${name}@${version}`;

/** What a model of `GET /v1/models` may be called: its name, and each of its versions. */
export const namesOf = ({ name, versions }) => [name, ...versions.map(({ version }) => named({ name, version }))];

/** All such names, the default model's first. */
export async function allNames() {
  const { models, default: first } = await call("/v1/models");
  return [...new Set([first, ...models.flatMap(namesOf)])];
}

export const modelPath = (name) => `/v1/models/${encodeURIComponent(name)}`;

export const versionPath = (name, version) => `${modelPath(name)}/versions/${version}`;
