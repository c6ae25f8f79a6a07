"use strict";
// Draws the run that stands in the page as JSON. Every text goes in as text, never as markup.
const run = JSON.parse(document.getElementById("data").textContent);
const byId = new Map(run.fragments.map(f => [f.id, f]));
const children = new Map();
for (const f of run.fragments)
  if (f.trace && f.parent && byId.has(f.parent[0])) {
    if (!children.has(f.parent[0])) children.set(f.parent[0], []);
    children.get(f.parent[0]).push(f);
  }
const palette = ["#0b6e4f", "#2f6fb2", "#b35c00", "#7a3e8e", "#8b949e", "#a33a3a", "#5b7f1e"];
const hue = i => `hsl(${(i * 47) % 360} 60% 55%)`;

// The name of a vocabulary, not an address: nothing is fetched.
const svgNames = ["http:", "", "www.w3.org", "2000", "svg"].join("/");

// An element with attributes and children; `on…` are listeners, strings are text.
function make(tag, attributes = {}, ...inside) {
  const svg = ["svg", "rect", "line", "polyline", "title", "circle", "text"].includes(tag);
  const e = svg ? document.createElementNS(svgNames, tag) : document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) e.addEventListener(name.slice(2), value);
    else if (value !== undefined && value !== false) e.setAttribute(name, value === true ? "" : value);
  }
  for (const x of inside.flat(Infinity)) if (x !== undefined && x !== null) e.append(x);
  return e;
}
const percent = n => run.samples ? (100 * n / run.samples).toFixed(n * 10 < run.samples ? 1 : 0) + " %" : "";
const ms = n => n === null || n === undefined ? "" : n < 10 ? n.toFixed(2) : n.toFixed(0);
const label = f => (f.name || f.head) + (f.source ? "  " + f.source.split("/").pop() : "");
function table(head, rows) {
  const cell = tag => (x, i) => make(tag, { class: head[i].startsWith("#") ? "number" : undefined }, x);
  return make("table", {},
    make("thead", {}, make("tr", {}, head.map((h, i) => cell("th")(h.replace("#", ""), i)))),
    make("tbody", {}, rows.map(r => make("tr", {}, r.map(cell("td"))))));
}
const link = (f, text) => make("button", { class: "link", onclick: () => show(f.id) }, text || `${f.kind} ${f.id}`);

function overview() {
  const at = document.getElementById("overview");
  for (const note of run.notes) at.append(make("p", { class: "note" }, note));
  at.append(make("p", {}, run.end, make("span", { class: "soft" }, `, after ${ms(run.elapsed_ms)} ms`)));
  at.append(make("h2", {}, "Where the time went"));
  const whole = run.phases.reduce((sum, p) => sum + p.ms, 0) || 1;
  at.append(make("div", { class: "bar" }, run.phases.map((p, i) =>
    make("span", { title: `${p.name}: ${ms(p.ms)} ms`, style: `flex: ${p.ms / whole}; background: ${palette[i % palette.length]}` }))));
  at.append(make("div", { class: "key" }, run.phases.map((p, i) =>
    make("span", {}, make("i", { style: `background: ${palette[i % palette.length]}` }), `${p.name} ${ms(p.ms)} ms`))));
  const traces = run.fragments.filter(f => f.trace).sort((a, b) => b.samples - a.samples);
  at.append(make("h2", {}, `The hottest of ${traces.length} traces`));
  at.append(run.samples ? make("p", { class: "soft" }, `${run.samples} samples, one each ${run.sample_us} µs of processor time.`)
                        : make("p", { class: "soft" }, "No samples: the run was too short."));
  at.append(table(["trace", "where", "#time", "#bytes", "#exits", "kind"], traces.slice(0, 25).map(f =>
    [link(f, `trace ${f.id}`), label(f), percent(f.samples), String(f.size), String(f.exits.length), f.kind + (f.loops ? ", loop" : "")])));
  if (run.reasons.length) {
    at.append(make("h2", {}, "What did not become a trace, or did not stay one"));
    const sorted = [...run.reasons].sort((a, b) => (b.cost_ms || 0) - (a.cost_ms || 0) || b.count - a.count);
    at.append(table(["what", "why", "#count", "#cost, ms"], sorted.map(r => [r.what, r.why, String(r.count), ms(r.cost_ms)])));
  }
  at.append(make("h2", {}, "The run"));
  at.append(table(["", ""], [["command", run.command.join(" ")], ["made by", run.producer], ...run.facts]));
}

