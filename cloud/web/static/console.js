// Keeps the overview current: fast values come as events; everything else is taken from the same
// page, fetched again. That second way also does alone when there are no events.

const REFRESH_MS = 5000;
const SOON_MS = 400;
const SOON_ALARM_MS = 80;
const QUIET_MS = 12000; // HQ sends something every 5 s
const STALE_MS = 20000;
const STALE_VALUE_S = 45; // three times the 15 s in which a charge point reports while it charges

const main = document.getElementById("main");
const link = document.getElementById("link");
const failure = document.getElementById("failure");
const started = performance.now();

let source = null;
let alarms = null;
let heardAt = started; // when the last event came
let currentAt = started; // when anything at all last came
let timer = 0;
let busy = false;

const text = (element, value) => {
  if (element && element.textContent !== value) element.textContent = value;
};

// Numbers as the server writes them: whole units in, rounded half up.
const fixed = (value, unit, places) => {
  if (value === null || value === undefined) return "–";
  const scaled = Math.floor((Math.abs(value) * 10 ** places) / unit + 0.5);
  return `${value < 0 ? "-" : ""}${(scaled / 10 ** places).toFixed(places)}`;
};
const plain = (value) => (value === null || value === undefined ? "–" : String(value));

function showState(tile, status) {
  const word = document.querySelector(`#words template[data-state="${CSS.escape(status)}"]`);
  if (tile.dataset.state === status || !word) return;
  tile.classList.remove(`is-${tile.dataset.state}`);
  tile.classList.add(`is-${status}`);
  tile.dataset.state = status;
  tile.querySelector(".word").replaceChildren(word.content.cloneNode(true));
}

// What means nothing unless the connector charges.
function showCharging(tile, now) {
  text(tile.querySelector("[data-cell=power]"), fixed(now.power_w, 1000, 1));
  text(tile.querySelector("[data-cell=left]"), plain(now.remaining_min));
}

function showValues(tile, now) {
  const cells = {};
  for (const cell of tile.querySelectorAll("[data-cell]")) cells[cell.dataset.cell] = cell;
  showCharging(tile, now.status === "charging" ? now : {});
  text(cells.energy, fixed(now.energy_dwh, 10000, 2));
  text(cells.amount, now.amount_fen === null ? "–" : `¥${fixed(now.amount_fen, 100, 2)}`);
  text(cells.soc, plain(now.soc_percent));
  text(cells.battery, plain(now.battery_temp_max_c));
  tile.dataset.ageS = "0";
  tile.heardAt = performance.now();
}

function onLive(event) {
  heard();
  const update = JSON.parse(event.data);
  const station = main.querySelector(`[data-station="${CSS.escape(update.station_no)}"]`);
  if (!station) return;
  for (const now of update.connectors) {
    const key = `${now.charge_point_no}:${now.connector_no}`;
    const tile = station.querySelector(`[data-connector="${CSS.escape(key)}"]`);
    if (!tile) continue;
    if (tile.dataset.state !== now.status) refreshIn(SOON_MS);
    showState(tile, now.status);
    // A mere change of state carries no values, and ends those of charging.
    if ("power_w" in now) showValues(tile, now);
    else if (now.status !== "charging") showCharging(tile, {});
  }
}

function heard() {
  heardAt = currentAt = performance.now();
  show("live");
}

function show(state) {
  link.hidden = false;
  link.dataset.now = state;
  text(link, link.dataset[state]);
  main.classList.toggle("stale", state === "stale");
  failure.hidden = state !== "stale";
}

function connect() {
  disconnect();
  if (document.hidden) return;
  // Alarms are not part of any station's values; each of their steps makes the page fetched anew.
  alarms = new EventSource(main.dataset.alarms);
  alarms.addEventListener("alarm", () => refreshIn(SOON_ALARM_MS));
  if (!main.dataset.stream) return;
  heardAt = performance.now();
  source = new EventSource(main.dataset.stream);
  source.addEventListener("beat", heard);
  source.addEventListener("live", onLive);
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
  alarms?.close();
  source = alarms = null;
}

function refreshIn(ms) {
  clearTimeout(timer);
  timer = setTimeout(refresh, ms);
}

async function refresh() {
  if (busy || document.hidden) return refreshIn(REFRESH_MS);
  busy = true;
  try {
    const answer = await fetch(location.href, {
      headers: { Accept: "text/html" },
      signal: AbortSignal.timeout(10000),
    });
    if (answer.redirected) return location.reload();
    if (answer.ok) {
      take(new DOMParser().parseFromString(await answer.text(), "text/html"));
      currentAt = performance.now();
      if (!main.dataset.stream) show("live");
    }
  } catch (error) {
    if (!(error instanceof TypeError || error instanceof DOMException)) throw error;
  } finally {
    busy = false;
  }
  refreshIn(REFRESH_MS);
}

// What is pointed at or typed into stays as it is until it is left.
const inUse = (part) =>
  part.contains(document.activeElement) ||
  (part.dataset.part === "orders" && matchMedia("(hover: hover)").matches && part.matches(":hover"));

const parts = (root) => [...root.querySelectorAll("[data-part]")].filter((part) => part.dataset.part !== "stations");

function take(page) {
  document.title = page.title;
  const here = parts(main);
  const there = parts(page.getElementById("main"));
  const same = here.length === there.length && here.every((part, i) => part.dataset.part === there[i].dataset.part);
  if (!same) {
    main.dataset.stream = page.getElementById("main").dataset.stream;
    for (const name of ["totals", "stations", "alarms", "orders"]) {
      const find = (root) => root.querySelector(`[data-part="${name}"]`);
      find(main).replaceWith(find(page));
    }
    return connect();
  }
  for (const [i, part] of here.entries()) {
    const section = part.closest("[data-station]");
    if (section) section.classList.toggle("away", there[i].closest("[data-station]").classList.contains("away"));
    if (part.innerHTML !== there[i].innerHTML && !inUse(part)) part.replaceWith(there[i]);
    else if (part.dataset.connector) part.heardAt = Math.max(part.heardAt ?? 0, agedAt(there[i]));
  }
}

const agedAt = (tile) => performance.now() - 1000 * Number(tile.dataset.ageS);

function age() {
  const now = performance.now();
  for (const tile of main.querySelectorAll("[data-connector]")) {
    tile.heardAt ??= agedAt(tile);
    const seconds = Math.floor((now - tile.heardAt) / 1000);
    const stale = tile.dataset.state === "charging" && seconds > STALE_VALUE_S;
    tile.classList.toggle("stale", stale);
    const old = tile.querySelector(".old");
    text(old, stale ? `${old.dataset.word} ${seconds} s` : "");
  }
  if (document.hidden) return;
  if (now - currentAt > STALE_MS) show("stale");
  else if (main.dataset.stream && now - heardAt > QUIET_MS) show("reconnecting");
  if (main.dataset.stream && now - heardAt > QUIET_MS) connect();
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
setInterval(age, 1000);
