/** The text format of Prometheus, version 0.0.4, and what two looks at it tell. */

const LINE = /^\s*([A-Za-z_:][\w:]*)\s*(?:\{(.*)\})?\s*([^\s{}]+)(?:\s+-?\d+)?\s*$/;
const LABEL = /\s*([A-Za-z_]\w*)\s*=\s*"((?:[^"\\]|\\.)*)"\s*(?:,|$)/y;
const COUNTER = /^(?!process_).*_(total|count|bucket)$/;
const STARTED = "process_start_time_seconds";

/** Read an exposition: its series, `{name, labels, value}`. A line that is none is left out. */
export function parse(text) {
  const look = new Map();
  for (const line of text.split("\n")) {
    const [, name, inner = "", said] = line.match(LINE) ?? [];
    const labels = name && readLabels(inner);
    const value = number(said);
    if (labels && value !== null) look.set(JSON.stringify([name, Object.entries(labels).sort()]), { name, labels, value });
  }
  return look;
}

function readLabels(text) {
  const labels = Object.create(null);
  LABEL.lastIndex = 0;
  while (text.slice(LABEL.lastIndex).trim()) {
    const found = LABEL.exec(text);
    if (!found) return null;
    labels[found[1]] = found[2].replace(/\\(.)/g, (_, letter) => (letter === "n" ? "\n" : letter));
  }
  return labels;
}

function number(text) {
  const value = Number(text?.replace(/^([+-]?)Inf$/, "$1Infinity"));
  return Number.isNaN(value) && text !== "NaN" ? null : value;
}

/** Whether the later look is of counters that began anew: of another process, or server. */
export function isAnother(before, after) {
  const began = (look) => select(look, STARTED).map(({ value }) => value);
  const [old, young] = [began(before), began(after)];
  if (old.length && young.length && !young.some((moment) => old.includes(moment))) return true;
  return [...before].some(([key, { name, value }]) => COUNTER.test(name) && !(after.get(key)?.value >= value));
}

/** What was counted between two looks at one server, as a look. A series that is new began at 0. */
export function increase(before, after) {
  const grown = (key, { value }) => Math.max(0, value - (before.get(key)?.value ?? 0));
  return new Map([...after].map(([key, one]) => [key, { ...one, value: grown(key, one) }]));
}

/** The series of a name; `wanted` gets the labels. */
export function select(look, name, wanted = () => true) {
  return [...look.values()].filter((one) => one.name === name && wanted(one.labels));
}

/** Their sums by what `key` makes of the labels. */
export function sumBy(look, name, key, wanted) {
  const sums = new Map();
  for (const { labels, value } of select(look, name, wanted)) sums.set(key(labels), (sums.get(key(labels)) ?? 0) + value);
  return sums;
}

/** Their sum; null where there are none. */
export const sum = (look, name, wanted) => sumBy(look, name, () => "", wanted).get("") ?? null;

/** The buckets of a histogram: [where it ends, how many are in it], ordered. */
export function buckets(look, name, wanted) {
  const ends = [...sumBy(look, `${name}_bucket`, ({ le }) => number(le), wanted)];
  ends.sort(([one], [other]) => (one < other ? -1 : 1));
  return ends.map(([end, upTo], place) => [end, Math.max(0, upTo - (ends[place - 1]?.[1] ?? 0))]);
}

/** The mean of what a histogram saw; null where it saw nothing. */
export function mean(look, name, wanted) {
  const seen = sum(look, `${name}_count`, wanted);
  return seen ? sum(look, `${name}_sum`, wanted) / seen : null;
}

/** As `histogram_quantile` of Prometheus; null where nothing was seen. */
export function quantile(share, parts) {
  const wanted = share * parts.reduce((all, [, count]) => all + count, 0);
  let [below, from] = [0, 0];
  for (const [end, count] of parts) {
    if (count && below + count >= wanted) return end === Infinity ? from : from + ((end - from) * (wanted - below)) / count;
    below += count;
    from = end;
  }
  return null;
}
