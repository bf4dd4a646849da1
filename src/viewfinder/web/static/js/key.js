/** The key of this tab: asked for where the server wants one, and forgotten with the tab. */

const NAME = "key";
const dialog = document.querySelector("#key-dialog");
const form = dialog.querySelector("form");
const input = dialog.querySelector("input");
const refusal = dialog.querySelector("#key-refusal");
const button = document.querySelector("#key-button");

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

function open(why) {
  refusal.textContent = why;
  refusal.hidden = !why;
  input.value = "";
  dialog.returnValue = "";
  dialog.showModal();
  return new Promise((resolve) => {
    const closed = () => {
      declined = dialog.returnValue !== "given";
      showButton(true);
      resolve(!declined);
    };
    dialog.addEventListener("close", closed, { once: true });
  });
}

form.addEventListener("submit", (event) => {
  event.preventDefault();
  const given = input.value.trim();
  if (!/^[\x21-\x7e]+$/.test(given)) {
    refusal.textContent = "A key has no spaces, and letters of ASCII only.";
    refusal.hidden = false;
    return;
  }
  sessionStorage.setItem(NAME, given);
  input.value = "";
  dialog.close("given");
});
dialog.querySelector("#key-cancel").addEventListener("click", () => dialog.close(""));

function showButton(wanted) {
  button.hidden = !wanted;
  button.textContent = key() === null ? "Enter key" : "Forget key";
}

button.addEventListener("click", async () => {
  if (key() !== null) {
    sessionStorage.removeItem(NAME);
    location.reload();
    return;
  }
  declined = false;
  if (await askForKey("")) location.reload();
});

showButton(key() !== null);
