/** Whether answers are kept at all. */

import { call } from "../api.js";

async function look() {
  let parts;
  try {
    ({ parts } = await call("/health/ready"));
  } catch {
    return; // It is not known now.
  }
  document.querySelector("#recording").hidden = "results" in parts;
}

document.addEventListener("back", look);
look();
