/** What can be done with a model, each after a question that says what will happen. */

import { html, nothing } from "../../vendor/lit/lit-html.js";
import { call } from "../api.js";
import { modelPath, named, versionPath } from "../names.js";
import { button } from "../parts.js";
import { ask } from "./dialog.js";
import { answering, listed, meant, shadow, split } from "./routing.js";

const put = (path, json) => call(path, { method: "PUT", json });
const post = (path) => call(path, { method: "POST" });
const remove = (path) => call(path, { method: "DELETE" });
const PROVED = "It is loaded first, and has to answer its golden photos as it did when it was made.";

/** Change the split, the shadow, or both; what is left of neither is no traffic at all. */
export function setTraffic(model, { shares = split(model), behind = shadow(model) }) {
  const path = `${modelPath(model.name)}/traffic`;
  if (!shares.length && behind === null) return remove(path);
  return put(path, { split: shares, ...(behind === null ? {} : { shadow: behind }) });
}

export function promote(model, version) {
  const has_split = split(model).length > 0;
  const before = listed(answering(model).filter((one) => one !== version));
  ask({
    title: `Promote version ${version}`,
    text: html`<code>stable</code> will mean version ${version} of ${model.name}, and who asks for ${model.name}
      alone is answered by it${has_split ? " once the split has ended" : ""}. ${PROVED} ${before ? html`Until then version ${before} goes on answering.` : nothing}`,
    fields: has_split
      ? html`<label class="row"><input type="checkbox" name="end" checked> End the split, so that version ${version} answers everybody</label>`
      : nothing,
    yes: "Promote",
    async act(form) {
      await put(`${modelPath(model.name)}/aliases/stable`, { version });
      if (has_split && form.has("end")) await setTraffic(model, { shares: [] });
      return `Version ${version} of ${model.name} is stable now.`;
    },
  });
}

export function rollBack(model) {
  const back = model.rollback;
  const ends = split(model).length ? " The split ends." : "";
  ask({
    title: `Roll ${model.name} back`,
    text: `Version ${back} will answer again in place of version ${listed(answering(model).filter((one) => one !== back))}.${ends} ${PROVED}`,
    yes: "Roll back",
    async act() {
      const { aliases } = await post(`${modelPath(model.name)}/rollback`);
      return `${model.name} was rolled back: version ${aliases.stable ?? back} answers.`;
    },
  });
}

const versionField = (model, selected, except = []) => html`<label class="field">Version
  <select name="version">
    ${[...model.versions]
      .reverse()
      .filter((one) => !except.includes(one.version))
      .map((one) => html`<option value=${one.version} ?selected=${one.version === selected}>${one.version}${one.state === "failed" ? " (failed)" : ""}</option>`)}
  </select>
</label>`;

export function setAliases(model) {
  const own = Object.entries(model.aliases).filter(([alias]) => alias !== "latest");
  ask({
    title: `Aliases of ${model.name}`,
    text: html`A name for a version: who asks for <code>${model.name}@canary</code> gets whatever version
      <code>canary</code> means. An alias that there is already moves. ${PROVED}`,
    fields: html`<div class="columns">
        <label class="field">Alias <input name="alias" required maxlength="64" autocomplete="off" spellcheck="false" placeholder="canary"></label>
        ${versionField(model, meant(model))}
      </div>
      ${own.length
        ? html`<ul class="stack" aria-label="Aliases there are">
            ${own.map(
              ([alias, version]) => html`<li class="row spread">
                <span><code>${alias}</code> means version ${version}</span>
                ${button(`Remove ${alias}`, (event) => removeAlias(model, alias, event), "slim danger")}
              </li>`,
            )}
          </ul>`
        : nothing}`,
    yes: "Set alias",
    async act(form) {
      const alias = form.get("alias").trim();
      const version = Number(form.get("version"));
      await put(`${modelPath(model.name)}/aliases/${encodeURIComponent(alias)}`, { version });
      return `${model.name}@${alias} means version ${version} now.`;
    },
  });
}

function removeAlias(model, alias, { target }) {
  target.closest("dialog").close();
  ask({
    title: `Remove ${alias}`,
    text: `${model.name}@${alias} will mean nothing any more, and who asks for it is refused.${alias === "stable" ? " Who asks for the model alone gets the latest good version." : ""}`,
    yes: "Remove",
    async act() {
      await remove(`${modelPath(model.name)}/aliases/${encodeURIComponent(alias)}`);
      return `${model.name} has no alias ${alias} any more.`;
    },
  });
}

export function setShadow(model) {
  const busy = answering(model);
  ask({
    title: `A shadow for ${model.name}`,
    text: "It is shown the same photos with idle capacity. Its answers are compared and counted, and never given to anybody.",
    fields: versionField(model, model.versions.findLast((one) => !busy.includes(one.version))?.version, busy),
    yes: "Start the shadow",
    async act(form) {
      const behind = Number(form.get("version"));
      await setTraffic(model, { behind });
      return `Version ${behind} of ${model.name} is its shadow now.`;
    },
  });
}

export const endShadow = (model) =>
  ask({
    title: "End the shadow",
    text: `Version ${shadow(model)} of ${model.name} sees no more photos. Its counts are gone with it.`,
    yes: "End the shadow",
    async act() {
      await setTraffic(model, { behind: null });
      return `${model.name} has no shadow any more.`;
    },
  });

export const endSplit = (model) =>
  ask({
    title: "End the split",
    text: `Version ${meant(model)} of ${model.name} will answer everybody who asks for the model alone.`,
    yes: "End the split",
    async act() {
      await setTraffic(model, { shares: [] });
      return `The split of ${model.name} has ended: version ${meant(model)} answers.`;
    },
  });

export const load = (model, version) =>
  ask({
    title: `Load version ${version}`,
    text: `It comes into memory now, and not only with the first request for it. ${PROVED}`,
    yes: "Load",
    async act() {
      await post(`${versionPath(model.name, version)}/load`);
      return `Version ${version} of ${model.name} is loaded.`;
    },
  });

export const unload = (model, version) =>
  ask({
    title: `Unload version ${version}`,
    text: "It gives its memory back. The next request for it loads it again, and waits for that.",
    yes: "Unload",
    async act() {
      await post(`${versionPath(model.name, version)}/unload`);
      return `Version ${version} of ${model.name} is out of memory.`;
    },
  });

export const reload = () =>
  ask({
    title: "Reload the store",
    text: "The server looks at the model store now, and tries once more what has failed. It also looks by itself every few seconds.",
    yes: "Reload",
    async act() {
      const { models } = await post("/v1/models/reload");
      const failed = Object.entries(models).flatMap(([name, versions]) =>
        versions.filter((one) => one.state === "failed").map(({ version }) => named({ name, version })),
      );
      return failed.length ? `The store was looked at. Failed: ${listed(failed)}.` : "The store was looked at, and nothing in it has failed.";
    },
  });
