"use strict";
// The page of one workflow; workflow.js comes before it.

// The tree of one workflow

const tree = {
  nodes: new Map(), // by id: {id, about, item, row, group, level, shown}
  chosen: "",       // the stage whose details are shown

  add(id, about, level, place, total) {
    const parts = ["badge", "place", "name", "meta", "fault"].map((name) => h("span", { class: name }));
    setText(parts[1], level > 1 ? place.toLocaleString("en") : "");
    const row = h("div", { class: "row" }, ...parts);
    const item = h("li", { role: "treeitem", tabindex: -1, "aria-level": level, "aria-setsize": total,
      "aria-posinset": place, "aria-selected": "false", "data-id": id }, row);
    const node = { id, about: null, item, row, group: null, level, shown: 0 };
    this.nodes.set(id, node);
    this.update(node, about);
    return node;
  },

  update(node, about) {
    const before = node.about;
    node.about = about || before;
    const now = node.about || { status: "waiting", classPath: "to be made", childCount: 0 };
    const [badge, place, name, meta, fault] = node.row.children;
    setState(badge, now.status);
    setText(name, short(now.classPath));
    name.title = now.classPath;
    const parts = [duration(now)];
    if (now.currentAttempt > 1) parts.push(`attempt ${now.currentAttempt} of ${now.maxAttempts}`);
    if (now.childCount) parts.push(count(now.childCount, "stage", "stages"));
    setText(meta, parts.filter(Boolean).join(" · "));
    const isFault = ["retry", "aborted"].includes(now.status);
    setText(fault, (isFault && now.lastRetryMessage) || now.statusMessage || "");
    fault.classList.toggle("fault", isFault);
    fault.classList.toggle("meta", !isFault);
    node.item.setAttribute("aria-label", [short(now.classPath), place.textContent, now.status, meta.textContent].filter(Boolean).join(", "));
    if (!now.childCount) node.item.removeAttribute("aria-expanded");
    else if (!node.item.hasAttribute("aria-expanded")) node.item.setAttribute("aria-expanded", "false");
    const isNew = before && about &&
      (before.childCount !== about.childCount || before.currentAttempt !== about.currentAttempt);
    if (isNew && node.group) this.unfold(node);
    else if (isNew && node.level === 1 && about.childCount) this.unfold(node);
  },

  async unfold(node) {
    this.fold(node);
    if (!node.about || !node.about.childCount) return;
    node.group = h("ul", { role: "group" });
    node.item.append(node.group);
    node.item.setAttribute("aria-expanded", "true");
    await this.more(node);
  },

  fold(node) {
    if (!node.group) return;
    for (const item of node.group.querySelectorAll("[data-id]")) this.nodes.delete(item.dataset.id);
    const hadFocus = node.group.contains(document.activeElement);
    node.group.remove();
    node.group = null;
    node.shown = 0;
    if (node.about.childCount) node.item.setAttribute("aria-expanded", "false");
    if (hadFocus) this.focus(node.item);
  },

  async more(node) {
    const group = node.group;
    node.item.setAttribute("aria-busy", "true");
    try {
      const found = await ask("stage", { pipeline_id: node.id, first: node.shown, count: PAGE });
      if (node.group !== group) return; // folded meanwhile
      const { children, childCount } = found.pipelines[node.id];
      const next = group.querySelector(":scope > .more");
      for (const id of children) this.remove(id);
      const items = children.map((id, place) =>
        this.add(id, found.pipelines[id], node.level + 1, node.shown + place + 1, childCount).item);
      const hadFocus = next && next === document.activeElement;
      if (next) next.remove();
      node.shown += children.length;
      const after = node.shown < childCount && children.length ? [this.moreItem(node, childCount)] : [];
      const revealed = group.querySelector(":scope > .revealed"); // and those after it: out of order
      for (const item of [...items, ...after]) group.insertBefore(item, revealed);
      if (hadFocus && items[0]) this.focus(items[0]);
      if (this.chosen) this.mark(this.chosen);
    } catch (error) {
      say(error.message, true);
    } finally {
      node.item.removeAttribute("aria-busy");
    }
  },

  remove(id) {
    const node = this.nodes.get(id);
    if (!node) return;
    this.fold(node);
    node.item.remove();
    this.nodes.delete(id);
  },

  // Unfold what is above a stage, and show it even where its siblings are not loaded yet.
  async reveal(id) {
    const { ancestors, places, pipelines } = await ask("stage", { pipeline_id: id, count: 0 });
    const line = [...ancestors, { pipelineId: id, ...pipelines[id] }];
    let node = null;
    for (const about of line) {
      const known = this.nodes.get(about.pipelineId);
      if (!known && !node) continue; // above the top of this page
      if (!known && !node.group) await this.unfold(node);
      node = this.nodes.get(about.pipelineId) || this.addRevealed(node, about, places);
    }
    if (node) node.item.firstElementChild.scrollIntoView({ block: "nearest" });
    return Boolean(node);
  },

  addRevealed(parent, about, places) {
    const id = about.pipelineId;
    const place = (places[id] || 0) + 1;
    const node = this.add(id, about, parent.level + 1, place, parent.about.childCount);
    node.item.classList.add("revealed");
    parent.group.append(node.item);
    return node;
  },

  moreItem(node, total) {
    const left = total - node.shown;
    const text = `Show ${Math.min(PAGE, left)} more (${node.shown.toLocaleString("en")} of ${count(total, "stage", "stages")} shown)`;
    return h("li", { role: "treeitem", class: "more", tabindex: -1, "aria-level": node.level + 1,
      "data-more": node.id }, h("div", { class: "row" }, text));
  },

  mark(id) {
    for (const item of byId("tree").querySelectorAll("[aria-selected=true]"))
      if (item.dataset.id !== id) item.setAttribute("aria-selected", "false");
    const node = this.nodes.get(id);
    if (node) node.item.setAttribute("aria-selected", "true");
  },

  focus(item) {
    for (const other of byId("tree").querySelectorAll("[tabindex='0']")) other.tabIndex = -1;
    item.tabIndex = 0;
    item.focus({ preventScroll: true });
    item.firstElementChild.scrollIntoView({ block: "nearest" });
  },

  activate(item) {
    if (item.dataset.more) this.more(this.nodes.get(item.dataset.more));
    else choose(item.dataset.id);
  },

  key(event) {
    const items = [...byId("tree").querySelectorAll("[role=treeitem]")];
    const item = event.target.closest("[role=treeitem]");
    const at = items.indexOf(item);
    const node = this.nodes.get(item.dataset.id);
    const isOpen = node && node.group;
    const goTo = (other) => other && this.focus(other);
    const keys = {
      ArrowDown: () => goTo(items[at + 1]),
      ArrowUp: () => goTo(items[at - 1]),
      Home: () => goTo(items[0]),
      End: () => goTo(items[items.length - 1]),
      ArrowRight: () => (isOpen ? goTo(node.group.firstElementChild) : node && this.unfold(node)),
      ArrowLeft: () => (isOpen ? this.fold(node) : goTo(item.parentElement.closest("[role=treeitem]"))),
      Enter: () => this.activate(item),
      " ": () => this.activate(item),
    };
    if (!keys[event.key] || event.ctrlKey || event.altKey || event.metaKey) return;
    event.preventDefault();
    keys[event.key]();
  },

  click(event) {
    const row = event.target.closest(".row");
    if (!row) return;
    const item = row.parentElement;
    const node = this.nodes.get(item.dataset.id);
    const isArrow = event.clientX < row.getBoundingClientRect().left + 24;
    this.focus(item);
    if (node && node.about && node.about.childCount && (isArrow || event.detail === 2)) {
      if (node.group) this.fold(node); else this.unfold(node);
    } else if (event.detail < 2) this.activate(item);
  },

  // The stages that can be seen and may still change.
  open() {
    const isSeen = ({ row }) => {
      const box = row.getBoundingClientRect();
      return box.bottom > 0 && box.top < innerHeight;
    };
    return [...this.nodes.values()].filter((node) => !(node.about && node.about.isOver) && isSeen(node));
  },
};

