/** Numbers and moments as people read them. */

export const percent = (fraction, digits = 1) => `${(100 * fraction).toFixed(digits)}%`;

export const count = (number) => number.toLocaleString("en-GB");

/** Milliseconds, with as many digits as anybody needs. */
export const milliseconds = (ms) => (ms < 10 ? `${ms.toFixed(1)} ms` : ms < 1000 ? `${ms.toFixed(0)} ms` : `${(ms / 1000).toFixed(2)} s`);

const UNITS = ["B", "kB", "MB", "GB", "TB"];

export function bytes(number) {
  let unit = 0;
  while (number >= 1000 && unit < UNITS.length - 1) {
    number /= 1000;
    unit += 1;
  }
  return `${number.toFixed(unit && number < 100 ? 1 : 0)} ${UNITS[unit]}`;
}

const SPANS = [
  ["day", 86400],
  ["hour", 3600],
  ["minute", 60],
];
const relative = new Intl.RelativeTimeFormat("en-GB", { numeric: "auto" });

export function ago(iso) {
  const seconds = (new Date(iso) - Date.now()) / 1000;
  for (const [unit, length] of SPANS) {
    if (Math.abs(seconds) >= length) return relative.format(Math.round(seconds / length), unit);
  }
  return seconds > -5 ? "just now" : relative.format(Math.round(seconds), "second");
}
