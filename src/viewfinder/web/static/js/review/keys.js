/** What the keys do; none of them while somebody types, or scrolls, elsewhere. */

const FIELDS = "input, select, textarea, dialog, pre, .scroll";
const PRESSED_BY_ENTER = "button, a, summary";
const MOVES = { s: "skip", ArrowRight: "skip", ArrowLeft: "back", u: "undo", "?": "help", "/": "search" };
const CONFIRMS = new Set(["Enter", "y"]);

/** @param {object} acts What happens: `confirm`, `choose` (a place), `skip`, `back`, `undo`, `help`, `search`. */
export function listen(acts) {
  document.addEventListener("keydown", (event) => {
    if (event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey || event.isComposing) return;
    if (event.target.closest(FIELDS)) return;
    if (event.key === "Enter" && event.target.closest(PRESSED_BY_ENTER)) return;
    const act = actOf(event.key, acts);
    if (!act) return;
    // The letter itself goes into the field that is entered by it.
    if (!isLetter(event.key) || event.key in MOVES || CONFIRMS.has(event.key)) event.preventDefault();
    // A key that is held down says nothing of the photos that follow.
    if (!event.repeat) act(event);
  });
}

const isLetter = (key) => /^\p{L}$/u.test(key);

function actOf(key, acts) {
  if (key in MOVES) return acts[MOVES[key]];
  if (CONFIRMS.has(key)) return acts.confirm;
  if (/^[1-9]$/.test(key)) return () => acts.choose(Number(key) - 1);
  return isLetter(key) ? acts.search : null;
}
