/** Questions: what will happen, what is to be typed, and whether it was done. */

import { html, nothing, render } from "../vendor/lit/lit-html.js";
import { problem } from "./parts.js";

let questions = 0;

/**
 * Ask, above everything else.
 * @param {object} question
 * @param {string} question.title
 * @param {any} question.text What will happen.
 * @param {any} [question.fields] To be filled in.
 * @param {string} question.yes The button that does it; `no` is the other one.
 * @param {boolean} [question.isFinal] Whether it cannot be taken back.
 * @param {any} [question.failure] What is wrong already.
 * @param {(form: HTMLFormElement) => void} [question.opened]
 * @param {(form: FormData) => any} [question.act] Does it. An error keeps the dialog open, with
 *     all that was typed.
 * @param {(error: Error) => void} [question.late] Gets an error that came after it was closed.
 * @returns {Promise<boolean>} Whether it was done, once the dialog is closed.
 */
export function ask({ title, text, fields = nothing, yes, no = "Cancel", isFinal, failure = null, opened, act, late }) {
  const dialog = document.createElement("dialog");
  const id = `question-${(questions += 1)}`;
  let working = false;

  const show = () =>
    render(
      html`<form @submit=${submit} aria-busy=${working}>
        <h2>${title}</h2>
        <p class="quiet" id=${id}>${text}</p>
        ${fields} ${failure === null ? nothing : problem(failure)}
        <div class="row">
          <button class=${isFinal ? "danger" : "main"} ?disabled=${working}>${working ? "Working…" : yes}</button>
          <button type="button" class="plain" ?autofocus=${isFinal} @click=${() => dialog.close()}>${no}</button>
        </div>
      </form>`,
      dialog,
    );

  async function submit(event) {
    event.preventDefault();
    const form = new FormData(event.target);
    [working, failure] = [true, null];
    show();
    try {
      await act?.(form);
      dialog.close("done");
    } catch (error) {
      if (!dialog.open) late?.(error);
      [working, failure] = [false, error];
      show();
    }
  }

  show();
  dialog.setAttribute("aria-label", title);
  dialog.setAttribute("aria-describedby", id);
  document.body.append(dialog);
  opened?.(dialog.querySelector("form"));
  dialog.showModal();
  return new Promise((resolve) => {
    dialog.addEventListener("close", () => {
      dialog.remove();
      resolve(dialog.returnValue === "done");
    });
  });
}
