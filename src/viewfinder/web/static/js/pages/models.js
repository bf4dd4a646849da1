import { html } from "../../vendor/lit/lit-html.js";
import { region } from "../region.js";

region("models", ({ models }) => models.map((one) => html`<article class="card"><h2>${one.name}</h2></article>`));
