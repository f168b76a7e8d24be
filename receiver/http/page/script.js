// Keeps the page live: after each change, the script fetches the part that changes and replaces it, unless somebody is
// typing or has opened a form.
"use strict";

const holder = document.getElementById("board");
const live = document.getElementById("live");
const root = document.querySelector("header").dataset.root;
let wanted = false;
let fetching = false;

function busy() {
  if (holder.querySelector("details.do[open]")) return true;
  const fields = [...holder.querySelectorAll("input:not([type=hidden]):not([type=search])")];
  return fields.some((field) => field.value !== "" || field === document.activeElement);
}

function say(text, stale) {
  live.textContent = text;
  live.classList.toggle("stale", stale);
}

function address() {
  const url = new URL(location.href);
  url.searchParams.delete("done");
  const search = holder.querySelector("input[type=search]");
  if (search) url.searchParams.set("q", search.value);
  return url;
}

function put(fresh) {
  const search = holder.querySelector("input[type=search]");
  const place = search === document.activeElement ? search.selectionStart : null;
  const open = [...holder.querySelectorAll("details.folded")].map((one) => one.open);
  holder.replaceChildren(document.importNode(fresh, true));
  [...holder.querySelectorAll("details.folded")].forEach((one, place) => { one.open = Boolean(open[place]); });
  if (place === null) return;
  const field = holder.querySelector("input[type=search]");
  field.focus();
  field.setSelectionRange(place, place);
}

async function refresh() {
  if (fetching) { wanted = true; return; }
  fetching = true;
  wanted = false;
  const url = address();
  url.searchParams.set("part", "main");
  try {
    const answer = await fetch(url, { credentials: "same-origin", cache: "no-store" });
    if (answer.status === 401) { location.reload(); return; }
    if (!answer.ok) throw new Error(String(answer.status));
    const fresh = new DOMParser().parseFromString(await answer.text(), "text/html").querySelector("main");
    const search = holder.querySelector("input[type=search]");
    if (busy() || (search && search.value !== url.searchParams.get("q"))) { wanted = true; return; }
    put(fresh);
    document.title = fresh.dataset.title;
    say(fresh.dataset.at, false);
  } catch {
    say("connection lost: this page may be out of date", true);
    wanted = true;
  } finally {
    fetching = false;
  }
}

function refreshIfWanted() {
  if (wanted && !busy()) refresh();
}

const source = new EventSource(`${root}page/changes`);
source.addEventListener("message", (event) => {
  const main = holder.querySelector("main");
  if (main.dataset.version !== event.data || live.classList.contains("stale")) {
    wanted = true;
    refreshIfWanted();
  }
});
source.addEventListener("error", () => say("connection lost: this page may be out of date", true));

let typed = 0;
holder.addEventListener("input", (event) => {
  if (event.target.type !== "search") return;
  clearTimeout(typed);
  typed = setTimeout(() => {
    history.replaceState(null, "", address());
    refresh();
  }, 200);
});
holder.addEventListener("focusout", () => setTimeout(refreshIfWanted, 0));
holder.addEventListener("toggle", () => setTimeout(refreshIfWanted, 0), true);
setInterval(refreshIfWanted, 2000);
// The looks of a running rollout change no journal.
setInterval(() => { if (holder.querySelector("[data-live]") && !busy()) refresh(); }, 5000);
// Ages, such as "3 min ago", must grow even while nothing happens.
setInterval(() => { if (!busy()) refresh(); }, 30000);