// The page of one workflow

const root = { id: "", about: null, isGone: false, actedAt: 0 };

async function showStatus() {
  const id = new URLSearchParams(location.search).get("root") || "";
  let found;
  try {
    found = await ask("stage", { pipeline_id: id, count: 0 });
  } catch (error) {
    setText(byId("title"), "No such workflow");
    return say(error.message, true);
  }
  root.id = found.rootPipelineId;
  showCrumbs(id, found);
  const top = tree.add(id, found.pipelines[id], 1, 1, 1);
  top.item.tabIndex = 0;
  byId("tree").append(top.item);
  byId("tree").addEventListener("keydown", (event) => tree.key(event));
  byId("tree").addEventListener("click", (event) => tree.click(event));
  install();
  const wanted = decodeURIComponent(location.hash.slice(1));
  await Promise.all([tree.unfold(top), lookAtRoot(), states.look()]);
  await show(wanted || (root.about && root.about.failure ? root.about.failure.pipelineId : id), id);
  const turn = repeat(look);
  root.look = turn;
}

// Choose a stage and show where it is; another one where it is unknown, or not in this part.
async function show(id, other) {
  const isHere = await tree.reveal(id).catch(() => false);
  await choose(isHere ? id : other, true);
}

function showCrumbs(id, found) {
  const links = found.ancestors.map((each) => h("a", { href: pageOf(each.pipelineId) }, short(each.classPath)));
  byId("crumbs").append(...links);
  if (links.length) byId("crumbs").append(h("a", { "aria-current": "page" }, short(found.pipelines[id].classPath)));
}

