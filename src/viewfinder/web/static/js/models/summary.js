/** What a bundle says of its evaluation; a stranger may have written it. */

const PARTS = ["test", "validation", "all", "train"];

/** The part of the photos that says most about new ones, and what was found on it. */
export function mainSplit(evaluation) {
  const part = PARTS.find((one) => typeof evaluation?.[one]?.accuracy === "number");
  return part && [part, evaluation[part]];
}

/** The same of `evaluation.json`, where numbers come with their intervals. */
export function mainResult(evaluation) {
  const part = PARTS.find((one) => typeof evaluation?.splits?.[one]?.accuracy?.value === "number");
  return part && [part, evaluation.splits[part]];
}

export const which = (part, unseen) =>
  ({ test: unseen ? "photos it has never seen" : "test photos", validation: "validation photos", train: "training photos" })[part] ?? "photos";

/** `{"a": {"b": 1}}` as `[["a.b", 1]]`. */
export function flatten(value, name = "") {
  if (value === null || typeof value !== "object") return [[name, value]];
  return Object.entries(value).flatMap(([key, inner]) => flatten(inner, name ? `${name}.${key}` : key));
}