// Rows of the tree: roots in the order asked for, each followed by the traces that grew from its exits.
function treeRows() {
  const order = document.getElementById("sort").value;
  const compare = (a, b) => order === "id" ? a.id - b.id : b[order] - a[order] || a.id - b.id;
  const words = document.getElementById("search").value.toLowerCase().split(/\s+/).filter(w => w);
  const matches = f => words.every(w => `${f.id} ${f.head} ${f.name} ${f.source} ${f.kind}`.toLowerCase().includes(w));
  const rows = [], seen = new Set();
  const walk = (f, depth) => {
    if (seen.has(f.id)) return;
    seen.add(f.id);
    if (matches(f)) rows.push([f, words.length ? 0 : depth]);
    for (const c of (children.get(f.id) || []).sort(compare)) walk(c, depth + 1);
  };
  const traces = run.fragments.filter(f => f.trace);
  for (const f of traces.filter(f => !f.parent || !byId.has(f.parent[0]) || !byId.get(f.parent[0]).trace).sort(compare)) walk(f, 0);
  for (const f of traces) walk(f, 0);
  return rows;
}
let chosen = null;
function tree() {
  const at = document.getElementById("tree");
  at.replaceChildren(...treeRows().map(([f, depth]) =>
    make("div", { class: `row${f.live ? "" : " dead"}${f.id === chosen ? " chosen" : ""}`, "data-id": f.id, style: `padding-left: ${0.6 + depth}rem`, onclick: () => show(f.id) },
      make("span", { class: "label", title: label(f) }, `${depth ? "↳ " : ""}${f.id}  ${label(f)}${f.loops ? " ↻" : ""}`),
      make("span", { class: "share" }, percent(f.samples)))));
  if (!at.firstChild) at.append(make("p", { class: "soft", style: "padding: .6rem" }, "No trace is called so."));
}

