/** The latest request, for a terminal and for a program. */

import { copy } from "../carry.js";
import { key } from "../key.js";
import { listenToTabs } from "../tabs.js";
import { mediaType, path } from "./ask.js";

const code = document.querySelector("#code");
const copied = document.querySelector("#copied");

let latest = {};

/**
 * @param {{name: string, file?: File, url?: string}} photo
 * @param {object} options As the API has them.
 */
export function showRequest(photo, options) {
  latest = { photo, options };
  draw();
}

function draw() {
  const shown = document.querySelector("[role=tab][aria-selected=true]");
  const { photo, options } = latest;
  const write = shown.id === "tab-curl" ? curl : python;
  code.textContent = write(photo, location.origin + path(options));
  code.setAttribute("aria-labelledby", shown.id);
  document.querySelector("#code-note").textContent =
    (key() === null ? "" : "KEY is your key. ") + (shown.id === "tab-curl" ? "" : "Needs Python alone.");
  copied.textContent = "";
}

const quoted = (text) => `'${text.replaceAll("'", "'\\''")}'`;

function curl(photo, address) {
  const what = photo.url
    ? [`--json ${quoted(JSON.stringify({ url: photo.url }))}`]
    : [`--data-binary ${quoted(`@${photo.name}`)}`, `-H ${quoted(`Content-Type: ${mediaType(photo.file)}`)}`];
  const secret = key() === null ? [] : ['-H "X-API-Key: $KEY"'];
  return ["curl", ...what, ...secret, quoted(address)].join(" \\\n  ");
}

function python(photo, address) {
  const secret = key() === null ? [] : ['        "X-API-Key": os.environ["KEY"],'];
  const data = photo.url
    ? `json.dumps({"url": ${JSON.stringify(photo.url)}}).encode()`
    : `Path(${JSON.stringify(photo.name)}).read_bytes()`;
  return [
    "import json",
    ...(secret.length ? ["import os"] : []),
    ...(photo.url ? [] : ["from pathlib import Path"]),
    "from urllib.request import Request, urlopen",
    "",
    "request = Request(",
    `    ${JSON.stringify(address)},`,
    `    data=${data},`,
    "    headers={",
    `        "Content-Type": "${photo.url ? "application/json" : mediaType(photo.file)}",`,
    ...secret,
    "    },",
    ")",
    "with urlopen(request) as response:",
    "    answer = json.load(response)",
    'print(answer["class"], answer["confidence"])',
  ].join("\n");
}

const mark = listenToTabs((tab) => {
  mark(tab);
  draw();
});

document.querySelector("#copy").addEventListener("click", async () => {
  copied.textContent = (await copy(code)) ? "Copied." : "It is selected: press Ctrl C to copy it.";
});