async function look() {
  if (root.isGone) return false;
  const open = tree.open().slice(0, MOST_POLLED - 1);
  const names = new URLSearchParams([root.id, ...open.map((node) => node.id)].map((id) => ["id", id]));
  const { pipelines } = await ask("stages", names);
  if (pipelines[root.id]) await states.look();
  if (byId("notice").classList.contains("bad")) say("");
  showRoot(pipelines[root.id]);
  for (const node of open) tree.update(node, pipelines[node.id]);
  const details = byId("details");
  if (!root.isGone && details.dataset.over !== "true") await choose(tree.chosen, true);
  const isLively = Date.now() - root.actedAt < 60000;
  return !root.isGone && (isLively || !root.about.isOver || open.some((node) => node.about));
}

async function lookAtRoot() {
  const { pipelines } = await ask("stages", { id: root.id });
  showRoot(pipelines[root.id]);
}

function showRoot(about) {
  root.isGone = !about;
  if (about) {
    root.about = about;
    document.title = `${about.status} · ${short(about.classPath)}`;
    setText(byId("title"), short(about.classPath));
    byId("title").title = about.classPath;
    setText(byId("root"), root.id);
    setState(byId("state"), about.status);
    setText(byId("duration"), duration(about));
    showFailure(about.failure);
  } else say("This workflow has been removed.");
  byId("abort").disabled = root.isGone || about.isOver || Boolean(about.abortMessage);
  byId("cleanup").disabled = root.isGone || !about.isOver;
  byId("rerun").disabled = root.isGone;
  if (root.isGone) byId("retry").disabled = true;
}

function showFailure(failure) {
  const box = byId("failure");
  box.hidden = !failure;
  if (!failure || box.dataset.id === failure.pipelineId) return;
  box.dataset.id = failure.pipelineId;
  const link = h("a", { href: pageOf(root.id) + `#${encodeURIComponent(failure.pipelineId)}`,
    "data-stage": failure.pipelineId }, short(failure.classPath));
  box.replaceChildren("First failure: ", link, ` ${failure.message}`);
}

// How many stages are in each state, and those in one of them

