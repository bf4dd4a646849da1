/** A question before what cannot be taken back. */

const dialog = document.querySelector("#sure-dialog");

/**
 * Ask.
 * @param {{title: string, text: string, yes: string, no: string}} words
 * @returns {Promise<boolean>} Whether it is to be done.
 */
export function sure({ title, text, yes, no }) {
  dialog.querySelector("#sure-title").textContent = title;
  dialog.querySelector("#sure-text").textContent = text;
  dialog.querySelector("#sure-yes").textContent = yes;
  dialog.querySelector("#sure-no").textContent = no;
  dialog.returnValue = "";
  dialog.showModal();
  dialog.querySelector("#sure-no").focus();
  return new Promise((resolve) => {
    dialog.addEventListener("close", () => resolve(dialog.returnValue === "yes"), { once: true });
  });
}
