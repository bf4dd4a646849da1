/** What a server has counted of each version, out of its metrics. */

import { mean, parse, sum } from "../metrics.js";

/**
 * Read the metrics.
 * @param {Blob} blob In the text format of Prometheus.
 * @returns {(name: string, version: number) => object} Answers, and of these the mean confidence
 *     and the share that was "I don't know", 0-1; the mean milliseconds of the graph. Null where
 *     nothing was counted.
 */
export async function counted(blob) {
  const look = parse(await blob.text());
  return (name, version) => {
    const own = (labels) => labels.model === name && labels.version === String(version);
    const of = (metric) => sum(look, `viewfinder_${metric}_total`, own) ?? 0;
    const answers = of("predictions");
    const seconds = mean(look, "viewfinder_inference_seconds", own);
    return {
      answers,
      confidence: mean(look, "viewfinder_confidence", own),
      abstained: answers ? of("abstentions") / answers : null,
      ms: seconds && 1000 * seconds,
    };
  };
}
