// Applies live updates to pages that also work without this script. New text of logs and streamed
// outputs is appended, and changed rows of lists are replaced. For every other change, the page is
// fetched again and the differences applied.

const main = document.getElementById("main");
const PACE = 700;

// Replace only what differs, so that focus, playing media, open details and scrolling are kept.

function morph(before, after) {
  if (before.isEqualNode(after)) return;
  const same = before.nodeType === Node.ELEMENT_NODE && before.nodeName === after.nodeName && before.id === after.id;
  if (!same) return before.replaceWith(after);
  if (before.hasAttribute("data-still")) return;
  // The fetched page is older than the text appended here.
  if (listens() && before.dataset.at && Number(after.dataset.at) <= Number(before.dataset.at)) return;
  const kept = name => (before.nodeName === "DETAILS" && name === "open") || (name === "hidden" && before.nodeName === "BUTTON");
  for (const { name } of [...before.attributes])
    if (!after.hasAttribute(name) && !kept(name)) before.removeAttribute(name);
  for (const { name, value } of after.attributes)
    if (before.getAttribute(name) !== value && !kept(name)) before.setAttribute(name, value);
  const known = new Map([...before.children].filter(child => child.id).map(child => [child.id, child]));
  let place = before.firstChild;
  for (const child of [...after.childNodes]) {
    const twin = child.id ? known.get(child.id) : place && !place.id && place.nodeName === child.nodeName ? place : null;
    if (!twin) {
      before.insertBefore(child, place);
    } else {
      if (twin === place) place = place.nextSibling;
      else before.insertBefore(twin, place);
      morph(twin, child);
    }
  }
  while (place) {
    const next = place.nextSibling;
    place.remove();
    place = next;
  }
}

function parse(text) {
  return new DOMParser().parseFromString(text, "text/html");
}

// Show a fetched page in place of this one. The form that is being filled in stays.

function show(page) {
  const fresh = page.getElementById("main");
  localize(fresh);
  morph(main, document.adoptNode(fresh));
  document.title = page.title;
  equip(main);
  tail();
  listen();
}

let fetching = false, again = false;

async function refresh() {
  if (fetching) { again = true; return; }
  fetching = true;
  const url = location.href;
  try {
    const answer = await fetch(url, { headers: { accept: "text/html" } });
    if (answer.redirected || !answer.ok) return lose();
    const text = await answer.text();
    if (url === location.href) show(parse(text));
  } catch {
    // The server cannot be reached. The event source keeps reconnecting.
  } finally {
    setTimeout(() => { fetching = false; if (again) { again = false; refresh(); } }, PACE);
  }
}

// Show times in the local time zone, and count the seconds of running jobs.

const sameDay = new Intl.DateTimeFormat([], { hour: "2-digit", minute: "2-digit", second: "2-digit" });
const otherDay = new Intl.DateTimeFormat([], { dateStyle: "medium", timeStyle: "short" });

function localize(root) {
  const today = new Date().toDateString();
  for (const time of root.querySelectorAll("time[datetime]")) {
    const moment = new Date(time.dateTime);
    time.title = time.dateTime;
    time.textContent = (moment.toDateString() === today ? sameDay : otherDay).format(moment);
  }
}

const began = new WeakMap();

function tick() {
  for (const took of document.querySelectorAll("#rows .took[data-seconds], #status .took[data-seconds]")) {
    const said = took.dataset.seconds;
    if (began.get(took)?.said !== said) began.set(took, { said, at: performance.now() - said * 1000 });
    const seconds = (performance.now() - began.get(took).at) / 1000;
    took.textContent = seconds < 60 ? `${seconds.toFixed(1)} s` : `${Math.floor(seconds / 60)} min ${Math.floor(seconds % 60)} s`;
  }
}

// Append text to logs and outputs.

const left = new WeakSet();

function tail() {
  for (const element of document.querySelectorAll("[data-tail], [data-follows]"))
    if (!left.has(element)) element.scrollTop = element.scrollHeight;
}

document.addEventListener("scroll", ({ target }) => {
  if (target === document) return;
  // Do not scroll to the end if the reader has scrolled up.
  if (target.scrollTop + target.clientHeight < target.scrollHeight - 8) left.add(target);
  else left.delete(target);
}, true);

const shown = new WeakMap();

function append(id, { from, to, text }) {
  const element = document.getElementById(id);
  const at = Number(element?.dataset.at);
  if (!element || (from > at && !("tail" in element.dataset))) return refresh();
  if (to <= at) return;
  if (from < at) text = [...text].slice(at - from).join("");
  element.dataset.at = to;
  const limit = Number(element.dataset.limit);
  let length = (shown.get(element) ?? element.textContent.length) + text.length;
  if ("tail" in element.dataset) {
    element.append(text);
    while (length > limit && element.childNodes.length > 1) {
      length -= element.firstChild.length;
      element.firstChild.remove();
    }
    tail();
  } else if (length <= limit) {
    element.append(text);
    tail();
  } else {
    refresh();
  }
  shown.set(element, length);
}

