import { html, nothing } from "../../vendor/lit/lit-html.js";
import { reload } from "../models/actions.js";
import { list } from "../models/list.js";
import { model } from "../models/model.js";
import { chosen, forget, onChange, state } from "../models/state.js";
import { version } from "../models/version.js";
import { draw, region } from "../region.js";

const place = document.querySelector("#model");

function show() {
  if (state.models === null) return;
  draw(document.querySelector("#models"), list());
  const open = chosen();
  draw(place, open ? html`${model(open)} ${state.version === null ? nothing : version(open, state.version)}` : nothing);
}

/** `#shoes` is a model, `#shoes@3` one of its versions: names have no letter that is written otherwise. */
function read() {
  const [name, number] = location.hash.slice(1).split("@");
  state.name = name || null;
  state.version = /^[1-9]\d{0,8}$/.test(number ?? "") ? Number(number) : null;
}

region("models", ({ models, default: usual }) => {
  Object.assign(state, { models, usual });
  forget();
  show();
});

addEventListener("hashchange", () => {
  read();
  show();
  const heading = document.querySelector(state.version === null ? "#model-title" : "#version-title");
  heading?.focus({ preventScroll: true });
  heading?.scrollIntoView({ block: "nearest" });
});

document.querySelector("#reload").addEventListener("click", reload);
onChange(show);
read();
