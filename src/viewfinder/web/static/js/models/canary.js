/** The form of a split: a share for each version, together 100 percent. */

import { html } from "../../vendor/lit/lit-html.js";
import { setTraffic } from "./actions.js";
import { ask } from "./dialog.js";
import { listed, meant, share, split } from "./routing.js";

const FIRST_SHARE = 10;
const SHOWN = 8;

/** What the form begins with: the split there is, else a small share for the newest version. */
function proposed(model) {
  if (split(model).length) return new Map(split(model).map((one) => [one.version, one.percent]));
  const now = meant(model);
  const next = model.versions.findLast((one) => one.version !== now && one.state !== "failed")?.version;
  if (next === undefined) return new Map([[now, 100]]);
  return new Map([[now, 100 - FIRST_SHARE], [next, FIRST_SHARE]]);
}

const read = (form) =>
  [...form].map(([version, percent]) => ({ version: Number(version), percent: Number(percent) })).filter((one) => one.percent > 0);

const total = (shares) => Number(shares.reduce((sum, one) => sum + one.percent, 0).toFixed(6));

/** Say what the shares add up to, and keep the form from being sent as long as it is not 100. */
function check(form) {
  const sum = total(read(new FormData(form)));
  form.querySelector("#sum").textContent = `Together ${share(sum)}${sum === 100 ? "." : ", and it has to be 100%."}`;
  form.querySelector("input[type=number]").setCustomValidity(sum === 100 ? "" : "The shares have to add up to 100.");
}

export function setSplit(model) {
  const begun = proposed(model);
  const rows = model.versions.filter((one, place) => begun.has(one.version) || place >= model.versions.length - SHOWN).reverse();
  ask({
    title: `Split the requests for ${model.name}`,
    text: html`Who asks for <code>${model.name}</code> alone is answered by one of these versions, by their shares;
      whoever shows a key always gets the same one. Each is loaded first, and has to answer its golden photos.`,
    fields: html`<fieldset class="shares" @input=${(event) => check(event.currentTarget.form)}>
        <legend>Share of each version, in percent</legend>
        ${rows.map(
          (one) => html`<label class="row spread">
            <span>Version ${one.version}${one.state === "failed" ? " (failed)" : ""}</span>
            <input type="number" min="0" max="100" step="any" inputmode="decimal" name=${one.version} value=${begun.get(one.version) ?? 0}>
          </label>`,
        )}
      </fieldset>
      <p id="sum" class="small" role="status"></p>`,
    yes: "Split",
    opened: check,
    async act(form) {
      const shares = read(form);
      await setTraffic(model, { shares });
      return `${model.name} is split: ${listed(shares.map((one) => `${share(one.percent)} version ${one.version}`))}.`;
    },
  });
}