function progress(percent) {
  const bar = document.getElementById("progress");
  if (bar) bar.value = percent;
  else refresh();
}

// Replace the rows of a list that changed. Rows of older pages stay below.

function fragment(html) {
  const template = document.createElement("template");
  template.innerHTML = html;
  localize(template.content);
  return template.content;
}

function replaceRows({ order, rows, counts }) {
  const list = document.getElementById("rows");
  const said = document.getElementById("counts");
  if (said && said.textContent !== counts) said.textContent = counts;
  let next = null;
  const last = order.length ? document.getElementById(`row-${order.at(-1)}`) : null;
  if (last) next = last.nextElementSibling;
  const kept = new Set(order.map(id => `row-${id}`));
  for (const row of [...list.children]) {
    if (row === next && last) break;
    if (!kept.has(row.id) && (last || !order.length)) row.remove();
  }
  if (!last && order.length) next = list.firstElementChild;
  for (const id of [...order].reverse()) {
    let row = document.getElementById(`row-${id}`);
    if (id in rows) {
      const fresh = fragment(rows[id]).firstElementChild;
      if (row) morph(row, fresh);
      else row = fresh;
    }
    if (!row) { next = null; continue; }
    if (row.nextElementSibling !== next || row.parentNode !== list) list.insertBefore(row, next);
    next = row;
  }
}

// Receive the events: those of the job in `data-events`, and those of the list in `data-rows`.

const sources = new Map();

function listens() {
  return sources.size > 0;
}

function lose() {
  stop();
  document.getElementById("lost").hidden = false;
}

function stop() {
  for (const { source } of sources.values()) source.close();
  sources.clear();
}

const places = new Map(), ended = new Set();

function listen() {
  if (document.hidden) return;
  const rows = document.getElementById("rows")?.dataset;
  const wanted = new Map();
  if (main.dataset.events) wanted.set(main.dataset.events.split("?")[0], main.dataset.events.split("?after=")[1]);
  if (rows?.rows) wanted.set(rows.rows, rows.after);
  for (const [path, { source }] of sources)
    if (!wanted.has(path)) { source.close(); sources.delete(path); }
  for (const [path, after] of wanted)
    if (!sources.has(path) && !ended.has(path)) open(path, places.get(path) ?? after);
}

function open(path, after) {
  const source = new EventSource(`${path}${path.includes("?") ? "&" : "?"}after=${encodeURIComponent(after)}`);
  sources.set(path, { source });
  const on = (name, act) => source.addEventListener(name, event => {
    places.set(path, event.lastEventId);
    act(event.data);
  });
  on("changed", refresh);
  on("rows", data => replaceRows(JSON.parse(data)));
  on("log", data => append("log", JSON.parse(data)));
  on("text", data => append("text", JSON.parse(data)));
  on("progress", progress);
  on("end", () => { source.close(); sources.delete(path); ended.add(path); refresh(); });
  source.onerror = () => { if (source.readyState === EventSource.CLOSED && sources.has(path)) lose(); };
}

// Browsers open at most six connections per server, so hidden pages close theirs.
document.addEventListener("visibilitychange", () => document.hidden ? stop() : listen());

// Show what only works with this script, and load older rows when the end of a list is near.

const near = new IntersectionObserver(entries => {
  for (const { isIntersecting, target } of entries) if (isIntersecting) loadOlder(target);
}, { rootMargin: "1500px" });

let loading = false;

async function loadOlder(link) {
  const list = document.getElementById("rows");
  if (loading || !list || !link.isConnected) return;
  loading = true;
  try {
    const page = parse(await (await fetch(link.href)).text());
    // One list for each page: the browser then skips whole pages that are not on the screen.
    const older = document.adoptNode(page.getElementById("rows"));
    for (const row of [...older.children]) if (document.getElementById(row.id)) row.remove();
    localize(older);
    const number = document.querySelectorAll(".older").length + 2;
    older.setAttribute("aria-label", `${list.ariaLabel}, page ${number}`);
    older.removeAttribute("id");
    older.classList.add("older");
    older.style.setProperty("--count", older.children.length);
    list.classList.add("continued");
    document.getElementById("pages").before(older);
    near.unobserve(link);
    const next = page.querySelector("#pages a[rel=next]");
    if (next) link.replaceWith(next);
    else link.remove();
    if (next) near.observe(next);
  } catch {
    // The link still leads to the older rows.
  } finally {
    loading = false;
  }
}

function equip(root) {
  for (const button of root.querySelectorAll("[data-copy][hidden], [data-compare][hidden]")) button.hidden = false;
  for (const button of root.querySelectorAll("[data-use][hidden]")) button.hidden = !document.getElementById("form");
  for (const link of root.querySelectorAll("#pages a[rel=next]")) near.observe(link);
}

// Filter a list while typing.

