// Applies live updates to pages that also work without this script. New text of logs and streamed
// outputs is appended. For every other change, the page is fetched again and the differences applied.

const main = document.getElementById("main");
const PACE = 700;

// Replace only what differs, so that focus, playing media, open details and scrolling are kept.

function morph(before, after) {
  if (before.isEqualNode(after)) return;
  const same = before.nodeType === Node.ELEMENT_NODE && before.nodeName === after.nodeName && before.id === after.id;
  if (!same) return before.replaceWith(after);
  if (before.hasAttribute("data-still")) return;
  // The fetched page is older than the text appended here.
  if (source && before.dataset.at && Number(after.dataset.at) <= Number(before.dataset.at)) return;
  for (const { name } of [...before.attributes])
    if (!after.hasAttribute(name) && !(before.nodeName === "DETAILS" && name === "open")) before.removeAttribute(name);
  for (const { name, value } of after.attributes)
    if (before.getAttribute(name) !== value) before.setAttribute(name, value);
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

let fetching = false, again = false;

async function refresh() {
  if (fetching) { again = true; return; }
  fetching = true;
  try {
    const answer = await fetch(location.href, { headers: { accept: "text/html" } });
    if (answer.redirected || !answer.ok) return lose();
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    const fresh = page.getElementById("main");
    localize(fresh);
    morph(main, document.adoptNode(fresh));
    tail();
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
  for (const time of root.querySelectorAll("time[datetime]")) {
    const moment = new Date(time.dateTime);
    const today = moment.toDateString() === new Date().toDateString();
    time.title = time.dateTime;
    time.textContent = (today ? sameDay : otherDay).format(moment);
  }
}

const began = new WeakMap();

function tick() {
  for (const took of document.querySelectorAll(".took[data-seconds]")) {
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

// Receive the events.

const path = main.dataset.events?.split("?")[0];
let place = main.dataset.events?.split("?after=")[1] ?? "";
let source = null;

function lose() {
  stop();
  document.getElementById("lost").hidden = false;
}

function stop() {
  source?.close();
  source = null;
}

function listen() {
  if (!path || source) return;
  source = new EventSource(`${path}?after=${encodeURIComponent(place)}`);
  const on = (name, act) => source.addEventListener(name, event => {
    place = event.lastEventId;
    act(event.data);
  });
  on("changed", refresh);
  on("log", data => append("log", JSON.parse(data)));
  on("text", data => append("text", JSON.parse(data)));
  on("progress", progress);
  on("end", () => { stop(); ended = true; refresh(); });
  source.onerror = () => { if (source?.readyState === EventSource.CLOSED) lose(); };
}

let ended = false;

// Browsers open at most six connections per server, so hidden pages close theirs.
document.addEventListener("visibilitychange", () => {
  if (document.hidden) stop();
  else if (!ended) listen();
});

// Ctrl + Enter submits a form. If the form has problems, focus them.

for (const form of document.querySelectorAll("form[data-keys]")) {
  for (const note of form.querySelectorAll(".keys")) note.hidden = false;
  form.addEventListener("keydown", event => {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) form.requestSubmit();
  });
}
document.getElementById("problems")?.focus();

localize(document);
tail();
setInterval(tick, 200);
if (!document.hidden) listen();
