/** The report of a bundle, in a frame where nothing of it can run. */

import { call } from "../api.js";
import { save } from "../carry.js";
import { say } from "./dialog.js";

const dialog = document.querySelector("#report");
const place = document.querySelector("#report-frame");
const saveButton = document.querySelector("#report-save");

/** Fetched with the key, which a link could not carry, and given to the frame as text. */
export async function openReport(path) {
  let blob;
  try {
    blob = await call(path);
  } catch (error) {
    say(error.message, "bad");
    return;
  }
  const text = await blob.text();
  const frame = document.createElement("iframe");
  frame.title = "The report";
  frame.sandbox = "allow-scripts"; // its own one: see the policy of /viewer
  frame.src = "/viewer";
  const give = ({ source, data }) => {
    if (source !== frame.contentWindow || data !== "viewer-ready") return;
    frame.contentWindow.postMessage(text, "*"); // its origin has no name
  };
  addEventListener("message", give);
  const [, name, version] = path.match(/models\/([^/]+)\/versions\/(\d+)/);
  saveButton.onclick = () => save(blob, `${name}-${version}-report.html`);
  dialog.addEventListener(
    "close",
    () => {
      removeEventListener("message", give);
      place.replaceChildren();
    },
    { once: true },
  );
  place.replaceChildren(frame);
  dialog.showModal();
}

document.querySelector("#report-close").addEventListener("click", () => dialog.close());
