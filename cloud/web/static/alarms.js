// Keeps pages of alarms current: each step of an alarm's life comes as an event, upon which the
// same page is fetched again. That is also done every 5 s, so nothing depends on events alone.

const REFRESH_MS = 5000;
const SOON_MS = 80;
const QUIET_MS = 12000; // HQ sends something every 5 s
const STALE_MS = 20000;

const main = document.getElementById("main");
const link = document.getElementById("link");
const failure = document.getElementById("failure");
const news = document.getElementById("news");

let source = null;
let heardAt = performance.now(); // when the last event came
let currentAt = performance.now(); // when anything at all last came
let timer = 0;
let busy = false;
let again = false;

function show(state) {
  link.hidden = false;
  link.dataset.now = state;
  if (link.textContent !== link.dataset[state]) link.textContent = link.dataset[state];
  main.classList.toggle("stale", state === "stale");
  failure.hidden = state !== "stale";
}

function heard() {
  heardAt = currentAt = performance.now();
  show("live");
}

function onAlarm(event) {
  heard();
  const { moment, alarm } = JSON.parse(event.data);
  const begins = moment.step === "raised" || moment.step === "worsened";
  if (begins && alarm.severity === "critical" && !alarm.drill) {
    news.textContent = `${news.dataset.word} ${alarm.title}`;
    news.hidden = false;
  }
  refreshIn(SOON_MS);
}

function connect() {
  disconnect();
  if (document.hidden) return;
  heardAt = performance.now();
  source = new EventSource(main.dataset.alarms);
  source.addEventListener("beat", heard);
  source.addEventListener("alarm", onAlarm);
  source.addEventListener("reload", () => refreshIn(SOON_MS));
  source.addEventListener("open", () => {
    heard();
    refreshIn(SOON_MS);
  });
  // A stream that HQ ended is open again in 2 s; only what takes longer is worth a word.
  source.addEventListener("error", () => {
    const brokeAt = performance.now();
    setTimeout(() => heardAt < brokeAt && currentAt + STALE_MS > performance.now() && show("reconnecting"), 3500);
  });
}

function disconnect() {
  source?.close();
  source = null;
}

function refreshIn(ms) {
  if (busy) again = again || ms < REFRESH_MS;
  clearTimeout(timer);
  timer = setTimeout(refresh, ms);
}

async function refresh() {
  if (document.hidden) return;
  if (busy) {
    again = true;
    return;
  }
  busy = true;
  try {
    const answer = await fetch(location.href, { headers: { Accept: "text/html" }, signal: AbortSignal.timeout(10000) });
    if (answer.redirected) return location.reload();
    if (answer.ok) {
      take(new DOMParser().parseFromString(await answer.text(), "text/html"));
      currentAt = performance.now();
    }
  } catch (error) {
    if (!(error instanceof TypeError || error instanceof DOMException)) throw error;
  } finally {
    busy = false;
    const soon = again;
    again = false;
    refreshIn(soon ? SOON_MS : REFRESH_MS);
  }
}

// What is typed into or opened stays as it is until it is left.
const inUse = (part) => part.contains(document.activeElement) || part.querySelector("details.shelve[open]");
const parts = (root) => [...root.querySelectorAll("[data-part]")];

function take(page) {
  document.title = page.title;
  const there = parts(page.getElementById("main"));
  const here = parts(main);
  // A part that is new, the figures of a trip say, stands where the page has it.
  for (const [i, part] of there.entries()) {
    if (here.some((each) => each.dataset.part === part.dataset.part)) continue;
    const before = here.find((each) => each.dataset.part === there[i - 1]?.dataset.part);
    (before ?? main.lastElementChild).after(part.cloneNode(true));
  }
  for (const part of here) {
    const fresh = there.find((each) => each.dataset.part === part.dataset.part);
    if (fresh && part.innerHTML !== fresh.innerHTML && !inUse(part)) part.replaceWith(fresh);
  }
}

function look() {
  if (document.hidden) return;
  const now = performance.now();
  if (now - currentAt > STALE_MS) show("stale");
  else if (now - heardAt > QUIET_MS) show("reconnecting");
  if (now - heardAt > QUIET_MS) connect();
}

// Hidden tabs hold no connection: a browser has six for one server.
document.addEventListener("visibilitychange", () => {
  if (document.hidden) return disconnect();
  connect();
  refreshIn(0);
});
document.getElementById("retry").addEventListener("click", () => {
  connect();
  refreshIn(0);
});
addEventListener("pagehide", disconnect);

connect();
refreshIn(REFRESH_MS);
setInterval(look, 1000);
