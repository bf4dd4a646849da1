/** Says so where answers are not kept at all: readiness names the part that does. */

import { html, nothing } from "../vendor/lit/lit-html.js";
import { call } from "./api.js";
import { draw } from "./region.js";

const off = html`<p class="notice warn">This server records nothing: the setting <code>record</code> is <code>none</code>, and no
  answer comes here. <code>VIEWFINDER_RECORD=results</code> keeps answers, <code>images</code> the photos too.</p>`;

async function look() {
  let parts;
  try {
    ({ parts } = await call("/health/ready"));
  } catch {
    return; // It is not known now.
  }
  draw(document.querySelector("#recording"), "results" in parts ? nothing : off);
}

document.addEventListener("back", look);
look();
