// The queue panel: every job with its progress, its picture and whose it is.

import { byId, h, icon } from "./dom.js";
import { ask, thumbnailOf, Trouble } from "./net.js";
import { drawer, drawerBody, toast, tried } from "./panels.js";
import { jobLine, whole } from "./stage.js";
import { active, caughtUp, currentJob, emit, hidden, isHost, isMine, mayChange, on, placed, putJob, show, state, windowed } from "./state.js";

const MOST = 200; // jobs drawn at once: of everyone, and as many of mine behind them

export function start() {
  on("toggle-queue", toggle);
  on("queue snapshot finished linked", draw);
  on("queue", refill);
  on("progress", drawProgress);
  on("cancel", cancelCurrent);
  addEventListener("pointerdown", (event) => { pressed = Boolean(event.target.closest?.("#queue_panel button")); }, true);
  for (const end of ["pointerup", "pointercancel"]) {
    addEventListener(end, () => {
      if (!pressed) return;
      setTimeout(() => { pressed = false; draw(); }); // after the click
    }, true);
  }
}

function toggle() {
  const body = drawer("queue_panel", "Queue", { focus: true, onclose: () => byId("chip_queue").setAttribute("aria-expanded", "false") });
  byId("chip_queue").setAttribute("aria-expanded", String(Boolean(body)));
  if (!body) return;
  if (!state.ended.length) {
    tried(async () => {
      const { jobs } = await ask("GET", "jobs?active=false&limit=12");
      caughtUp(jobs, new Set());
    });
  }
  draw();
}

function cancelCurrent() {
  const job = currentJob();
  if (!job) return;
  if (mayChange(job)) cancel(job);
  else toast(`This job belongs to ${job.owner_name}: only they and the host can cancel it.`);
}

function cancel(job) {
  asksToCancel(job, true);
  return tried(async () => {
    try {
      await ask("DELETE", `jobs/${job.id}`);
    } catch (error) {
      if (error.status === 409) return; // it ended by itself in the meantime
      asksToCancel(job, job.cancel_requested);
      throw error;
    }
  });
}

function asksToCancel({ id }, yes) {
  const job = state.jobs.get(id);
  if (!job) return;
  putJob({ ...job, cancel_requested: yes });
  emit("queue");
  emit("view");
}

let filling = false;

/** Most of the jobs that were known have ended, and others wait behind them: those are asked for. */
async function refill() {
  if (filling || !hidden() || active().filter(placed).length >= MOST / 2) return;
  filling = true;
  const page = await tried(() => ask("GET", `jobs?active=true&limit=${MOST}`));
  filling = false;
  if (page) windowed(page.jobs, page.jobs.length < MOST);
}

const rows = new Map();
let pressed = false; // between the press of a button and its click: drawn anew, it would never be clicked

function draw() {
  const body = drawerBody("queue_panel");
  if (!body) {
    rows.clear();
    return;
  }
  const jobs = active();
  const held = body.querySelector(".queue-list");
  if (held?.dataset.dragging || pressed) return;
  const focused = place(body);
  rows.clear();
  const first = jobs.filter(placed).slice(0, MOST);
  const own = jobs.slice(first.length).filter(isMine).slice(0, MOST);
  const more = state.total - first.length - own.length;
  const items = [...first, ...own].map(row);
  if (more > 0) items.splice(first.length, 0, h("li", { class: "muted" }, `… and ${more.toLocaleString()} more${own.length ? ", before these or behind them" : ""}.`));
  const list = h("ol", { class: "queue-list" }, items);
  body.replaceChildren(
    h("div", { class: "side-acts" },
      state.you?.host !== false && h("button", { type: "button", class: "btn", id: "queue_pause", onclick: pause }, icon(state.paused ? "play" : "pause"), state.paused ? "Resume" : "Pause"),
      h("button", { type: "button", class: "btn", id: "queue_cancel_all", disabled: !jobs.some(mayChange), onclick: cancelAll }, state.you?.host === false ? "Cancel all of mine" : "Cancel all")),
    state.paused ? h("p", { class: "muted" }, state.pausedBecause || "The queue is paused: what runs is finished, nothing new starts.") : "",
    jobs.length ? list : h("p", { class: "muted" }, "Nothing waits. Press Generate as often as you like; every job finds its place here."),
    ...past());
  focused?.()?.focus({ preventScroll: true });
}

/** What finds the button that has the focus now once the rows are drawn anew, or the nearest one that can take it. */
function place(body) {
  const button = body.contains(document.activeElement) ? document.activeElement : null;
  if (!button) return null;
  const job = button.closest("[data-job]")?.dataset.job;
  const at = [...body.querySelectorAll(".queue-row")].indexOf(button.closest(".queue-row"));
  const name = button.getAttribute("aria-label");
  return () => {
    if (button.id) return byId(button.id);
    const row = body.querySelector(`[data-job="${CSS.escape(job ?? "")}"]`) ?? body.querySelectorAll(".queue-row")[at];
    return row?.querySelector(`[aria-label="${name}"]:not(:disabled)`) ?? row?.querySelector("button:not(:disabled)") ?? body.querySelector("button");
  };
}

