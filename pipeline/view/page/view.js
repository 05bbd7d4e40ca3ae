// The live view: fetches the newest frames and the status of the run while the page is visible.

import { colorTable, countIds, drawMask, readIds } from "./mask.js";

const FRAME_EVERY_MS = 100;
const STATUS_EVERY_MS = 500;
const GOOD = ["running", "done"];
const BAD = ["failed", "stalled", "backing off"];

const find = (selector, root = document) => root.querySelector(selector);
const pause = (ms) => new Promise((resolve) => { setTimeout(resolve, ms); });
const scratch = document.createElement("canvas").getContext("2d", { willReadFrequently: true });

const cards = new Map();
const hidden = new Set();
let classes = [];
let table = colorTable([], hidden);
let opacity = 0.5;
let large = null;
let newest = 0;
let over = false;

class Card {
  constructor(name) {
    this.name = name;
    this.root = find("#stream").content.cloneNode(true).firstElementChild;
    this.context = find("canvas", this.root).getContext("2d");
    this.image = null;
    this.ids = null;
    this.index = 0;
    find("h2", this.root).textContent = name;
    find(".enlarge", this.root).addEventListener("click", () => enlarge(large === name ? null : name));
    find(".snapshot", this.root).addEventListener("click", () => this.save());
    const canvas = this.context.canvas;
    canvas.addEventListener("dblclick", () => enlarge(large === name ? null : name));
    canvas.addEventListener("pointermove", (event) => this.nameClass(event));
    canvas.addEventListener("pointerdown", (event) => this.nameClass(event));
    canvas.addEventListener("pointerleave", () => { find("figcaption", this.root).textContent = ""; });
    canvas.setAttribute("aria-label", `${name}: no frame yet`);
    find("#streams").append(this.root);
  }

  async showFrame(entry, jpeg, png) {
    const exact = { colorSpaceConversion: "none", premultiplyAlpha: "none" };
    const [image, mask] = await Promise.all([
      createImageBitmap(new Blob([jpeg], { type: "image/jpeg" })),
      createImageBitmap(new Blob([png], { type: "image/png" }), exact),
    ]);
    this.image?.close();
    this.image = image;
    this.ids = readIds(mask, scratch);
    this.index = entry.index;
    mask.close();
    this.draw();
  }

  draw() {
    if (!this.image) return;
    const { canvas } = this.context;
    if (canvas.width !== this.image.width || canvas.height !== this.image.height) {
      canvas.width = this.image.width;
      canvas.height = this.image.height;
    }
    this.context.drawImage(this.image, 0, 0);
    drawMask(this.ids, table, scratch, { target: this.context, opacity });
    canvas.dataset.index = this.index;
  }

  nameClass(event) {
    if (!this.ids) return;
    const { canvas } = this.context;
    const place = canvas.getBoundingClientRect();
    const scale = Math.min(place.width / canvas.width, place.height / canvas.height);
    const x = Math.floor((event.clientX - place.left - (place.width - scale * canvas.width) / 2) / scale);
    const y = Math.floor((event.clientY - place.top - (place.height - scale * canvas.height) / 2) / scale);
    const inside = x >= 0 && y >= 0 && x < canvas.width && y < canvas.height;
    const id = inside ? this.ids[y * canvas.width + x] : -1;
    find("figcaption", this.root).textContent = classes[id]?.name ?? "";
  }

  save() {
    if (!this.image) return;
    this.context.canvas.toBlob((blob) => {
      const link = document.createElement("a");
      link.href = URL.createObjectURL(blob);
      link.download = `${this.name}-${String(this.index).padStart(6, "0")}.png`;
      link.click();
      setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
    }, "image/png");
  }

  showStatus(stream) {
    const state = find(".state", this.root);
    state.textContent = stream.state;
    const kind = GOOD.includes(stream.state) ? "good" : BAD.includes(stream.state) ? "bad" : "wait";
    state.className = `state ${kind}`;
    find(".trouble", this.root).textContent = stream.last_error && kind !== "good" ? stream.last_error : "";
    const metrics = [
      ["frames", `${stream.encoded}${stream.promised ? ` of ${stream.promised}` : ""}`],
      ["frames/s", stream.frames_per_second.toFixed(1)],
      ["latency", latency(stream.latency_ms)],
      ["in flight", Object.values(stream.in_flight).reduce((sum, count) => sum + count, 0)],
      ...lostFrames("dropped", stream.dropped),
      ...lostFrames("failed", stream.failed),
      ...lostFrames("undecodable", stream.undecodable),
    ];
    find("dl", this.root).replaceChildren(...metrics.map(([name, value, bad]) => metricRow(name, value, bad)));
  }
}

function metricRow(name, value, bad) {
  const row = document.createElement("div");
  const term = document.createElement("dt");
  const text = document.createElement("dd");
  term.textContent = name;
  text.textContent = value;
  text.classList.toggle("bad", Boolean(bad));
  row.append(term, text);
  return row;
}

function latency({ p50, p95 }) {
  return p50 === undefined ? "\u2013" : `${p50.toFixed(0)} ms, p95 ${p95.toFixed(0)} ms`;
}

function lostFrames(word, reasons) {
  return Object.entries(reasons).map(([reason, count]) => [word, `${count} (${reason})`, word !== "dropped"]);
}

function enlarge(name) {
  large = name;
  for (const card of cards.values()) {
    card.root.classList.toggle("large", card.name === name);
    const button = find(".enlarge", card.root);
    button.setAttribute("aria-pressed", String(card.name === name));
  }
  if (name) cards.get(name).root.scrollIntoView({ block: "nearest" });
}

