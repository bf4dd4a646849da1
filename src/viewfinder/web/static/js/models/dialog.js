/** A question about a change: what will happen, what is to be typed, and what came of it. */

import { html, nothing } from "../../vendor/lit/lit-html.js";
import { problem } from "../parts.js";
import { draw, refresh } from "../region.js";

const dialog = document.querySelector("#act");
const said = document.querySelector("#said");
let asked = null;
let working = false;
let failure = null;

/** Say what has happened; it stays until something else does. */
export function say(text, kind = "good") {
  said.textContent = text;
  said.className = `notice ${kind}`;
}

/**
 * Ask whether something is to be done.
 * @param {object} question
 * @param {string} question.title
 * @param {any} question.sentence What will happen.
 * @param {any} question.fields To be filled in.
 * @param {string} question.verb Of the button.
 * @param {(form: FormData) => Promise<string>} question.act Does it, and says what was done. An
 *     error keeps the dialog open, with all that was typed.
 */
export function ask(question) {
  asked = question;
  failure = null;
  working = false;
  show();
  // Fields begin with what they are drawn with, also if another dialog had the same.
  dialog.querySelector("form").reset();
  asked.opened?.(dialog.querySelector("form"));
  if (!dialog.open) dialog.showModal();
}

function show() {
  const { title, sentence, fields = nothing, verb } = asked;
  draw(
    dialog,
    html`<form @submit=${submit} aria-busy=${working}>
      <h2 id="act-title">${title}</h2>
      <p class="quiet">${sentence}</p>
      ${fields} ${failure === null ? nothing : problem(failure)}
      <div class="row">
        <button class="main" ?disabled=${working}>${working ? "Working…" : verb}</button>
        <button type="button" class="plain" @click=${() => dialog.close()}>Cancel</button>
      </div>
    </form>`,
  );
}

async function submit(event) {
  event.preventDefault();
  const question = asked;
  const form = new FormData(event.target);
  working = true;
  failure = null;
  show();
  try {
    const done = await question.act(form);
    say(done);
    if (question === asked) dialog.close();
    refresh("#models");
  } catch (error) {
    if (question === asked && dialog.open) failure = error;
    else say(`${question.title}: ${error.message}`, "bad");
  } finally {
    if (question === asked) {
      working = false;
      show();
    }
  }
}
