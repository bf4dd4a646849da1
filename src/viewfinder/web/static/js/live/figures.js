/** What two looks at the metrics say of the time between them. Times are in milliseconds. */

import { buckets, increase, mean, quantile, select, sum, sumBy } from "../metrics.js";

const MACHINES = /^(\/health|\/static\/|\/metrics$)/;
const CLASSIFY = ["/v1/classify", "/classify"];
const KINDS = { 4: "refused", 5: "failed" };
const ADDED = /^viewfinder_(refusals|predictions|abstentions|confidence)_/;

const isAnswer = ({ endpoint, status }) => CLASSIFY.includes(endpoint) && status?.startsWith("2");
const times = (value, factor) => (value === null ? null : value * factor);
const share = (part, whole) => (whole ? part / whole : null);

/** How people say which version it is. */
const nameOf = ({ model, version, variant }) => `${model}@${version} ${variant}`;

/** The figures of a moment: rates, means and quantiles since a look `seconds` ago; a version's rate is under its name. */
export function figuresOf(before, after, seconds) {
  const grown = increase(before, after);
  const own = (name) => sum(grown, `viewfinder_${name}_total`) ?? 0;
  const latency = buckets(grown, "request_latency_seconds", isAnswer);
  const percentile = (part) => times(quantile(part, latency), 1000);
  const time = (part) => times(mean(grown, `viewfinder_${part}_seconds`), 1000);
  const waiting = (name) => sum(after, "viewfinder_queue_depth", ({ lane }) => lane === name) ?? 0;
  return {
    ...requests(grown, seconds),
    p50: percentile(0.5),
    p95: percentile(0.95),
    p99: percentile(0.99),
    decode: time("decode"),
    queue: time("queue"),
    infer: time("inference"),
    people: waiting("interactive"),
    jobs: waiting("batch"),
    batch: mean(grown, "viewfinder_batch_size"),
    refusals: own("refusals") / seconds,
    images: own("predictions") / seconds,
    ...scaled(sumBy(grown, "viewfinder_predictions_total", nameOf), 1 / seconds),
    cached: share(own("cache_hits"), own("cache_hits") + own("cache_misses")),
    abstained: share(own("abstentions"), own("predictions")),
    processor: times(sum(grown, "process_cpu_seconds_total"), 1 / seconds),
    busy: own("compute_busy_seconds") / seconds,
    memory: sum(after, "process_resident_memory_bytes"),
  };
}

const scaled = (sums, factor) => Object.fromEntries([...sums].map(([name, value]) => [name, value * factor]));

function requests(grown, seconds) {
  const rates = { answered: 0, refused: 0, failed: 0 };
  for (const { labels, value } of select(grown, "requests_total")) {
    if (!MACHINES.test(labels.endpoint)) rates[KINDS[labels.status?.[0]] ?? "answered"] += value / seconds;
  }
  return rates;
}

/** What is to be added up of what was counted between two looks: refusals, and answers. */
export function countsOf(before, after) {
  return new Map([...increase(before, after)].filter(([, { name, value }]) => value && ADDED.test(name)));
}

/** The counts of many steps together: refusals by reason, and answers by version. */
export function together(steps) {
  const all = new Map();
  for (const [key, one] of steps.flatMap((step) => [...step])) all.set(key, { ...one, value: one.value + (all.get(key)?.value ?? 0) });
  const versions = [...sumBy(all, "viewfinder_predictions_total", nameOf)].map(([name, answers]) => {
    const own = (labels) => nameOf(labels) === name;
    const [abstained, confidence] = ["abstentions_total", "confidence_sum"].map((one) => sum(all, `viewfinder_${one}`, own) ?? 0);
    const tenths = Array(10).fill(0);
    for (const [end, number] of buckets(all, "viewfinder_confidence", own)) tenths[Math.min(9, Math.round(10 * end) - 1)] += number;
    return { name, answers, abstained, confidence, tenths };
  });
  return { reasons: [...sumBy(all, "viewfinder_refusals_total", ({ reason }) => reason)], versions };
}