const states = {
  chosen: "", cursor: "",

  async look() {
    const { counts } = await ask("counts", { root_pipeline_id: root.id });
    const buttons = Object.entries(counts).map(([state, number]) => {
      const badge = h("span", { class: "badge" });
      setState(badge, state);
      return h("button", { "data-state": state, "aria-pressed": String(state === this.chosen) },
        badge, ` ${number.toLocaleString("en")}`);
    });
    const before = byId("states");
    const text = JSON.stringify([counts, this.chosen]);
    if (before.dataset.text === text) return;
    before.dataset.text = text;
    const focused = before.contains(document.activeElement) ? document.activeElement.dataset.state : "";
    before.replaceChildren(...buttons);
    const again = buttons.find((button) => button.dataset.state === focused);
    if (again) again.focus();
  },

  async choose(state) {
    this.chosen = this.chosen === state ? "" : state;
    this.cursor = "";
    byId("tree").hidden = Boolean(this.chosen);
    byId("found").hidden = !this.chosen;
    byId("found-stages").replaceChildren();
    for (const button of byId("states").children)
      button.setAttribute("aria-pressed", String(button.dataset.state === this.chosen));
    if (this.chosen) await this.more();
  },

  async more() {
    const state = this.chosen;
    const query = { root_pipeline_id: root.id, state, count: PAGE };
    if (this.cursor) query.cursor = this.cursor;
    const { pipelines, cursor } = await ask("state", query);
    if (this.chosen !== state) return;
    this.cursor = cursor || "";
    byId("found-more").hidden = !cursor;
    byId("found-stages").append(...Object.entries(pipelines).map(([id, about]) => this.row(id, about)));
  },

  row(id, about) {
    const badge = h("span", { class: "badge" });
    setState(badge, about.status);
    const link = h("a", { href: `#${encodeURIComponent(id)}`, "data-stage": id }, short(about.classPath));
    const says = about.lastRetryMessage || about.statusMessage || "";
    return h("li", {}, h("div", { class: "row" }, badge, link, h("span", { class: "meta" }, says)));
  },
};

// Details of a stage

async function choose(id, isQuiet = false) {
  if (!isQuiet) history.replaceState(null, "", `#${encodeURIComponent(id)}`);
  tree.chosen = id;
  tree.mark(id);
  try {
    const found = await ask("stage", { pipeline_id: id, count: 0 });
    if (tree.chosen === id) showDetails(id, found);
  } catch (error) {
    if (!isQuiet || error.code !== 404) say(error.message, true);
  }
}

function showDetails(id, found) {
  const about = found.pipelines[id];
  const details = byId("details");
  details.dataset.over = String(about.isOver);
  setText(byId("name"), short(about.classPath));
  const isAgain = about.status === "retry" || (about.status === "waiting" && !about.isOver) || about.status === "run";
  byId("retry").disabled = !isAgain || Boolean(about.abortMessage);
  byId("part").hidden = !about.childCount;
  byId("part").href = pageOf(id);
  const { nowMs, ...known } = found;
  const text = JSON.stringify(known);
  if (details.dataset.text === text) return; // what is marked or scrolled stays so
  details.dataset.text = text;
  byId("about").replaceChildren(...describe(id, about, found));
}

function describe(id, about, found) {
  const badge = h("span", { class: "badge" });
  setState(badge, about.status);
  const faults = [about.abortMessage, about.lastRetryMessage].filter(Boolean);
  const links = Object.entries(about.statusLinks || {});
  if (about.statusConsoleUrl) links.unshift(["Console", about.statusConsoleUrl]);
  return [
    h("div", { class: "about" }, badge, h("code", {}, id)),
    about.statusMessage ? h("p", { class: "says" }, about.statusMessage) : null,
    links.length ? h("ul", { class: "links" }, ...links.map(([name, url]) => h("li", {}, linkTo(url, name)))) : null,
    ...faults.map((fault) => h("p", { class: "fault-box" }, fault)),
    facts(about),
    ...valuesOf("Arguments", argumentsOf(about), found),
    ...valuesOf("Outputs", Object.entries(about.outputs).map(([name, slotKey]) =>
      [name, { slotKey, own: id, isOver: about.isOver }]), found),
    ...valuesOf("Begins after", about.afterSlotKeys.map((slotKey, at) =>
      [`${at + 1}`, { slotKey, isOver: about.isOver }]), found),
  ].filter(Boolean);
}

function facts(about) {
  const rows = [
    ["Class", about.classPath],
    ["Attempt", `${about.currentAttempt} of ${about.maxAttempts}`],
    ["Next attempt", time(about.nextRetryTimeMs)],
    ["Made", time(about.createdTimeMs)],
    ["Started", time(about.startTimeMs)],
    ["Ended", time(about.endTimeMs)],
    ["Took", about.endTimeMs ? duration(about) : ""],
    ["Stages", about.childCount ? about.childCount.toLocaleString("en") : ""],
    ["Queue", about.queueName],
  ];
  return h("dl", {}, ...rows.filter(([, value]) => value).flatMap(([name, value]) =>
    [h("dt", {}, name), h("dd", {}, value)]));
}

