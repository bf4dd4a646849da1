/** What a server has counted of each version, out of its metrics. */

const LINE = /^viewfinder_(predictions_total|abstentions_total|confidence_(?:sum|count)|inference_seconds_(?:sum|count))\{([^}]*)\} (\S+)/gm;

/**
 * Read the metrics.
 * @param {Blob} blob In the text format of Prometheus.
 * @returns {(name: string, version: number) => object} Answers, and of these the mean confidence
 *     and the share that was "I don't know", 0-1; the mean milliseconds of the graph.
 */
export async function counted(blob) {
  const sums = new Map();
  for (const [, metric, labels, value] of (await blob.text()).matchAll(LINE)) {
    const label = (name) => labels.match(new RegExp(`${name}="([^"]*)"`))?.[1];
    const key = `${label("model")}@${label("version")} ${metric}`;
    sums.set(key, (sums.get(key) ?? 0) + Number(value));
  }
  return (name, version) => {
    const of = (metric) => sums.get(`${name}@${version} ${metric}`) ?? 0;
    const mean = (part, whole) => (of(whole) ? of(part) / of(whole) : undefined);
    const seconds = mean("inference_seconds_sum", "inference_seconds_count");
    return {
      answers: of("predictions_total"),
      confidence: mean("confidence_sum", "confidence_count"),
      abstained: mean("abstentions_total", "predictions_total"),
      ms: seconds === undefined ? undefined : 1000 * seconds,
    };
  };
}