// Lines that stand for one guest instruction have its colour, and light up together.
function code(name, lines, extra) {
  const box = make("div", { class: "code" });
  for (const l of lines) {
    const e = make("div", l.origin === null || l.origin === undefined ? {} : { "data-origin": l.origin, style: `--hue: ${hue(l.origin)}` },
      l.where ? make("span", { class: "where" }, l.where + "  ") : null, make("span", { class: l.mark }, l.text || " "));
    box.append(e);
  }
  const light = on => event => {
    const origin = event.target.closest("[data-origin]")?.dataset.origin;
    document.querySelectorAll("#detail .on").forEach(e => e.classList.remove("on"));
    if (on && origin !== undefined)
      document.querySelectorAll(`#detail [data-origin="${origin}"]`).forEach(e => {
        e.classList.add("on");
        if (!box.contains(e)) e.parentNode.scrollTop = e.offsetTop - e.parentNode.offsetTop - 60;
      });
  };
  box.addEventListener("mouseover", light(true));
  box.addEventListener("mouseleave", light(false));
  return make("div", { class: "column" }, make("h3", {}, name, extra), box);
}
// What a pass changed: lines that the stage before does not have are new. Values are renumbered by passes, so that numbers are not compared.
function stageLines(f, index) {
  const plain = l => l.text.replace(/%\d+/g, "%").trim();
  const before = new Map();
  for (const l of index ? f.stages[index - 1].lines : []) before.set(plain(l), (before.get(plain(l)) || 0) + 1);
  return f.stages[index].lines.map(l => {
    const left = before.get(plain(l)) || 0;
    before.set(plain(l), left - 1);
    return { ...l, mark: index && left <= 0 ? "new" : undefined };
  });
}
function detail(f) {
  const at = document.getElementById("detail");
  const parent = f.parent && byId.get(f.parent[0]);
  const facts = [["guest", f.head], ["function", f.name], ["source", f.source], ["kind", f.kind + (f.loops ? ", a loop" : "") + (f.live ? "" : ", gone")],
    ["time", f.samples ? `${percent(f.samples)}, ${f.samples} samples` : ""], ["code", f.size ? `${f.size} bytes at 0x${f.address.toString(16)}` : ""],
    ["grew from", parent ? make("span", {}, link(parent), ` by exit ${f.parent[1]}`) : ""], ["made in", f.made_ms !== null ? `${ms(f.made_ms)} ms` : ""],
    ["side traces", children.has(f.id) ? make("span", {}, children.get(f.id).map(c => [link(c), " "])) : ""]].filter(r => r[1]);
  const columns = make("div", { class: "columns" });
  let last = "";
  const sources = f.guest.map((g, i) => {
    const here = g.source + g.source_text;
    const line = { text: here === last ? "" : g.source_text || g.source.split("/").pop(), where: here === last ? "" : g.source.split(":").pop(), origin: i };
    last = here;
    return line;
  });
  if (f.guest.some(g => g.source)) columns.append(code("Source", sources));
  columns.append(code("Guest code", f.guest.map((g, i) => ({ text: g.text, where: g.at, origin: i }))));
  if (f.stages.length) {
    const pick = make("select", { id: "stage", "aria-label": "which pass" }, f.stages.map((s, i) => make("option", { value: i }, `${i}: ${s.name}`)));
    const place = make("div");
    const draw = () => {
      const stage = Number(pick.value);
      place.replaceChildren(code("IR", stageLines(f, stage), [pick, make("span", { class: "soft" }, stage ? "green: new" : "")]));
    };
    pick.value = f.stages.length - 1;
    pick.addEventListener("change", draw);
    draw();
    columns.append(place);
  }
  if (f.host.length) columns.append(code("Machine code", f.host));
  at.replaceChildren(make("h2", { style: "margin-top: 0" }, `${f.trace ? "Trace" : "Fragment"} ${f.id}`), table(["", ""], facts), columns,
    make("h2", {}, "Exits"),
    f.exits.length ? table(["exit", "to", "linked to", "#taken"], f.exits.map(e => {
      const target = e.target !== null ? byId.get(e.target) : undefined;
      return [String(e.number), e.to, target ? link(target) : e.target !== null ? `fragment ${e.target}` : "not linked", e.taken === null ? "" : String(e.taken)];
    })) : make("p", { class: "soft" }, "None."));
  at.scrollTop = 0;
}
function show(id) {
  chosen = id;
  open("traces");
  document.querySelectorAll("#tree .chosen").forEach(e => e.classList.remove("chosen"));
  const row = document.querySelector(`#tree [data-id="${id}"]`);
  if (row) { row.classList.add("chosen"); row.scrollIntoView({ block: "nearest" }); }
  detail(byId.get(id));
}