function argumentsOf(about) {
  const { isOver } = about;
  const given = [...about.args.map((arg, at) => [`${at + 1}`, arg]), ...Object.entries(about.kwargs)]
    .map(([name, argument]) => [name, { ...argument, isOver }]);
  const left = about.argumentCount - given.length;
  return left > 0 ? [...given, ["…", { text: `and ${left.toLocaleString("en")} more` }]] : given;
}

function valuesOf(title, pairs, found) {
  if (!pairs.length) return [];
  return [h("h3", {}, title), h("dl", {}, ...pairs.flatMap(([name, given]) =>
    [h("dt", {}, name), h("dd", {}, ...valueOf(given, found))]))];
}

function valueOf(given, { slots }) {
  if (given.text) return [given.text];
  if (!("slotKey" in given)) return [h("pre", {}, shown(given.value))];
  const slot = slots[given.slotKey];
  const cut = given.slotKey.lastIndexOf("/");
  const owner = slot && slot.fillerPipelineId ? slot.fillerPipelineId : given.slotKey.slice(0, cut);
  const missing = given.isOver ? "never filled" : "not filled yet";
  const link = h("a", { href: `#${encodeURIComponent(owner)}`, "data-stage": owner }, owner.slice(0, 12));
  if (!slot || slot.status !== "filled")
    return owner === given.own ? [missing] : [`${missing}: ${given.slotKey.slice(cut + 1)} of `, link];
  return owner === given.own ? [h("pre", {}, shown(slot.value))] : [h("pre", {}, shown(slot.value)), "from ", link];
}

const shown = (value) => (typeof value === "string" ? value : JSON.stringify(value, null, 1));

// Buttons

function install() {
  byId("abort").addEventListener("click", () => sure("Abort this workflow?",
    "Its stages are stopped, and do not begin again.", "Abort", true, (message) =>
      act("abort", { root_pipeline_id: root.id, message }, "It is being aborted.")));
  byId("cleanup").addEventListener("click", () => sure("Remove this workflow?",
    "All that is stored of it is deleted: arguments, outputs, states. This cannot be undone.", "Remove", false, () =>
      act("cleanup", { root_pipeline_id: root.id }, "It is being removed.")));
  byId("rerun").addEventListener("click", async () => {
    const found = await act("rerun", { root_pipeline_id: root.id }, "A new workflow has been started.");
    if (found) location.assign(pageOf(found.rootPipelineId));
  });
  byId("retry").addEventListener("click", () =>
    act("retry", { pipeline_id: tree.chosen }, "The stage is to run again."));
  for (const place of ["about", "failure", "found-stages"])
    byId(place).addEventListener("click", (event) => {
      const link = event.target.closest("[data-stage]");
      if (!link) return;
      event.preventDefault();
      tree.reveal(link.dataset.stage).catch(() => {});
      choose(link.dataset.stage).then(() => byId("name").focus());
    });
  byId("states").addEventListener("click", (event) => {
    const button = event.target.closest("button");
    if (button) states.choose(button.dataset.state).catch((error) => say(error.message, true));
  });
  byId("found-more").addEventListener("click", () =>
    states.more().catch((error) => say(error.message, true)));
}

function sure(question, consequence, yes, hasReason, then) {
  setText(byId("question"), question);
  setText(byId("consequence"), consequence);
  setText(byId("yes"), yes);
  byId("reason").hidden = !hasReason;
  byId("why").value = "";
  const dialog = byId("confirm");
  dialog.returnValue = "no";
  dialog.onclose = () => dialog.returnValue === "yes" && then(byId("why").value);
  dialog.showModal();
}

async function act(name, fields, done) {
  const buttons = ["abort", "cleanup", "rerun", "retry"].map(byId);
  const before = buttons.map((button) => button.disabled);
  for (const button of buttons) button.disabled = true;
  try {
    const found = await ask(name, fields, "POST");
    root.actedAt = Date.now();
    say(done);
    buttons.forEach((button, at) => { button.disabled = before[at]; });
    if (root.look) root.look();
    return found;
  } catch (error) {
    buttons.forEach((button, at) => { button.disabled = before[at]; });
    say(`Not done: ${error.message}.`, true);
    return null;
  }
}

showStatus().catch((error) => say(error.message, true));
