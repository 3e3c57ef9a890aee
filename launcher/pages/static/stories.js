"use strict";
// Stories are filtered while a person types; Enter searches everything. service/static/pages.js comes before it.

function filter() {
  const field = byId("filter");
  if (!field) return;
  field.hidden = false;
  const letters = field.value.trim().toLowerCase();
  const stories = [...document.querySelectorAll(".stories > li")];
  for (const story of stories) story.hidden = !story.textContent.toLowerCase().includes(letters);
  byId("none").hidden = stories.some((story) => !story.hidden);
}

document.addEventListener("input", (event) => { if (event.target.id === "filter") filter(); });
document.addEventListener("keydown", (event) => {
  if (event.target.id !== "filter" || event.key !== "Enter") return;
  const field = document.querySelector(".search input");
  field.value = event.target.value;
  field.form.requestSubmit();
});

document.addEventListener("refreshed", filter);
filter();
