/** What is asked of the API: in a form as people say it, in the address as the API says it. */

const fraction = (percents) => String(Number((percents / 100).toFixed(6)));
const percents = (fraction) => String(Number((fraction * 100).toFixed(4)));
const moment = (local) => new Date(local).toISOString();

function local(moment) {
  const date = new Date(moment);
  if (Number.isNaN(date.getTime())) return "";
  return new Date(date - date.getTimezoneOffset() * 60_000).toISOString().slice(0, 16);
}

const CONVERSIONS = {
  min_confidence: [fraction, percents],
  max_confidence: [fraction, percents],
  since: [moment, local],
  until: [moment, local],
};

/** The parameters that a form says; an empty field says nothing. */
export function queryOf(form) {
  const query = new URLSearchParams();
  for (const [name, value] of new FormData(form)) {
    if (value.trim()) query.set(name, CONVERSIONS[name]?.[0](value) ?? value.trim());
  }
  return query;
}

/** Have the address say what the form says. */
export function keep(form) {
  const query = queryOf(form);
  history.replaceState(null, "", `${location.pathname}${query.size ? `?${query}` : ""}${location.hash}`);
}

/** Have the form say what the address says, which somebody may have made up. */
export function take(form) {
  for (const [name, value] of new URLSearchParams(location.search)) {
    const field = form.elements.namedItem(name);
    if (field?.name) field.value = CONVERSIONS[name]?.[1](value) ?? value;
    if (field?.selectedIndex < 0) field.selectedIndex = 0;
  }
}
