/** Carrying things out of a page: to the clipboard, and to files. */

/**
 * Copy the text of an element.
 * @returns {Promise<boolean>} Whether that was allowed; else it is selected, for Ctrl C.
 */
export async function copy(element) {
  try {
    await navigator.clipboard.writeText(element.textContent);
    return true;
  } catch {
    getSelection().selectAllChildren(element); // Without TLS no page may write there.
    return false;
  }
}

/** Save a Blob as a file. Opened as a page, HTML would have this page's origin, and so its API: of no type, it cannot be. */
export function save(blob, name) {
  const url = URL.createObjectURL(new Blob([blob], { type: "application/octet-stream" }));
  Object.assign(document.createElement("a"), { href: url, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(url), 60_000);
}
