/** The ways that photos come: dropped, pasted, chosen, or by their address. */

const IMAGE = /\.(jpe|jpe?g|jfif|png|webp|gif|bmp|hei[cf]|hif)$/i;

/**
 * @param {(sources: (File|string)[], unread?: string[]) => void} take Gets files and addresses, and
 *     the names of what could not be read.
 */
export function receive(take) {
  receiveDrops(take);
  receivePastes(take);
  receiveChosen(take);
  receiveAddresses(take);
}

function receiveDrops(take) {
  const mark = (isOver) => document.querySelector("#target").classList.toggle("over", isOver);
  document.addEventListener("dragover", (event) => {
    event.preventDefault();
    mark(true);
  });
  document.addEventListener("dragleave", (event) => {
    if (event.relatedTarget === null) mark(false);
  });
  document.addEventListener("drop", async (event) => {
    event.preventDefault();
    mark(false);
    const unread = [];
    take(await dropped(event.dataTransfer, unread), unread);
  });
}

async function dropped(transfer, unread) {
  // Items are gone after the first wait.
  const items = [...transfer.items].filter(({ kind }) => kind === "file");
  const found = items.map((item) => item.webkitGetAsEntry() ?? item.getAsFile());
  if (!found.length) return addresses(transfer);
  const files = [];
  for (const one of found) files.push(...(one instanceof File ? [one] : await readable(one, unread)));
  return files;
}

async function readable(entry, unread) {
  try {
    return await inside(entry, unread);
  } catch {
    unread.push(entry.name);
    return [];
  }
}

/** The files of what was dropped: of a folder its photos, also from deeper down. */
async function inside(entry, unread) {
  if (entry.isFile) return [await new Promise((good, bad) => entry.file(good, bad))];
  const reader = entry.createReader();
  const entries = [];
  for (let some; (some = await new Promise((good, bad) => reader.readEntries(good, bad))).length; ) entries.push(...some);
  entries.sort((one, other) => one.name.localeCompare(other.name, "en", { numeric: true }));
  const files = [];
  for (const one of entries) if (one.isDirectory || IMAGE.test(one.name)) files.push(...(await readable(one, unread)));
  return files;
}

function receivePastes(take) {
  document.addEventListener("paste", (event) => {
    const files = [...event.clipboardData.files];
    const isTyping = event.target.closest?.("input, textarea");
    const found = files.length || isTyping ? files : addresses(event.clipboardData);
    if (!found.length) return;
    event.preventDefault();
    take(found);
  });
}

/** Web addresses in what was dropped or pasted as text. */
function addresses(transfer) {
  const lines = (transfer.getData("text/uri-list") || transfer.getData("text/plain")).split(/\s+/);
  return lines.filter((line) => /^https?:/i.test(line) && URL.canParse(line));
}

function receiveChosen(take) {
  const input = document.querySelector("#files");
  document.querySelector("#pick").addEventListener("click", () => input.click());
  input.addEventListener("change", () => {
    take([...input.files]);
    input.value = ""; // The same photo may be chosen again.
  });
}

function receiveAddresses(take) {
  document.querySelector("#address").addEventListener("submit", (event) => {
    event.preventDefault();
    const field = event.target.querySelector("input");
    take([field.value.trim()]);
    field.value = "";
  });
}
