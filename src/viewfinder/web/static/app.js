const drop = document.querySelector("#drop");
const pick = document.querySelector("#pick");
const notice = document.querySelector("#notice");
const results = document.querySelector("#results");
const template = document.querySelector("#card");
const access = document.querySelector("#access");
const key = document.querySelector("#key");
const refusal = document.querySelector("#refusal");

function showCommand(withKey) {
  const header = withKey ? "-H 'X-API-Key: …' " : "";
  document.querySelector("#curl").textContent =
    `curl ${header}-F file=@photo.jpg ${location.origin}/v1/classify`;
}

function askForKey(why) {
  access.hidden = false;
  refusal.textContent = why;
  showCommand(true);
}

const percent = (fraction) => `${(100 * fraction).toFixed(1)}%`;

/** Ask the API, with the key of this tab if there is one. */
async function call(path, options = {}) {
  const known = sessionStorage.getItem("key");
  const response = await fetch(path, { ...options, headers: known ? { "X-API-Key": known } : {} });
  const answer = await response.json();
  if (response.ok) return answer;
  if (response.status === 401) {
    sessionStorage.removeItem("key");
    askForKey(known ? answer.detail : "");
  }
  const words = response.status === 401 && !known ? "Enter a key, then try again." : answer.detail;
  throw Object.assign(new Error(words), { status: response.status });
}

function showNotice(text) {
  notice.textContent = text;
  notice.hidden = !text;
}

function bar({ class: label, confidence }) {
  const item = document.createElement("li");
  item.style.setProperty("--share", percent(confidence));
  const name = Object.assign(document.createElement("span"), { textContent: label });
  const value = Object.assign(document.createElement("span"), { textContent: percent(confidence) });
  item.append(name, value);
  return item;
}

function ask(file) {
  const form = new FormData();
  form.append("file", file);
  return call("/v1/classify", { method: "POST", body: form });
}

async function classify(file) {
  const card = template.content.firstElementChild.cloneNode(true);
  const photo = card.querySelector(".photo");
  photo.src = URL.createObjectURL(file);
  photo.alt = file.name;
  photo.addEventListener("error", () => photo.remove(), { once: true });
  results.prepend(card);
  try {
    const answer = await ask(file);
    card.querySelector(".label").textContent = answer.class;
    card.querySelector(".bars").append(...answer.classes.map(bar));
    const { name, version, variant } = answer.model;
    card.querySelector(".timing").textContent =
      `${answer.timing_ms.total.toFixed(1)} ms on the server · ${name}@${version} ${variant}`;
  } catch (error) {
    if (error.status === 403) askForKey(error.message);
    card.classList.add("failed");
    card.querySelector(".label").textContent = file.name;
    // A TypeError is fetch's way to say that no answer came.
    card.querySelector(".timing").textContent =
      error instanceof TypeError ? "The server cannot be reached." : error.message;
  }
}

function classifyAll(files) {
  showNotice(files.length ? "" : "That was not a file. Drop or paste an image file.");
  for (const file of files) classify(file);
}

pick.addEventListener("change", () => {
  classifyAll([...pick.files]);
  pick.value = "";
});
for (const type of ["dragover", "dragleave", "drop"]) {
  document.addEventListener(type, (event) => {
    event.preventDefault();
    drop.classList.toggle("over", type === "dragover");
    if (type === "drop") classifyAll([...event.dataTransfer.files]);
  });
}
document.addEventListener("paste", (event) => classifyAll([...event.clipboardData.files]));

async function greet() {
  try {
    const answer = await call("/v1/models");
    document.querySelector("#model").textContent = `answered by ${answer.default}`;
    showNotice("");
  } catch (error) {
    // A key that does not read models may do for photos; for none at all there is the form.
    if (error.status === 401 || error.status === 403) return;
    // A TypeError is fetch's way to say that no answer came.
    showNotice(error instanceof TypeError ? "The server cannot be reached." : error.message);
  }
}

access.addEventListener("submit", (event) => {
  event.preventDefault();
  const given = key.value.trim();
  if (!/^[\x21-\x7e]+$/.test(given)) {
    refusal.textContent = "A key has no spaces, and letters of ASCII only.";
    return;
  }
  sessionStorage.setItem("key", given);
  key.value = "";
  access.hidden = true;
  refusal.textContent = "";
  greet();
});

showCommand(sessionStorage.getItem("key") !== null);
greet();
