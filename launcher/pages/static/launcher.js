"use strict";
// The pages work without this; it adds plots, questions before what cannot be undone, and jobs that stay current.

const byId = (id) => document.getElementById(id);

// Plots

let library = null;

function plotly() {
  library ??= new Promise((done, failed) => {
    const script = document.createElement("script");
    script.src = document.body.dataset.plotly;
    script.onload = () => done(window.Plotly);
    script.onerror = () => {
      library = null;
      failed(new Error("the plot library cannot be loaded"));
    };
    document.head.append(script);
  });
  return library;
}

async function answer(url) {
  const response = await fetch(url, { headers: { "X-Requested-With": "XMLHttpRequest" } });
  if (!response.ok) throw new Error(`the service answers ${response.status}`);
  return response.json();
}

function colour(name) {
  return getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
}

function layout(title) {
  const axis = { gridcolor: colour("line"), linecolor: colour("line"), zeroline: false, automargin: true };
  return {
    paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)",
    font: { color: colour("text"), family: "system-ui, sans-serif", size: 12 },
    margin: { l: 10, r: 12, t: 12, b: 10 }, showlegend: false, hovermode: "x unified",
    hoverlabel: { bgcolor: colour("card"), bordercolor: colour("line"), font: { color: colour("text") } },
    xaxis: { ...axis, type: "date", spikecolor: colour("soft"), spikethickness: 1, spikedash: "dot" }, yaxis: { ...axis, title: { text: title }, rangemode: "tozero" },
  };
}

async function draw(place, url) {
  const [library, rows] = await Promise.all([plotly(), answer(url)]);
  const column = rows.length && "percent" in rows[0] ? "percent" : "log_weight";
  const trace = {
    type: "scatter", mode: "lines+markers", connectgaps: false,
    x: rows.map((row) => row.ts), y: rows.map((row) => row[column]),
    customdata: rows.map((row) => [row.rank, row.count]),
    line: { color: colour("accent"), width: 2 }, marker: { size: rows.length > 100 ? 3 : 6 },
    hovertemplate: "%{y:,.2f}<br>rank %{customdata[0]}, %{customdata[1]} posts<extra></extra>",
  };
  await library.react(place, [trace], layout(column === "percent" ? "percent of posts" : "weight"),
    { displayModeBar: false, responsive: true, doubleClick: "reset" });
  place.dataset.source = url;
  place.dataset.drawn = String(rows.filter((row) => row.rank !== null).length);
  return rows;
}

function says(rows) {
  const ranks = rows.map((row) => row.rank).filter((rank) => rank !== null);
  const best = ranks.length ? `, at best number ${Math.min(...ranks)}` : "";
  return `Ranked in ${ranks.length} of ${rows.length} runs${best}.`;
}

async function show(link) {
  const page = new URL(link.href);
  const name = page.searchParams.has("word") ? "word_history" : "pair_history";
  const url = `${link.pathname.replace(/timeline\/history$/, "")}api/queries/${name}.json${page.search}`;
  const [dialog, place, status] = ["moved", "moved-plot", "moved-says"].map(byId);
  byId("moved-title").textContent = [...page.searchParams.values()].join(" + ");
  byId("moved-page").href = link.href;
  status.textContent = "…";
  delete place.dataset.drawn;
  window.Plotly?.purge(place);
  dialog.showModal();
  try {
    const rows = await draw(place, url);
    status.textContent = says(rows);
    place.setAttribute("aria-label", says(rows));
  } catch (error) {
    status.textContent = `No plot: ${error.message}.`;
  }
}

document.addEventListener("click", (event) => {
  const link = event.target.closest?.("a.moved");
  if (!link || event.button || event.ctrlKey || event.metaKey || event.shiftKey || event.altKey) return;
  event.preventDefault();
  show(link);
});

byId("moved").addEventListener("click", (event) => {
  if (event.target === event.currentTarget) event.currentTarget.close();
});

matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => {
  for (const place of document.querySelectorAll(".plot[data-drawn]")) draw(place, place.dataset.source);
});

const plot = byId("plot");
if (plot) {
  draw(plot, plot.dataset.source).catch((error) => {
    plot.textContent = `No plot: ${error.message}.`;
  });
}

// Buttons that ask first

document.addEventListener("submit", (event) => {
  const question = event.target.dataset.confirm;
  if (question && !window.confirm(question)) event.preventDefault();
});

// What goes on: the part of the page that changes is fetched again after so many seconds

const goesOn = () => Number(byId("live")?.dataset.goesOn) || 0;
const comeBack = () => { if (goesOn()) setTimeout(refresh, 1000 * goesOn()); };
const isChosenFrom = (live) => live.contains(document.activeElement) && document.activeElement.matches("select");

async function refresh() {
  const live = byId("live");
  if (!document.hidden && !document.querySelector("dialog[open]") && !isChosenFrom(live)) {
    try {
      const response = await fetch(location.href);
      if (response.ok && !response.redirected) replace(live, await response.text());
    } catch {
      // The service may be starting again: the next time will do.
    }
  }
  comeBack();
}

function replace(live, text) {
  const fetched = new DOMParser().parseFromString(text, "text/html");
  const next = fetched.getElementById("live");
  if (!next || next.isEqualNode(live)) return;
  const focused = live.contains(document.activeElement) ? document.activeElement.id : "";
  document.title = fetched.title;
  live.replaceWith(document.adoptNode(next));
  if (focused) byId(focused)?.focus({ preventScroll: true });
}

comeBack();
