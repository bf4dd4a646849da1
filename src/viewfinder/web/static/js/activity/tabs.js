/** History and jobs: one of them is to be seen, as the fragment of the address says. */

import { refresh } from "../region.js";
import { showJob } from "./job.js";

const tabs = [...document.querySelectorAll("[role=tab]")];
const panelOf = (tab) => document.getElementById(tab.getAttribute("aria-controls"));

function show() {
  const [name, job] = location.hash.slice(1).split("/");
  const chosen = tabs.find((tab) => tab.id === `tab-${name}`) ?? tabs[0];
  for (const tab of tabs) {
    const isChosen = tab === chosen;
    tab.setAttribute("aria-selected", isChosen);
    tab.tabIndex = isChosen ? 0 : -1;
    panelOf(tab).hidden = !isChosen;
  }
  for (const form of panelOf(chosen).querySelectorAll("[hx-get]")) refresh(`#${form.id}`);
  showJob(name === "jobs" ? job : undefined);
}

const go = (tab) => {
  location.hash = tab.id.replace("tab-", "");
};

for (const [place, tab] of tabs.entries()) {
  tab.addEventListener("click", () => go(tab));
  tab.addEventListener("keydown", (event) => {
    const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (step === undefined) return;
    const next = tabs[(place + step + tabs.length) % tabs.length];
    next.focus();
    go(next);
  });
  // What nobody sees is not asked for.
  panelOf(tab).addEventListener("htmx:before:request", (event) => {
    if (panelOf(tab).hidden) event.preventDefault();
  });
}

addEventListener("hashchange", show);
show();
