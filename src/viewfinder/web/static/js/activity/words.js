/** Parts that history and jobs share. */

import { html } from "../../vendor/lit/lit-html.js";
import { call } from "../api.js";

/** Seconds, as people say them. */
export function duration(seconds) {
  if (seconds < 10) return `${seconds.toFixed(1)} s`;
  if (seconds < 60) return `${seconds.toFixed(0)} s`;
  if (seconds < 3600) return `${Math.round(seconds / 60)} min`;
  return `${Math.floor(seconds / 3600)} h ${Math.round((seconds % 3600) / 60)} min`;
}

export const named = ({ name, version }) => `${name}@${version}`;

/** What models may be called, with and without a version: the default model first. */
export async function modelNames() {
  const { models, default: first } = await call("/v1/models");
  const names = models.flatMap(({ name, versions }) => [name, ...versions.map(({ version }) => named({ name, version }))]);
  return [first, ...names.filter((name) => name !== first)];
}

/** A count and its noun. */
export const many = (number, one, several = `${one}s`) =>
  `${number.toLocaleString("en-GB")} ${number === 1 ? one : several}`;

/** An id, and a button that copies it. */
export const copyable = (text, what) => html`<span class="row copyable">
  <code>${text}</code>
  <button type="button" class="slim plain" aria-label=${`Copy ${what}`} @click=${copy}>Copy</button>
</span>`;

async function copy({ currentTarget: button }) {
  const code = button.previousElementSibling;
  try {
    await navigator.clipboard.writeText(code.textContent);
    button.textContent = "Copied";
    setTimeout(() => (button.textContent = "Copy"), 2000);
  } catch {
    getSelection().selectAllChildren(code); // Without TLS no page may write there: Ctrl-C does.
  }
}

/** The button that closes a dialog. */
export const closing = html`<button
  type="button"
  class="plain slim"
  aria-label="Close"
  @click=${(event) => event.target.closest("dialog").close()}
>
  Close
</button>`;
