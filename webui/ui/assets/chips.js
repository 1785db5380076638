// The top bar: tabs, the checkpoint's facts, the engine, the queue, people, colours.

import { arrows, byId, bytes, clock, h } from "./dom.js";
import { menu, toast } from "./panels.js";
import { active, emit, hidden, on, state } from "./state.js";

const TAB_KEY = "gesso.tab";

export function start() {
  const nav = document.querySelector("#gesso_nav .tabs");
  nav.addEventListener("click", (event) => { const tab = event.target.closest(".tab-button"); if (tab) open(tab.dataset.tab); });
  arrows(nav, ".tab-button");
  for (const button of nav.children) {
    const panel = byId(`tab_${button.dataset.tab}`);
    panel?.setAttribute("role", "tabpanel");
    panel?.setAttribute("aria-labelledby", button.id);
  }
  byId("nav_menu").addEventListener("change", (event) => open(event.target.value));
  addEventListener("hashchange", () => open(decodeURIComponent(location.hash.slice(1)), { push: false }));
  byId("chip_theme").addEventListener("click", () => {
    const set = (choice) => () => { window.GESSO.setTheme(choice); emit("theme"); };
    menu([["As the system", set("system"), "contrast"], ["Light", set("light"), "square"], ["Dark", set("dark"), "square"]], { anchor: byId("chip_theme") });
  });
  byId("chip_queue").addEventListener("click", () => emit("toggle-queue"));
  on("queue progress pending linked snapshot", drawQueue);
  on("engines linked snapshot progress", drawEngine);
  on("notice", () => state.notice && toast(state.notice.message, { bad: state.notice.level === "warning", seconds: 10 }));
  on("form checkpoints", drawCheckpoint);
  on("person snapshot", drawPeople);
  const first = document.documentElement.dataset.tab;
  open(byId(`tab_${first}`) ? first : window.GESSO.tab, { push: false });
  drawQueue();
}

export function tabs() {
  return [...document.querySelectorAll(".tab-button")].map((button) => button.dataset.tab);
}

export const openTab = () => document.documentElement.dataset.tab;

export function open(id, { push = true } = {}) {
  if (!byId(`tab_${id}`)) return;
  document.documentElement.dataset.tab = id;
  for (const tab of document.querySelectorAll(".gradio-container .tab")) tab.classList.toggle("on", tab.id === `tab_${id}`);
  for (const button of document.querySelectorAll(".tab-button")) {
    const on = button.dataset.tab === id;
    button.setAttribute("aria-selected", String(on));
    button.tabIndex = on ? 0 : -1;
  }
  byId("nav_menu").value = id;
  document.documentElement.classList.remove("full");
  if (push) {
    history.replaceState(null, "", `#${encodeURIComponent(id)}`);
    try { localStorage.setItem(TAB_KEY, id); } catch { /* private window */ }
  }
  emit("tab", id);
}

/** What all active jobs still need, where the running one tells how fast this machine is; null where nobody can know. */
function secondsLeft(jobs) {
  let speed = null; // seconds for a step of a megapixel
  let total = 0;
  for (const job of jobs) {
    const progress = state.progress.get(job.id);
    if (job.status !== "running" || progress?.seconds_left === null || progress?.seconds_left === undefined) continue;
    total += progress.seconds_left;
    const steps = (job.request.count - progress.index) * progress.total - progress.step;
    if (steps > 0) speed = progress.seconds_left / steps / (job.request.width * job.request.height);
  }
  if (speed === null) return null;
  for (const job of jobs.filter((waiting) => waiting.status === "queued")) {
    const { width, height, count, sampling } = job.request;
    total += speed * (count - job.made) * sampling.steps * width * height;
  }
  return total;
}

function drawQueue() {
  const jobs = active();
  const count = Math.max(state.total, jobs.length) + state.pending;
  const text = byId("chip_queue").querySelector(".chip-text");
  if (state.linked === false) text.replaceChildren("reconnecting …");
  else if (!count) text.replaceChildren(state.paused ? "queue paused" : "queue empty");
  else {
    const seconds = state.paused ? null : secondsLeft(jobs);
    const rest = state.paused ? " · paused" : seconds === null ? "" : ` · ${hidden() ? "over " : ""}${clock(seconds)}`;
    text.replaceChildren(h("b", {}, String(count)), ` in queue${rest}`);
  }
  const cancel = byId("txt2img_interrupt");
  cancel?.classList.toggle("idle", !count);
}

const WORDS = { starting: "starting", idle: "ready", busy: "working", restarting: "not running", stopped: "stopped" };

function drawEngine() {
  const chip = byId("chip_engine");
  const engine = state.engines.find((one) => one.status === "busy") ?? state.engines[0];
  chip.hidden = !engine;
  if (!engine) return;
  const gigabytes = (count) => (count / 2 ** 30).toFixed(1);
  const calm = engine.status === "idle" || engine.status === "busy";
  const memory = calm && engine.memory_total ? `${gigabytes(engine.memory_used)} of ${gigabytes(engine.memory_total)} GB` : null;
  chip.querySelector(".chip-text").textContent = memory ?? WORDS[engine.status]; // a word: why an engine died is a sentence, and the bar has no room for one
  chip.querySelector(".dot").className = `dot ${{ busy: "busy", starting: "wait", restarting: "wait", stopped: "off" }[engine.status] ?? ""}`;
  chip.title = [engine.label, WORDS[engine.status], engine.message, engine.loaded.length ? `In memory: ${engine.loaded.join(", ")}` : ""].filter(Boolean).join(" · ");
}

export const checkpoint = () => state.checkpoints.find((record) => record.id === state.form.checkpoint) ?? null;

function drawCheckpoint() {
  const record = checkpoint();
  const place = document.querySelector("#setting_sd_model_checkpoint .secondary-wrap");
  if (!place) return;
  place.dataset.meta = record ? `${record.family} · ${bytes(record.bytes)}` : "";
  place.querySelector("input").placeholder = record ? "" : "no checkpoint";
}

function drawPeople() {
  const people = byId("chip_people");
  const owners = new Map();
  if (state.you) owners.set(state.you.id, state.you.name);
  for (const job of state.jobs.values()) owners.set(job.owner, job.owner_name);
  people.hidden = !(window.GESSO.shared || owners.size > 1);
  people.replaceChildren(...[...owners].slice(0, 5).map(([id, name]) => h("span", { class: "av", title: id === state.you?.id ? `${name} (you)` : name }, (name[0] ?? "?").toUpperCase())));
}
