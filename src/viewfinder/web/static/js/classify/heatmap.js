/** What a model looked at, as colours over the photo and in words. */

// From what said nothing to what said most; lightness rises with it, so that no hue need be told.
const COLOURS = [[24, 15, 62], [96, 24, 122], [190, 52, 93], [245, 125, 21], [252, 230, 120]];
const OPAQUE = 0.9;
const PIXELS = 16; // of a cell, before the browser stretches the picture

const WORDS = {
  "class-activation": "Class activation: the brighter a place, the more its features speak for",
  occlusion: "Occlusion: parts of the photo were covered, one after the other; the brighter a place, the more was lost there of",
};

/** The method, in a sentence. */
export const explain = ({ method, class: name }) => `${WORDS[method] ?? method} “${name}”.`;

/** Where it is brightest, for who cannot see it. */
export function describe({ values, box, rows, columns }) {
  const most = Math.max(...values.flat());
  if (most === 0) return "Nothing in the photo spoke for this class more than the rest.";
  const row = values.findIndex((one) => one.includes(most));
  const column = values[row].indexOf(most);
  const third = (start, length, place, count) => Math.min(2, Math.max(0, Math.floor(3 * (start + ((place + 0.5) / count) * length))));
  const down = ["top", "middle", "bottom"][third(box.y, box.height, row, rows)];
  const across = ["left", "middle", "right"][third(box.x, box.width, column, columns)];
  const where = down === across ? "in the middle" : `at the ${down} ${across}`;
  return `It looked most ${where} of the photo.`;
}

/** Where the picture of the grid belongs on the photo, as CSS. */
export const placement = ({ box }) =>
  `left: ${100 * box.x}%; top: ${100 * box.y}%; width: ${100 * box.width}%; height: ${100 * box.height}%`;

/** Paint the grid, smoothly from cell to cell. */
export function paint(canvas, { values, rows, columns }) {
  canvas.width = columns * PIXELS;
  canvas.height = rows * PIXELS;
  fill(canvas, (x, y) => between(values, x / PIXELS - 0.5, y / PIXELS - 0.5));
}

/** Paint the scale of colours, from left to right. */
export function paintLegend(canvas) {
  canvas.width = 128;
  canvas.height = 1;
  fill(canvas, (x) => x / 128);
}

function fill(canvas, valueAt) {
  const context = canvas.getContext("2d");
  const image = context.createImageData(canvas.width, canvas.height);
  for (let y = 0, at = 0; y < canvas.height; y += 1) {
    for (let x = 0; x < canvas.width; x += 1, at += 4) image.data.set(colour(valueAt(x + 0.5, y + 0.5)), at);
  }
  context.putImageData(image, 0, 0);
}

function colour(value) {
  const place = value * (COLOURS.length - 1);
  const low = Math.min(Math.floor(place), COLOURS.length - 2);
  const mixed = COLOURS[low].map((one, part) => one + (COLOURS[low + 1][part] - one) * (place - low));
  return [...mixed, 255 * OPAQUE * value ** 0.75];
}

/** The value at a place between the middles of four cells. */
function between(values, x, y) {
  const [left, right, across] = neighbours(x, values[0].length);
  const [above, below, down] = neighbours(y, values.length);
  const mix = (row) => values[row][left] * (1 - across) + values[row][right] * across;
  return mix(above) * (1 - down) + mix(below) * down;
}

function neighbours(place, count) {
  const inside = Math.min(Math.max(place, 0), count - 1);
  const low = Math.floor(inside);
  return [low, Math.min(low + 1, count - 1), inside - low];
}
