/** History and jobs: one of them is to be seen, as the fragment of the address says. */

import { refresh } from "../region.js";
import { listenToTabs } from "../tabs.js";
import { showJob } from "./job.js";

const tabs = [...document.querySelectorAll("[role=tab]")];
const panelOf = (tab) => document.getElementById(tab.getAttribute("aria-controls"));

const mark = listenToTabs((tab) => {
  location.hash = tab.id.replace("tab-", "");
});

function show() {
  const [name, job] = location.hash.slice(1).split("/");
  const chosen = tabs.find((tab) => tab.id === `tab-${name}`) ?? tabs[0];
  mark(chosen);
  for (const tab of tabs) panelOf(tab).hidden = tab !== chosen;
  for (const form of panelOf(chosen).querySelectorAll("[hx-get]")) refresh(`#${form.id}`);
  showJob(name === "jobs" ? job : undefined);
}

for (const tab of tabs) {
  // What nobody sees is not asked for.
  panelOf(tab).addEventListener("htmx:before:request", (event) => {
    if (panelOf(tab).hidden) event.preventDefault();
  });
}

addEventListener("hashchange", show);
show();