function row(job, at, all) {
  const progress = state.progress.get(job.id);
  const waiting = job.status === "queued";
  const preview = state.preview.get(job.id);
  const picture = state.recent.find((one) => one.job_id === job.id);
  const image = preview ?? (picture ? thumbnailOf(picture) : null);
  const item = h("li", { class: "queue-row", "data-job": job.id, draggable: waiting && isHost() },
    waiting && isHost() ? h("span", { class: "grip", title: "Drag to reorder" }, icon("grip")) : h("span", { class: "grip" }),
    h("button", { type: "button", class: "thumb", "aria-label": "Show on the stage", onclick: () => show({ kind: "live", job: job.id }) }, image ? h("img", { src: image, alt: "" }) : icon("image")),
    h("div", { class: "queue-text" },
      h("span", { class: "queue-prompt" }, job.request.prompt || "No prompt"),
      h("span", { class: "queue-line muted" }, line(job, progress)),
      h("span", { class: "queue-bar" }, h("i", { style: { transform: `scaleX(${job.status === "running" ? whole(job, progress) : 0})` } }))),
    h("div", { class: "queue-acts" },
      waiting && isHost() && (!placed(job) || (at > 0 && all[at - 1].status === "queued")) && mover("chevron-up", "Earlier", "Earlier", () => shift(job, -1)),
      waiting && mayChange(job) && (hidden() > 0 || job.id !== active().at(-1).id) && (isHost()
        ? mover("chevron-down", "Later", "Later", () => shift(job, 1)) : mover("chevron-down", "Later", "To the end of the queue", () => move(job.id, null))),
      mayChange(job) && h("button", { type: "button", class: "btn quiet icon-btn", "aria-label": "Cancel this job", title: "Cancel", disabled: job.cancel_requested, onclick: () => cancel(job) }, icon("x"))));
  if (waiting && isHost()) dragging(item, job);
  rows.set(job.id, item);
  return item;
}

const line = (job, progress) => `${owner(job)}${job.request.width} × ${job.request.height}${job.request.count > 1 ? ` · ${job.request.count} pictures` : ""} · ${jobLine(job, progress)}`;
const owner = (job) => (window.GESSO.shared || job.owner !== state.you?.id ? `${job.owner_name} · ` : "");

function mover(name, text, title, action) {
  return h("button", { type: "button", class: "btn quiet icon-btn", "aria-label": text, title, onclick: action }, icon(name));
}

/** One place earlier (`by` is -1) or later (1). Where not every job is known here, the server says which ones are beside it. */
function shift(job, by) {
  return tried(async () => {
    const list = hidden() ? await neighbours(job) : active();
    const at = list.findIndex((other) => other.id === job.id);
    if (at < 0) throw new Trouble("The queue has just changed. Try once more.");
    const passed = list[at + by];
    if (passed?.status === "queued") await move(job.id, by < 0 ? passed.id : list[at + 2]?.id ?? null);
  });
}

/** The one before it, itself, and the two behind. */
async function neighbours(job) {
  const { position } = await ask("GET", `jobs/${job.id}`);
  const running = active().filter((other) => other.status === "running").length;
  const { jobs } = await ask("GET", `jobs?active=true&limit=4&offset=${Math.max(0, running + position - 1)}`);
  return jobs;
}

function move(id, before) {
  return tried(() => ask("POST", `jobs/${id}/move`, { before }));
}

function dragging(item, job) {
  item.addEventListener("dragstart", (event) => {
    event.dataTransfer.setData("application/x-gesso-job", job.id);
    event.dataTransfer.effectAllowed = "move";
    item.classList.add("dragged");
    item.parentElement.dataset.dragging = "1";
  });
  item.addEventListener("dragend", () => {
    item.classList.remove("dragged");
    delete item.parentElement?.dataset.dragging;
    for (const mark of document.querySelectorAll(".queue-row.above")) mark.classList.remove("above");
    draw();
  });
  item.addEventListener("dragover", (event) => {
    if (!event.dataTransfer.types.includes("application/x-gesso-job")) return;
    event.preventDefault();
    item.classList.add("above");
  });
  item.addEventListener("dragleave", () => item.classList.remove("above"));
  item.addEventListener("drop", (event) => {
    event.preventDefault();
    event.stopPropagation();
    const id = event.dataTransfer.getData("application/x-gesso-job");
    delete item.parentElement.dataset.dragging;
    if (id && id !== job.id) move(id, job.id);
  });
}

function drawProgress({ job_id: id }) {
  const item = rows.get(id);
  const job = state.jobs.get(id);
  if (!item?.isConnected || !job) return;
  const progress = state.progress.get(id);
  item.querySelector(".queue-line").textContent = line(job, progress);
  item.querySelector(".queue-bar i").style.transform = `scaleX(${whole(job, progress)})`;
  const preview = state.preview.get(id);
  if (!preview) return;
  const image = item.querySelector(".thumb img");
  if (image) image.src = preview;
  else item.querySelector(".thumb").replaceChildren(h("img", { src: preview, alt: "" }));
}

const ENDS = { done: "done", failed: "failed", cancelled: "cancelled" };

function past() {
  if (!state.ended.length) return [];
  return [
    h("h3", {}, "Before"),
    h("ol", { class: "queue-list past" }, state.ended.slice(0, 12).map((job) => h("li", { class: "queue-row" },
      h("div", { class: "queue-text" },
        h("span", { class: "queue-prompt" }, job.request.prompt || "No prompt"),
        h("span", { class: `queue-line ${job.status === "failed" ? "bad" : "muted"}` }, `${owner(job)}${job.status === "failed" ? job.error || "failed" : `${ENDS[job.status]}${job.made ? ` · ${job.made} of ${job.request.count}` : ""}`}`)),
      h("div", { class: "queue-acts" }, h("button", { type: "button", class: "btn quiet icon-btn", "aria-label": "Queue it again", title: "Queue it again",
        onclick: () => tried(() => ask("POST", "jobs", job.request)) }, icon("rotate")))))),
  ];
}

export function pause() {
  return tried(() => ask("POST", "queue", { paused: !state.paused }));
}

function cancelAll() {
  return tried(() => ask("POST", "jobs/cancel"));
}
