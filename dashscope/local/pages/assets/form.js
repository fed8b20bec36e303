// The form of a model: runs it without leaving the page, and makes its fields more comfortable.
// Everything works without this script too, with a request for each step.

export function start({ parse, refresh, show }) {

const form = document.querySelector("form[data-keys]");
const runs = form.id === "form";
const code = document.getElementById("code");
const by = id => document.getElementById(id);

// Run the model, and show the result next to the form.

async function run() {
  by("run").disabled = true;
  try {
    const answer = await fetch(form.action, { method: "POST", body: new FormData(form) });
    const page = parse(await answer.text());
    if (answer.redirected && !page.getElementById("form")) return location.assign(answer.url);
    if (answer.ok && answer.redirected) history.pushState(null, "", answer.url);
    if (answer.ok || answer.status === 422) showProblems(page);
    else showFailure(page.querySelector("main p")?.textContent ?? answer.statusText);
    if (answer.ok) {
      show(page);
      // On a phone, the output is below the form.
      const output = by("output");
      if (output.getBoundingClientRect().top > innerHeight * 0.7) output.scrollIntoView({ block: "start" });
    }
  } catch (error) {
    showFailure(`The server cannot be reached (${error.message}).`);
  } finally {
    by("run").disabled = false;
  }
}

function showProblems(page) {
  by("summary").replaceWith(document.adoptNode(page.getElementById("summary")));
  for (const field of form.querySelectorAll("[data-field]")) {
    clear(field);
    const fresh = page.getElementById(`input-${field.dataset.field}-problem`);
    if (fresh) mark(field, document.adoptNode(fresh));
  }
  by("problems")?.focus();
}

function showFailure(text) {
  const alert = document.createElement("div");
  alert.className = "alert";
  alert.id = "problems";
  alert.tabIndex = -1;
  alert.setAttribute("role", "alert");
  alert.textContent = text;
  by("summary").replaceChildren(alert);
  alert.focus();
}

function control(field) {
  return by(`input-${field.dataset.field}`);
}

function mark(field, problem) {
  field.classList.add("wrong");
  field.append(problem);
  const described = control(field);
  described.setAttribute("aria-invalid", "true");
  described.setAttribute("aria-describedby", `${described.getAttribute("aria-describedby") ?? ""} ${problem.id}`.trim());
}

function clear(field) {
  const problem = by(`input-${field.dataset.field}-problem`);
  if (!problem) return;
  problem.remove();
  field.classList.remove("wrong");
  const described = control(field);
  described.removeAttribute("aria-invalid");
  const rest = (described.getAttribute("aria-describedby") ?? "").split(" ").filter(id => id !== problem.id);
  if (rest.join("")) described.setAttribute("aria-describedby", rest.join(" "));
  else described.removeAttribute("aria-describedby");
}

if (runs) {
  // The server explains problems next to the fields. The browser would only show one at a time.
  form.noValidate = true;
  form.addEventListener("submit", event => { event.preventDefault(); run(); });
  addEventListener("popstate", refresh);
}

// Write the code for the current inputs.

let typed = 0, writing = null;

async function write() {
  const inputs = new FormData(form);
  for (const [name, value] of [...inputs]) if (value instanceof File) inputs.delete(name);
  writing?.abort();
  writing = new AbortController();
  try {
    const answer = await fetch(form.dataset.code, { method: "POST", body: inputs, signal: writing.signal });
    if (!answer.ok) return;
    by("snippets").replaceChildren(...document.adoptNode(parse(await answer.text()).body).childNodes);
    for (const button of code.querySelectorAll("[data-copy]")) button.hidden = false;
  } catch {
    // The next change writes it again.
  }
}

function changed() {
  clearTimeout(typed);
  if (code) typed = setTimeout(write, 120);
}

form.addEventListener("input", event => {
  const field = event.target.closest("[data-field]");
  if (field) clear(field);
  changed();
});

if (code) {
  const choose = code.querySelectorAll("input[name=language]");
  const kept = localStorage.getItem("language");
  for (const radio of choose) {
    if (radio.value === kept) radio.checked = true;
    radio.addEventListener("change", () => localStorage.setItem("language", radio.value));
  }
}

function set(field, value) {
  field.value = value;
  field.dispatchEvent(new Event("input", { bubbles: true }));
}

// Sliders and random seeds.

for (const slider of form.querySelectorAll("[data-slides]")) {
  const number = by(slider.dataset.slides);
  slider.hidden = false;
  slider.addEventListener("input", () => { number.value = slider.value; });
  number.addEventListener("input", () => { if (number.value) slider.value = number.value; });
}

for (const button of form.querySelectorAll("[data-random]")) {
  const number = by(button.dataset.random);
  button.hidden = false;
  button.addEventListener("click", () => {
    const low = Number(number.min || 0), high = Number(number.max || 2 ** 31 - 1);
    set(number, low + Math.floor(Math.random() * (high - low + 1)));
  });
}

// Lists of texts and numbers, with a field for each item. The text area keeps the JSON.

for (const area of form.querySelectorAll("[data-list]")) edit(area);

function edit(area) {
  const numeric = area.dataset.list !== "string";
  const label = form.querySelector(`label[for="${CSS.escape(area.id)}"]`)?.firstChild.textContent.trim() ?? "Item";
  const items = document.createElement("div");
  const add = document.createElement("button");
  add.type = "button";
  add.className = "tool";
  add.textContent = "Add";
  add.setAttribute("aria-label", `Add to ${label}`);
  const editor = document.createElement("div");
  editor.className = "list";
  editor.append(items, add);
  const read = () => [...items.querySelectorAll("input")].map(({ value }) => numeric && value !== "" && !isNaN(value) ? Number(value) : value);
  const write = () => {
    const values = read();
    set(area, values.length ? JSON.stringify(values) : area.dataset.empty ?? "");
  };
  const append = value => {
    const row = document.createElement("div"), input = document.createElement("input"), remove = document.createElement("button");
    const number = items.children.length + 1;
    row.className = "list-row";
    input.type = "text";
    if (numeric) input.inputMode = "decimal";
    input.value = value;
    input.setAttribute("aria-label", `${label} ${number}`);
    input.addEventListener("input", event => { event.stopPropagation(); write(); });
    remove.type = "button";
    remove.className = "tool";
    remove.textContent = "Remove";
    remove.setAttribute("aria-label", `Remove ${label} ${number}`);
    remove.addEventListener("click", () => { row.remove(); write(); (items.querySelector("input") ?? add).focus(); });
    row.append(input, remove);
    items.append(row);
    return input;
  };
  const fill = () => {
    let values = [];
    try { values = area.value.trim() ? JSON.parse(area.value) : []; } catch { return false; }
    if (!Array.isArray(values) || values.some(value => typeof value === "object")) return false;
    values.forEach(append);
    return true;
  };
  // What is not a plain list stays JSON.
  if (!fill()) return;
  if (area.required || area.value.trim() === "[]") area.dataset.empty = "[]";
  add.addEventListener("click", () => { append("").focus(); write(); });
  area.before(editor);
  area.classList.add("unseen");
  for (const hint of area.closest("[data-field]").querySelectorAll(".json-hint")) hint.hidden = true;
  area.tabIndex = -1;
  area.addEventListener("focus", () => (items.querySelector("input") ?? add).focus());
}

// Files: upload at once, so that the form has their URLs, the code is short, and a run sends no file.

async function upload(field, files) {
  const target = control(field), several = field.dataset.kind === "files";
  clear(field);
  field.classList.add("busy");
  try {
    for (const file of several ? files : files.slice(-1)) {
      const body = new FormData();
      body.append("file", file);
      const answer = await fetch(form.dataset.upload, { method: "POST", body });
      if (!answer.ok) throw new Error(parse(await answer.text()).querySelector("main p")?.textContent ?? answer.statusText);
      place(target, await answer.json(), several);
    }
  } catch (error) {
    const problem = document.createElement("p");
    problem.className = "problem";
    problem.id = `${target.id}-problem`;
    problem.textContent = `The file was not uploaded: ${error.message}`;
    mark(field, problem);
  } finally {
    field.classList.remove("busy");
  }
}

const MEDIA = { image: "img", audio: "audio", video: "video" };

function place(target, { url, preview, kind, name }, several) {
  const shown = by(`${target.id}-shown`);
  const media = document.createElement(MEDIA[kind] ?? "span");
  if (kind in MEDIA) {
    media.src = preview;
    if (kind === "image") media.alt = name;
    else { media.controls = true; media.setAttribute("aria-label", name); }
  } else {
    media.textContent = name;
  }
  if (several) shown.append(media);
  else shown.replaceChildren(media);
  target.dataset.shown = several ? "" : url;
  set(target, several && target.value.trim() ? `${target.value.trim()}\n${url}` : url);
}

for (const field of form.querySelectorAll("[data-kind=file], [data-kind=files]")) {
  const chooser = field.querySelector("input[type=file]"), zone = field.querySelector(".drop");
  const target = control(field);
  for (const tip of field.querySelectorAll(".tip")) tip.hidden = false;
  const take = files => { if (files.length) upload(field, [...files]); };
  chooser.addEventListener("change", () => { take([...chooser.files]); chooser.value = ""; });
  zone.addEventListener("dragover", event => { event.preventDefault(); zone.classList.add("over"); });
  zone.addEventListener("dragleave", () => zone.classList.remove("over"));
  zone.addEventListener("drop", event => {
    event.preventDefault();
    zone.classList.remove("over");
    const text = event.dataTransfer.getData("text/uri-list");
    if (event.dataTransfer.files.length) take(event.dataTransfer.files);
    else if (text) set(target, text);
  });
  field.addEventListener("paste", event => {
    if (!event.clipboardData.files.length) return;
    event.preventDefault();
    take(event.clipboardData.files);
  });
  target.addEventListener("input", () => {
    if (target.value !== target.dataset.shown && field.dataset.kind === "file") by(`${target.id}-shown`).replaceChildren();
  });
}

// Use an output as an input.

document.addEventListener("click", ({ target }) => {
  const button = target.closest("[data-use]");
  if (!button) return;
  const field = by(button.dataset.use);
  const { url, preview, kind, source } = button.dataset;
  if (url) {
    const several = field.closest("[data-field]").dataset.kind === "files";
    const name = button.closest("figure").querySelector("figcaption a")?.textContent ?? "The file";
    place(field, { url, preview, kind, name }, several);
  } else {
    set(field, by(source).textContent);
  }
  field.focus();
});

}
