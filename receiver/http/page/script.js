// Keeps the page live: after each change of the journal, the script fetches the board and replaces it, unless somebody
// is typing.
"use strict";

const holder = document.getElementById("board");
const live = document.getElementById("live");
let wanted = false;
let fetching = false;

function typing() {
  const fields = [...holder.querySelectorAll("input:not([type=hidden])")];
  return fields.some((field) => field.value !== "" || field === document.activeElement);
}

function say(text, stale) {
  live.textContent = text;
  live.classList.toggle("stale", stale);
}

async function refresh() {
  if (fetching) { wanted = true; return; }
  fetching = true;
  wanted = false;
  try {
    const answer = await fetch("page/board", { credentials: "same-origin", cache: "no-store" });
    if (answer.status === 401) { location.reload(); return; }
    if (!answer.ok) throw new Error(String(answer.status));
    const fresh = new DOMParser().parseFromString(await answer.text(), "text/html").querySelector("main");
    if (typing()) { wanted = true; return; }
    holder.replaceChildren(document.importNode(fresh, true));
    const frozen = Number(fresh.dataset.frozen);
    document.title = (frozen ? `❄ ${frozen} frozen – ` : "") + "Freezeline";
    say(fresh.dataset.at, false);
  } catch {
    say("connection lost: this page may be out of date", true);
    wanted = true;
  } finally {
    fetching = false;
  }
}

function refreshIfWanted() {
  if (wanted && !typing()) refresh();
}

const source = new EventSource("page/changes");
source.addEventListener("message", (event) => {
  const main = holder.querySelector("main");
  if (main.dataset.seq !== event.data || live.classList.contains("stale")) refresh();
});
source.addEventListener("error", () => say("connection lost: this page may be out of date", true));
holder.addEventListener("focusout", () => setTimeout(refreshIfWanted, 0));
setInterval(refreshIfWanted, 2000);
// The looks of a running rollout change no journal.
setInterval(() => { if (holder.querySelector("[data-live]") && !typing()) refresh(); }, 5000);
// Ages, such as "3 min ago", must grow even while nothing happens.
setInterval(() => { if (!typing()) refresh(); }, 30000);
