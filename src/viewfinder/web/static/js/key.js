/** The key of this tab: asked for where the server wants one, and forgotten with the tab. */

import { html, nothing } from "../vendor/lit/lit-html.js";
import { ask } from "./dialog.js";
import { button, helps } from "./parts.js";

const NAME = "key";
const keyButton = document.querySelector("#key-button");

let asking = null;
let declined = false;

export const key = () => sessionStorage.getItem(NAME);

/**
 * Ask for a key, once for all who want one now.
 * @param {string} why What the server said of the key before; "" if there was none.
 * @returns {Promise<boolean>} Whether one was given. After a "no" nobody is asked again, until
 *     they press the button at the top.
 */
export function askForKey(why) {
  sessionStorage.removeItem(NAME);
  showButton(true);
  if (declined) return Promise.resolve(false);
  asking ??= open(why).finally(() => (asking = null));
  return asking;
}

async function open(why) {
  const isGiven = await ask({
    title: "This server asks for a key",
    text: "It is kept in this tab until you close it, and sent to this server only.",
    fields: html`<label class="field">Key
      <input name="key" type="password" autocomplete="off" spellcheck="false" placeholder="vf_…" required>
    </label>`,
    yes: "Use it",
    no: "Not now",
    failure: why || null,
    act: keep,
  });
  declined = !isGiven;
  showButton(true);
  return isGiven;
}

function keep(form) {
  const given = form.get("key").trim();
  if (!/^[\x21-\x7e]+$/.test(given)) throw new Error("A key has no spaces, and letters of ASCII only.");
  sessionStorage.setItem(NAME, given);
}

function showButton(wanted) {
  keyButton.hidden = !wanted;
  keyButton.textContent = key() === null ? "Enter key" : "Forget key";
}

keyButton.addEventListener("click", async () => {
  if (key() !== null) {
    sessionStorage.removeItem(NAME);
    location.reload();
    return;
  }
  declined = false;
  if (await askForKey("")) location.reload();
});

/** As after an absence, all that is shown is asked for again: what was typed or chosen stays. */
async function change() {
  declined = false;
  if (await askForKey("")) document.dispatchEvent(new Event("back"));
}

// A server without keys refuses for other reasons.
helps.set("forbidden", () => (key() === null ? nothing : button("Use another key", change, "slim")));

showButton(key() !== null);
