/** Lists that come page by page: one more at a time, and none for a question that nobody asks any more. */

import { nothing } from "../vendor/lit/lit-html.js";
import { button } from "./parts.js";

export class Paged {
  items = [];
  next = null;
  trouble = null;
  /** Whether somebody has asked for more than the first page. */
  isPaged = false;
  #isFetching = false;
  #question = 0;
  #last = { cursor: null, begins: 0 };

  /** `ask(cursor)` gives an answer with items of that name; without a cursor, those of the first page. */
  constructor(name, ask, redraw) {
    Object.assign(this, { name, ask, redraw });
  }

  /** Another first page; what is on its way is for nobody. */
  begin({ [this.name]: items, next }) {
    Object.assign(this, { items, next, isPaged: false });
    this.#isFetching = false;
    this.#question += 1;
  }

  /** The last page once more: it may have grown. */
  reread = () => this.#read(this.#last);

  more = async () => {
    const question = this.#question;
    this.isPaged = this.#isFetching = true;
    this.redraw();
    try {
      if (await this.#read({ cursor: this.next })) this.trouble = null;
    } catch (error) {
      this.trouble = error;
    }
    if (question !== this.#question) return;
    this.#isFetching = false;
    this.redraw();
  };

  async #read(page) {
    const [question, last] = [this.#question, this.#last];
    const { [this.name]: items, next } = await this.ask(page.cursor && encodeURIComponent(page.cursor));
    if (question !== this.#question || last !== this.#last) return false;
    page.begins ??= this.items.length; // Whatever has come or gone before it meanwhile.
    this.items = [...this.items.slice(0, page.begins), ...items];
    this.next = next;
    this.#last = page;
    return true;
  }

  /** The button at the end of the list, as long as there is more. */
  get button() {
    return this.next ? button("More", this.more, "more", this.#isFetching) : nothing;
  }
}
