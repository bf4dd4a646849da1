/** `<stored-photo result="id">`: a thumbnail, fetched with the key once it comes near the screen. */

import { call } from "../api.js";

const SIDE = 160;
const AT_ONCE = 6;
const SOONEST_MS = 5000;
const LATEST_MS = 60_000;

const urls = new Map();
const gone = new Set();
const waiting = new Set();
const failed = new Set();
let fetching = 0;
let pause = SOONEST_MS;
let timer = 0;

const near = new IntersectionObserver(
  (entries) => {
    for (const { isIntersecting, target } of entries) if (isIntersecting) target.want();
  },
  { rootMargin: "200px" },
);

class StoredPhoto extends HTMLElement {
  static observedAttributes = ["result"];

  connectedCallback() {
    this.look();
  }

  disconnectedCallback() {
    near.unobserve(this);
  }

  attributeChangedCallback() {
    if (this.isConnected) this.look();
  }

  get result() {
    return this.getAttribute("result");
  }

  look() {
    near.unobserve(this);
    this.show();
    if (!urls.has(this.result) && !gone.has(this.result)) near.observe(this);
  }

  want() {
    near.unobserve(this);
    waiting.add(this.result);
    fetchNext();
  }

  show() {
    const url = urls.get(this.result);
    if (url === undefined) return this.replaceChildren();
    if (this.firstChild?.src === url) return undefined;
    const image = Object.assign(new Image(), { alt: "", src: url });
    return this.replaceChildren(image);
  }
}

function fetchNext() {
  for (const id of waiting) {
    if (fetching >= AT_ONCE) return;
    waiting.delete(id);
    fetching += 1;
    fetchOne(id).finally(() => {
      fetching -= 1;
      fetchNext();
    });
  }
}

async function fetchOne(id) {
  if (urls.has(id)) return;
  try {
    urls.set(id, URL.createObjectURL(await call(`/v1/results/${id}/image?side=${SIDE}`)));
  } catch (error) {
    if (error.status !== 404) return tryLater(id);
    gone.add(id);
  }
  failed.delete(id);
  if (!failed.size) pause = SOONEST_MS;
  for (const one of document.querySelectorAll("stored-photo")) if (one.result === id) one.show();
}

/** One timer for all, later each time: a server that refuses is not asked steadily. */
function tryLater(id) {
  failed.add(id);
  timer ||= setTimeout(() => {
    timer = 0;
    pause = Math.min(2 * pause, LATEST_MS);
    for (const one of document.querySelectorAll("stored-photo")) if (failed.has(one.result)) one.look();
  }, pause);
}

/** Let go of all thumbnails but those of these results. */
export function keepOnly(ids) {
  const kept = new Set(ids);
  for (const some of [waiting, failed]) for (const id of some) if (!kept.has(id)) some.delete(id);
  for (const [id, url] of urls) {
    if (kept.has(id)) continue;
    URL.revokeObjectURL(url);
    urls.delete(id);
  }
}

function lookAgain() {
  for (const one of document.querySelectorAll("stored-photo")) one.look();
}

document.addEventListener("back", lookAgain);

customElements.define("stored-photo", StoredPhoto);
