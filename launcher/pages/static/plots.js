"use strict";
// Plots in place of the drawings that a page comes with; service/static/pages.js comes before it.

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

// Plots show a time as it is written: this is how the reader's clock writes it.
const here = (time) => local.format(new Date(time));

// A history has a row for each run, a story its parts of the window.
function trace(rows, place) {
  const parts = rows.filter((row) => row.item === "part");
  if (parts.length) {
    return { type: "bar", x: parts.map((row) => here(row.part_start)), y: parts.map((row) => row.count), offset: 0, width: Number(place.dataset.part),
      marker: { color: colour("bars") }, hovertemplate: "%{y:,} posts<extra></extra>", title: "posts" };
  }
  const column = rows.length && "percent" in rows[0] ? "percent" : "log_weight";
  return {
    type: "scatter", mode: "lines+markers", connectgaps: false,
    x: rows.map((row) => here(row.ts)), y: rows.map((row) => row[column]),
    customdata: rows.map((row) => [row.rank, row.count]),
    line: { color: colour("accent"), width: 2 }, marker: { size: rows.length > 100 ? 3 : 6 },
    hovertemplate: "%{y:,.2f}<br>rank %{customdata[0]}, %{customdata[1]} posts<extra></extra>",
    title: column === "percent" ? "percent of posts" : "weight",
  };
}

async function draw(place) {
  const [library, rows] = await Promise.all([plotly(), answer(place.dataset.source)]);
  const { title, ...drawn } = trace(rows, place);
  // A screen reader hears of the plot what it heard of the drawing that the page came with.
  const label = place.querySelector("[role=img]")?.getAttribute("aria-label");
  if (label) Object.assign(place, { role: "img", ariaLabel: label });
  place.classList.remove("still");
  place.replaceChildren();
  const range = place.dataset.from ? { range: [here(place.dataset.from), here(place.dataset.to)] } : {};
  const given = layout(title);
  await library.react(place, [drawn], { ...given, xaxis: { ...given.xaxis, ...range } }, { displayModeBar: false, responsive: true, doubleClick: "reset" });
  place.dataset.drawn = String(drawn.y.filter((value) => value !== null).length);
}

matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => {
  for (const place of document.querySelectorAll(".plot[data-drawn]")) draw(place);
});

const plot = byId("plot");
if (plot) {
  draw(plot).catch(() => {
    // The drawing that the page came with stays.
  });
}
