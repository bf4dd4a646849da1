/** Who answers for a model, in data and in words. */

const STABLE = "stable";
const LATEST = "latest";

export const split = (model) => model.traffic?.split ?? [];

export const shadow = (model) => model.traffic?.shadow ?? null;

/** Whom the name alone means where there is no split; null where nobody can answer. */
export const meant = (model) => model.aliases[STABLE] ?? model.aliases[LATEST] ?? null;

/** Everybody who answers for the name alone. */
export const answering = (model) =>
  split(model).length ? split(model).map((share) => share.version) : [meant(model)].filter((one) => one !== null);

export const aliasesOf = (model, version) =>
  Object.entries(model.aliases)
    .filter(([, meaning]) => meaning === version)
    .map(([alias]) => alias);

/** `1`, `1 and 2`, `1, 2 and 3`. */
export const listed = (items) =>
  items.length < 2 ? items.join("") : `${items.slice(0, -1).join(", ")} and ${items.at(-1)}`;

export const share = (percent) => `${Number(percent.toFixed(2))}%`;

/** Who answers, in a sentence. */
export function who(model) {
  const shares = split(model);
  if (shares.length === 1) return `Version ${shares[0].version} answers, as a split of its own says.`;
  if (shares.length) {
    const parts = shares.map((one) => `version ${one.version} answers ${share(one.percent)}`);
    const said = listed(parts);
    return `${said[0].toUpperCase()}${said.slice(1)} of the requests.`;
  }
  const version = meant(model);
  if (version === null) return "No version can answer.";
  const why = STABLE in model.aliases ? "it is stable" : "it is the latest good one, and none is called stable";
  return `Version ${version} answers: ${why}.`;
}
