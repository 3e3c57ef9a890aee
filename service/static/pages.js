"use strict";
// What all pages share. They work without it: it shows times in the reader's zone, asks before what cannot be undone,
// and keeps the part of a page that is marked `live` current.

const byId = (id) => document.getElementById(id);

const local = new Intl.DateTimeFormat("sv-SE", { dateStyle: "short", timeStyle: "short" });
const zone = new Intl.DateTimeFormat(undefined, { timeZoneName: "short" });

// Times in the reader's zone; pointing at one gives it in UTC

function localize(part) {
  for (const time of part.querySelectorAll("time[datetime]")) {
    time.title = `${time.dateTime.slice(0, 16).replace("T", " ")} UTC`;
    time.textContent = local.format(new Date(time.dateTime));
  }
  for (const option of part.querySelectorAll("option[value$=Z]")) option.textContent = local.format(new Date(option.value));
  for (const place of part.querySelectorAll(".zone")) {
    place.textContent = zone.formatToParts(new Date()).find((each) => each.type === "timeZoneName").value;
  }
}

// Buttons that ask first

document.addEventListener("submit", (event) => {
  const question = event.target.dataset.confirm;
  if (question && !window.confirm(question)) event.preventDefault();
});

// The live part is fetched again every `data-refresh` seconds, unless the reader is choosing from a list in it

let shown = byId("live")?.outerHTML;
let timer = 0;

function scheduleRefresh() {
  clearTimeout(timer);
  const seconds = Number(byId("live")?.dataset.refresh);
  if (seconds) timer = setTimeout(refresh, 1000 * seconds);
}

async function refresh() {
  const isChoosing = document.activeElement.matches("#live select");
  if (!document.hidden && !isChoosing) await fetchLive();
  scheduleRefresh();
}

async function fetchLive() {
  try {
    const address = location.href;
    const response = await fetch(address);
    // The session has ended, or what the page shows was deleted: the whole page says so.
    if (response.redirected || response.status === 404) location.reload();
    else if (response.ok && address === location.href) replaceLive(await response.text());
  } catch {
    // The service may be restarting: try again next time.
  }
}

function replaceLive(text) {
  const fetched = new DOMParser().parseFromString(text, "text/html");
  const live = byId("live");
  const next = fetched.getElementById("live");
  if (!next || next.outerHTML === shown) return;
  shown = next.outerHTML;
  const focused = live.contains(document.activeElement) ? document.activeElement.id : "";
  const kept = [...live.querySelectorAll("input[id], details[id]")];
  document.title = fetched.title;
  live.replaceWith(document.adoptNode(next));
  for (const each of kept) keep(each, byId(each.id));
  localize(next);
  document.dispatchEvent(new Event("refreshed"));
  if (focused) byId(focused)?.focus({ preventScroll: true });
}

function keep(before, now) {
  if (now?.matches("details")) now.open = before.open;
  else if (now) now.value = before.value;
}

// A link that is marked `in-place` changes the live part alone, and leaves the reader where the page is scrolled to

async function showInPlace() {
  await fetchLive();
  for (let each = byId("live").querySelector("[aria-current]"); each; each = each.parentElement) {
    if (each.matches("details")) each.open = true;
  }
  byId(location.hash.slice(1))?.focus();
}

document.addEventListener("click", (event) => {
  const link = event.target.closest("#live a[data-in-place]");
  if (!link || event.button || event.ctrlKey || event.metaKey || event.shiftKey) return;
  event.preventDefault();
  history.pushState(null, "", link.href);
  showInPlace();
});
addEventListener("popstate", () => { if (byId("live")) showInPlace(); });

localize(document);
scheduleRefresh();
