/** Tabs: one is chosen, by a click or with the arrows. */

/**
 * Listen to all tabs of the page.
 * @param {(tab: HTMLElement) => void} chosen Gets the tab that somebody chooses.
 * @returns {(tab: HTMLElement) => void} Marks a tab as the chosen one.
 */
export function listenToTabs(chosen) {
  const tabs = [...document.querySelectorAll("[role=tab]")];
  for (const [place, tab] of tabs.entries()) {
    tab.addEventListener("click", () => chosen(tab));
    tab.addEventListener("keydown", ({ key }) => {
      const step = { ArrowLeft: -1, ArrowRight: 1 }[key];
      if (step === undefined) return;
      const next = tabs.at((place + step) % tabs.length);
      next.focus();
      chosen(next);
    });
  }
  return (tab) => {
    for (const one of tabs) {
      one.setAttribute("aria-selected", one === tab);
      one.tabIndex = one === tab ? 0 : -1;
    }
  };
}