function listClasses(listed) {
  if (JSON.stringify(listed) === JSON.stringify(classes)) return;
  classes = listed;
  find("#classes").replaceChildren(...classes.map(({ name, colour: color }, id) => {
    const item = document.createElement("li");
    const label = document.createElement("label");
    const box = document.createElement("input");
    box.type = "checkbox";
    box.checked = !hidden.has(id);
    box.dataset.id = id;
    const swatch = document.createElement("span");
    swatch.className = "swatch";
    swatch.style.background = `rgb(${color.join(" ")})`;
    const text = document.createElement("span");
    text.textContent = name;
    const share = document.createElement("span");
    share.className = "share";
    label.append(box, swatch, text, share);
    item.append(label);
    return item;
  }));
  recolor();
}

function recolor() {
  table = colorTable(classes, hidden);
  for (const card of cards.values()) card.draw();
}

function switchAll(on) {
  for (const box of document.querySelectorAll("#classes input")) {
    box.checked = on;
    if (on) hidden.delete(Number(box.dataset.id)); else hidden.add(Number(box.dataset.id));
  }
  recolor();
}

function showShares() {
  const counts = new Array(256).fill(0);
  for (const card of cards.values()) {
    if (!card.ids) continue;
    const own = new Array(256).fill(0);
    countIds(card.ids, own);
    card.context.canvas.setAttribute("aria-label", describe(card, own));
    if (large === null || large === card.name) own.forEach((count, id) => { counts[id] += count; });
  }
  const total = counts.reduce((sum, count) => sum + count, 0);
  document.querySelectorAll("#classes .share").forEach((share, id) => {
    share.textContent = total ? `${(100 * counts[id] / total).toFixed(1)} %` : "";
  });
}

function describe(card, counts) {
  const most = classes
    .map(({ name }, id) => [counts[id] / card.ids.length, name])
    .sort(([a], [b]) => b - a)
    .slice(0, 3)
    .map(([share, name]) => `${name} ${Math.round(100 * share)} %`);
  return `${card.name}, frame ${card.index}: ${most.join(", ")}`;
}

function showRun(text, bad = false) {
  const line = find("#run");
  if (line.textContent !== text) line.textContent = text;
  line.classList.toggle("bad", bad);
}

function showStatus(status) {
  over = status.over;
  listClasses(status.classes);
  for (const stream of status.streams) {
    if (!cards.has(stream.name)) cards.set(stream.name, new Card(stream.name));
    cards.get(stream.name).showStatus(stream);
  }
  const rate = status.streams.reduce((sum, stream) => sum + stream.frames_per_second, 0);
  const { network } = status;
  const parts = [
    over ? "the run is over" : network.warm ? "running" : "the network is warming up",
    `${rate.toFixed(1)} frames/s`,
    `${network.runtime} on ${network.device}, ${network.precision}, ${network.replicas}\u00d7`,
    `up ${Math.floor(status.uptime_s / 60)} min ${Math.floor(status.uptime_s % 60)} s`,
  ];
  if (status.restarts) parts.push(`${status.restarts} restarts`);
  showRun(parts.join(" \u00b7 "));
}

async function request(path) {
  const response = await fetch(path, { cache: "no-store", signal: AbortSignal.timeout(30_000) });
  if (response.status === 401) location.reload();
  if (!response.ok) throw new Error(`${path}: ${response.status}`);
  return response;
}

async function showFrames() {
  const response = await request(`frames?after=${newest}`);
  if (response.status === 204) return;
  const data = await response.arrayBuffer();
  const length = new DataView(data).getUint32(0);
  const { frames } = JSON.parse(new TextDecoder().decode(new Uint8Array(data, 4, length)));
  let start = 4 + length;
  const drawing = frames.map((entry) => {
    const jpeg = new Uint8Array(data, start, entry.picture_bytes);
    const png = new Uint8Array(data, start + entry.picture_bytes, entry.ids_bytes);
    start += entry.picture_bytes + entry.ids_bytes;
    newest = Math.max(newest, entry.number);
    return cards.get(entry.stream)?.showFrame(entry, jpeg, png);
  });
  await Promise.all(drawing);
}

async function repeat(everyMs, action, onError) {
  for (;;) {
    const next = performance.now() + everyMs;
    try {
      if (document.hidden) await new Promise((resolve) => { document.addEventListener("visibilitychange", resolve, { once: true }); });
      await action();
    } catch {
      onError();
      await pause(1000);
    }
    await pause(Math.max(0, next - performance.now()));
  }
}

find("#opacity").addEventListener("input", (event) => {
  opacity = event.target.value / 100;
  find("#opacity-shown").textContent = `${event.target.value} %`;
  recolor();
});
find("#classes").addEventListener("change", (event) => {
  const id = Number(event.target.dataset.id);
  if (event.target.checked) hidden.delete(id); else hidden.add(id);
  recolor();
});
find("#all").addEventListener("click", () => switchAll(true));
find("#none").addEventListener("click", () => switchAll(false));
document.addEventListener("keydown", (event) => { if (event.key === "Escape") enlarge(null); });
setInterval(showShares, 1000);

repeat(STATUS_EVERY_MS, async () => showStatus(await (await request("status")).json()), () => {
  showRun(over ? "the run is over" : "no answer from the run", !over);
});
repeat(FRAME_EVERY_MS, showFrames, () => {});
