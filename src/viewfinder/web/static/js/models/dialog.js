/** Changes: each after a question, and with a word of what came of it. */

import * as dialog from "../dialog.js";
import { refresh } from "../region.js";

const said = document.querySelector("#said");

/** Say what has happened; it stays until something else does. */
export function say(text, kind = "good") {
  said.textContent = text;
  said.className = `notice ${kind}`;
}

/** As `ask` of js/dialog.js; `act` gives the words for what was done. */
export const ask = (question) =>
  dialog.ask({
    ...question,
    async act(form) {
      say(await question.act(form));
      refresh("#models");
    },
    late: (error) => say(`${question.title}: ${error.message}`, "bad"),
  });
