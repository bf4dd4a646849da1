/** A field that finds a class among all of them, or names a new one. */

import { html, nothing } from "../../vendor/lit/lit-html.js";
import { badge } from "../parts.js";
import { fitting } from "./labels.js";

const MOST = 8;

export class Search {
  #text = "";
  #at = 0;

  /**
   * @param {() => string[]} labels All classes.
   * @param {(label: string) => void} choose Called with the one that was chosen.
   * @param {() => void} changed Called when it is to be drawn anew.
   * @param {() => void} left Called when nobody wants it any more.
   */
  constructor(labels, choose, changed, left) {
    Object.assign(this, { labels, choose, changed, left });
  }

  get input() {
    return document.querySelector("#search");
  }

  /** Whether somebody is about to say something. */
  get isUsed() {
    return this.#text !== "";
  }

  fill(text) {
    this.#text = text;
    this.#at = 0;
  }

  #options() {
    const typed = this.#text.trim();
    const labels = this.labels();
    if (labels === null) return []; // Nobody can tell yet what is new.
    const found = fitting(labels, typed, MOST).map((label) => ({ label, isNew: false }));
    const isKnown = !typed || labels.includes(typed.normalize("NFC"));
    return isKnown ? found : [...found, { label: typed, isNew: true }];
  }

  view() {
    const options = this.#options();
    return html`<div class="search">
      <label class="field" for="search">Another class</label>
      <input id="search" type="text" role="combobox" autocomplete="off" spellcheck="false" maxlength="200"
        placeholder="Search all classes, or name a new one" aria-autocomplete="list" aria-controls="found"
        aria-expanded=${options.length > 0} aria-activedescendant=${options.length ? `found-${this.#at}` : nothing}
        .value=${this.#text} @input=${this.#typed} @keydown=${this.#pressed}>
      <ul id="found" role="listbox" aria-label="Classes" ?hidden=${!options.length}>
        ${options.map(
          ({ label, isNew }, place) => html`<li id="found-${place}" role="option" aria-selected=${place === this.#at}
            @pointerdown=${(event) => event.preventDefault()} @click=${() => this.#take(label)}>
            <bdi>${label}</bdi>${isNew ? html` ${badge("new class", "accent")}` : nothing}
          </li>`,
        )}
      </ul>
    </div>`;
  }

  #typed = ({ target }) => {
    this.fill(target.value);
    this.changed();
  };

  #pressed = (event) => {
    const options = this.#options();
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (event.isComposing) return;
    if (step && options.length) this.#at = (this.#at + step + options.length) % options.length;
    else if (event.key === "Enter" && options.length && !event.repeat) this.#take(options[this.#at].label);
    else if (event.key === "Escape") this.#leave();
    else return;
    event.preventDefault();
    this.changed();
  };

  #take(label) {
    this.fill("");
    this.choose(label);
  }

  #leave() {
    this.fill("");
    this.left();
  }
}