// The code cache: rows of equal size, hotter fragments stronger.
function cache() {
  const at = document.getElementById("cache");
  const live = run.fragments.filter(f => f.live && f.size).sort((a, b) => a.address - b.address);
  if (!live.length) { at.append("Nothing is in the code cache."); return; }
  // Distances between areas of memory are not drawn.
  const places = [];
  let end = null, offset = 0;
  for (const f of live) {
    if (end !== null) offset += f.address - end > 65536 ? 4096 : f.address - end;
    places.push([f, offset]);
    offset += f.size;
    end = f.address + f.size;
  }
  const width = 1024, rowBytes = Math.max(1024, 2 ** Math.ceil(Math.log2(offset / 48))), rowHeight = 12, rows = Math.ceil(offset / rowBytes);
  const map = make("svg", { id: "map", viewBox: `0 0 ${width} ${rows * rowHeight}`, role: "img", "aria-label": "map of the code cache" });
  const most = Math.max(1, ...live.map(f => f.samples));
  for (const [f, offset] of places)
    for (let from = offset; from < offset + f.size;) {
      const row = Math.floor(from / rowBytes), to = Math.min(offset + f.size, (row + 1) * rowBytes);
      const colour = f.trace ? "#0b6e4f" : "#2f6fb2";
      map.append(make("rect", { x: (from % rowBytes) / rowBytes * width, y: row * rowHeight + 1, width: Math.max(0.6, (to - from) / rowBytes * width - 0.3), height: rowHeight - 2,
        fill: colour, "fill-opacity": 0.25 + 0.75 * Math.sqrt(f.samples / most), onclick: () => show(f.id) },
        make("title", {}, `${f.kind} ${f.id}, ${f.size} bytes, ${label(f)} ${percent(f.samples)}`)));
      from = to;
    }
  const bytes = live.reduce((sum, f) => sum + f.size, 0);
  at.append(make("p", {}, `${live.length} live fragments, ${bytes} bytes; a row is ${rowBytes} bytes. `,
    make("span", { class: "key" }, make("span", {}, make("i", { style: "background: #0b6e4f" }), "traces"), make("span", {}, make("i", { style: "background: #2f6fb2" }), "others"), "stronger: more time")), map);
}

function events() {
  const at = document.getElementById("events");
  const kinds = [...new Set(run.events.map(e => e.kind))];
  if (!run.events.length) { at.append("The event log is empty."); return; }
  if (run.events_lost) at.append(make("p", { class: "note" }, `${run.events_lost} older events were overwritten.`));
  const end = Math.max(run.elapsed_ms, ...run.events.slice(-1).map(e => e.ms)) || 1;
  for (const [i, kind] of kinds.entries()) {
    const some = run.events.filter(e => e.kind === kind), bins = new Array(200).fill(0);
    for (const e of some) bins[Math.min(199, Math.floor(e.ms / end * 200))]++;
    const most = Math.max(...bins);
    at.append(make("h2", {}, `${kind} `, make("span", { class: "soft" }, `${some.length}; at most ${most} in ${ms(end / 200)} ms`)));
    at.append(make("svg", { class: "line", viewBox: "0 0 200 40", preserveAspectRatio: "none" }, bins.map((n, x) =>
      n ? make("rect", { x, y: 40 - 38 * n / most, width: 0.9, height: 38 * n / most, fill: palette[i % palette.length] }) : null)));
  }
  at.append(make("p", { class: "soft" }, `0 to ${ms(end)} ms.`), make("h2", {}, "The log, newest last"));
  const shown = run.events.filter(e => e.kind !== "block").slice(-500);
  at.append(table(["#ms", "what", "where", "detail"], shown.map(e => [e.ms.toFixed(2), e.kind, e.at, e.detail])));
}

const drawn = new Set();
function open(name) {
  for (const section of document.querySelectorAll("main > section")) section.hidden = section.id !== name;
  for (const button of document.querySelectorAll("nav button")) button.setAttribute("aria-selected", String(button.dataset.tab === name));
  if (!drawn.has(name)) {
    drawn.add(name);
    ({ overview, cache, events, traces: tree })[name]();
    if (name === "traces" && chosen === null) {
      const first = treeRows()[0];
      if (first) show(first[0].id);
    }
  }
}
document.getElementById("title").textContent = run.command.join(" ") || run.producer;
// A pause in typing, not each letter, draws the tree anew.
let waiting = 0;
document.getElementById("search").addEventListener("input", () => { clearTimeout(waiting); waiting = setTimeout(tree, 120); });
document.getElementById("sort").addEventListener("change", tree);
for (const button of document.querySelectorAll("nav button")) button.addEventListener("click", () => open(button.dataset.tab));
// A link to the page may name a tab or a trace: #traces, #trace=12.
const wanted = location.hash.slice(1);
const named = Number(wanted.match(/^trace=(\d+)$/)?.[1]);
if (byId.has(named)) show(named);
else open(["traces", "cache", "events"].includes(wanted) ? wanted : "overview");