const filters = document.getElementById("filters");
let typed = 0, filtering = null;

async function filter() {
  const given = new URLSearchParams([...new FormData(filters)].filter(([, value]) => value));
  const query = given.toString();
  history.replaceState(null, "", query ? `?${query}` : location.pathname);
  filtering?.abort();
  filtering = new AbortController();
  try {
    const answer = await fetch(location.href, { signal: filtering.signal });
    if (!answer.ok || answer.redirected) return lose();
    const page = parse(await answer.text());
    const fresh = page.getElementById("list");
    localize(fresh);
    morph(document.getElementById("list"), document.adoptNode(fresh));
    equip(main);
    listen();
  } catch (error) {
    if (error.name !== "AbortError") lose();
  }
}

filters?.addEventListener("input", event => {
  clearTimeout(typed);
  typed = setTimeout(filter, event.target.type === "search" ? 150 : 0);
});
filters?.addEventListener("submit", event => { event.preventDefault(); filter(); });

// Copy, zoom and compare.

async function copy(button) {
  const text = document.getElementById(button.dataset.copy).textContent;
  try {
    await navigator.clipboard.writeText(text);
  } catch {
    // Pages that are not from this machine or over TLS have no clipboard.
    const area = document.createElement("textarea");
    area.value = text;
    document.body.append(area);
    area.select();
    document.execCommand("copy");
    area.remove();
  }
  button.textContent = "Copied";
  setTimeout(() => { button.textContent = "Copy"; }, 1500);
}

function element(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.append(...children);
  return made;
}

function dialog(label, ...content) {
  const close = element("button", { type: "button", class: "quiet" }, "Close");
  const made = element("dialog", { "aria-label": label, class: "viewer" }, ...content, close);
  close.onclick = () => made.close();
  made.onclick = event => { if (event.target === made) made.close(); };
  made.addEventListener("close", () => made.remove());
  document.body.append(made);
  made.showModal();
  return made;
}

function zoom(link) {
  const links = [...document.querySelectorAll("#output a.zoom")];
  const around = links.includes(link) ? links : [link];
  let at = around.indexOf(link);
  const image = element("img", { src: link.href, alt: link.firstElementChild.alt });
  const label = element("p", { class: "note" });
  const go = step => {
    at = (at + step + around.length) % around.length;
    image.src = around[at].href;
    image.alt = around[at].firstElementChild.alt;
    label.textContent = around.length > 1 ? `${at + 1} of ${around.length}` : "";
  };
  const button = (text, name, step) => {
    const made = element("button", { type: "button", class: "quiet", "aria-label": name }, text);
    made.onclick = () => go(step);
    return made;
  };
  const steps = around.length > 1 ? [button("←", "Previous image", -1), button("→", "Next image", 1)] : [];
  const made = dialog("Image", image, label, ...steps);
  made.addEventListener("keydown", event => {
    if (event.key === "ArrowLeft") go(-1);
    if (event.key === "ArrowRight") go(1);
  });
  go(0);
}

function compare({ dataset }) {
  const before = element("img", { src: dataset.compare, alt: "The input", class: "first" });
  const after = element("img", { src: dataset.with, alt: "The output" });
  const range = element("input", { type: "range", min: 0, max: 100, value: 50, "aria-label": "Share of the input" });
  const both = element("div", { class: "compare" }, after, before);
  const split = () => both.style.setProperty("--split", `${range.value}%`);
  range.oninput = split;
  split();
  dialog("Input and output", both, range);
}

document.addEventListener("click", event => {
  const target = event.target.closest("a.zoom, button");
  if (!target || event.ctrlKey || event.metaKey || event.shiftKey) return;
  if (target.matches("a.zoom")) { event.preventDefault(); zoom(target); }
  else if (target.dataset.copy) copy(target);
  else if (target.dataset.compare) compare(target);
});

// Submit a button's form without leaving the page.

document.addEventListener("submit", async event => {
  const form = event.target;
  if (!("quiet" in form.dataset)) return;
  event.preventDefault();
  try {
    await fetch(form.action, { method: "POST", redirect: "manual" });
  } finally {
    refresh();
  }
});

// Ctrl + Enter submits a form. If the form has problems, focus them.

for (const form of document.querySelectorAll("form[data-keys]")) {
  for (const note of form.querySelectorAll(".keys")) {
    note.hidden = false;
    if (/Mac|iP/.test(navigator.platform)) note.textContent = "or ⌘ + Enter";
  }
  form.addEventListener("keydown", event => {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) form.requestSubmit();
  });
}
document.getElementById("problems")?.focus();

document.documentElement.classList.add("scripted");
localize(document);
equip(document);
tail();
setInterval(tick, 200);
if (document.querySelector("form[data-keys]")) {
  // The query identifies the files, so that browsers do not combine files of two releases.
  const { start } = await import(`./form.js${new URL(import.meta.url).search}`);
  start({ parse, refresh, show });
}
listen();
