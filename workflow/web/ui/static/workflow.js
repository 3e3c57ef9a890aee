"use strict";
// The pages of workflows. They ask the service how things stand, and change what has changed.

const BASE = document.body.dataset.base;
const PAGE = 50;        // stages or workflows at a time
const MOST_POLLED = 50; // stages in one question
const BUSY_MS = 2000, IDLE_MS = 10000;
const byId = (id) => document.getElementById(id);

// Elements

function h(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes))
    if (value !== undefined && value !== null) element.setAttribute(name, value);
  element.append(...children.filter((child) => child !== null && child !== undefined));
  return element;
}

function setText(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

function setState(badge, state) {
  badge.dataset.state = state;
  setText(badge, state);
}

function say(text, isBad = false) {
  const notice = byId("notice");
  setText(notice, text);
  notice.classList.toggle("bad", isBad);
}

// Words

const short = (path) => path.split(".").pop();
const count = (number, one, many) => `${number.toLocaleString("en")} ${number === 1 ? one : many}`;

function spell(ms) {
  const seconds = Math.max(0, ms) / 1000;
  if (seconds < 1) return `${Math.round(ms < 0 ? 0 : ms)} ms`;
  if (seconds < 60) return `${seconds.toFixed(1)} s`;
  const [minutes, hours, days] = [seconds / 60, seconds / 3600, seconds / 86400].map(Math.floor);
  if (hours < 1) return `${minutes} min ${Math.floor(seconds % 60)} s`;
  return days < 2 ? `${hours} h ${minutes % 60} min` : `${days} d ${hours % 24} h`;
}

let ahead = 0; // how much this browser's clock is ahead of the service's
function duration(stage) {
  if (!stage || !stage.startTimeMs) return "";
  return spell((stage.endTimeMs || Date.now() - ahead) - stage.startTimeMs);
}

const time = (ms) => (ms ? new Date(ms).toLocaleString() : "");
const pageOf = (id) => `${BASE}status?${new URLSearchParams({ root: id })}`;
const isWeb = (url) => /^https?:\/\//i.test(url) || /^\/(?!\/)/.test(url);
const linkTo = (url, text) =>
  isWeb(url) ? h("a", { href: url, rel: "noopener noreferrer" }, text) : `${text}: ${url}`;

// Questions

async function ask(path, fields = {}, method = "GET") {
  const text = new URLSearchParams(fields).toString();
  const isPost = method === "POST";
  const answer = await fetch(`${BASE}rpc/${path}${isPost || !text ? "" : `?${text}`}`, {
    method,
    body: isPost ? new URLSearchParams(fields) : undefined,
    headers: { "X-Requested-With": "XMLHttpRequest" },
    cache: "no-store",
  });
  if (answer.status === 403) {
    const next = location.pathname + location.search + location.hash;
    location.assign(`${document.body.dataset.login}?${new URLSearchParams({ next })}`);
    throw new Error("You are logged out.");
  }
  const found = await answer.json().catch(() => ({}));
  if (!answer.ok)
    throw Object.assign(new Error(found.error_message || `The service answered ${answer.status}.`), {
      code: answer.status,
    });
  if (found.nowMs) ahead = Date.now() - found.nowMs;
  return found;
}

let timer = 0;
function repeat(look) {
  const turn = async () => {
    clearTimeout(timer);
    let next = BUSY_MS;
    if (!document.hidden) {
      try {
        next = (await look()) ? BUSY_MS : IDLE_MS;
      } catch (error) {
        say(`${error.message} Trying again.`, true);
        next = IDLE_MS;
      }
    }
    timer = setTimeout(turn, next);
  };
  document.addEventListener("visibilitychange", () => document.hidden || turn());
  timer = setTimeout(turn, BUSY_MS);
  return turn;
}

// The list

async function showList() {
  const here = new URLSearchParams(location.search);
  const query = { count: PAGE };
  if (here.get("class")) query.class_path = here.get("class");
  if (here.get("cursor")) query.cursor = here.get("cursor");
  byId("class").value = here.get("class") || "";
  byId("all").hidden = !here.get("class");
  ask("class_paths").then(
    ({ classPaths }) => byId("classes").replaceChildren(...classPaths.map((value) => h("option", { value }))),
    () => {},
  );
  const rows = new Map();
  const look = async () => {
    const found = await ask("list", query);
    say("");
    fillRows(rows, found.pipelines);
    page(here, found.cursor);
    return found.pipelines.some((root) => !root.isOver);
  };
  await look().catch((error) => say(error.message, true));
  repeat(look);
}

function fillRows(rows, roots) {
  const known = new Set(roots.map((root) => root.pipelineId));
  for (const [id, row] of rows) if (!known.has(id)) { row.remove(); rows.delete(id); }
  roots.forEach((root, place) => {
    const row = rows.get(root.pipelineId) || newRow(root);
    rows.set(root.pipelineId, row);
    const cells = row.children;
    setState(cells[0].firstChild, root.status);
    setText(cells[2], time(root.startTimeMs || root.createdTimeMs));
    setText(cells[3], duration(root));
    const { failure } = root;
    const why = failure && failure.pipelineId !== root.pipelineId ? `${short(failure.classPath)}: ${failure.message}` : "";
    setText(cells[4], root.statusMessage || why || root.abortMessage || root.lastRetryMessage || "");
    const body = byId("rows");
    if (body.children[place] !== row) body.insertBefore(row, body.children[place] || null);
  });
  byId("empty").hidden = roots.length > 0;
  setText(byId("empty"), byId("class").value ? "No workflow of this class." : "No workflow yet.");
}

function newRow(root) {
  const link = h("a", { href: pageOf(root.pipelineId), title: root.classPath }, short(root.classPath));
  return h("tr", {}, h("td", {}, h("span", { class: "badge" })),
    h("td", {}, link, h("code", {}, root.pipelineId)), h("td"), h("td"), h("td"));
}

function page(here, cursor) {
  const to = (name, value) => {
    const query = new URLSearchParams(here);
    query.delete("cursor");
    if (value) query.set("cursor", value);
    byId(name).href = `?${query}`;
  };
  to("newest", "");
  to("older", cursor);
  byId("newest").hidden = !here.get("cursor");
  byId("older").hidden = !cursor;
}

const start = { list: showList }[document.body.dataset.page];
// Leaving the page aborts its requests, which is not an error.
if (start) start().catch(() => {});
