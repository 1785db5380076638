// The queue panel: every job with its progress, its picture and whose it is.

import { byId, h, icon } from "./dom.js";
import { ask, thumbnailOf } from "./net.js";
import { drawer, drawerBody, tried } from "./panels.js";
import { jobLine, whole } from "./stage.js";
import { active, currentJob, emit, on, putJob, show, state } from "./state.js";

const MOST = 200; // jobs drawn at once

export function start() {
  on("toggle-queue", toggle);
  on("queue snapshot finished linked", draw);
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
      const known = new Set(state.ended.map((job) => job.id));
      state.ended = [...state.ended, ...jobs.filter((job) => !known.has(job.id))];
      draw();
    });
  }
  draw();
}

function cancelCurrent() {
  const job = currentJob();
  if (job) cancel(job);
}

export function cancel(job) {
  putJob({ ...job, cancel_requested: true });
  emit("queue");
  emit("view");
  return tried(async () => {
    try {
      await ask("DELETE", `jobs/${job.id}`);
    } catch (error) {
      if (error.status !== 409) throw error; // it ended by itself in the meantime
    }
  });
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
  const list = h("ol", { class: "queue-list" }, jobs.slice(0, MOST).map(row));
  body.replaceChildren(
    h("div", { class: "side-acts" },
      state.you?.host !== false && h("button", { type: "button", class: "btn", id: "queue_pause", onclick: pause }, icon(state.paused ? "play" : "pause"), state.paused ? "Resume" : "Pause"),
      h("button", { type: "button", class: "btn", id: "queue_cancel_all", disabled: !jobs.length, onclick: cancelAll }, state.you?.host === false ? "Cancel all of mine" : "Cancel all")),
    state.paused ? h("p", { class: "muted" }, state.pausedBecause || "The queue is paused: what runs is finished, nothing new starts.") : "",
    jobs.length ? list : h("p", { class: "muted" }, "Nothing waits. Press Generate as often as you like; every job finds its place here."),
    jobs.length > MOST ? h("p", { class: "muted" }, `… and ${jobs.length - MOST} more.`) : "",
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
  const item = h("li", { class: "queue-row", "data-job": job.id, draggable: waiting },
    waiting ? h("span", { class: "grip", title: "Drag to reorder" }, icon("grip")) : h("span", { class: "grip" }),
    h("button", { type: "button", class: "thumb", "aria-label": "Show on the stage", onclick: () => show({ kind: "live", job: job.id }) }, image ? h("img", { src: image, alt: "" }) : icon("image")),
    h("div", { class: "queue-text" },
      h("span", { class: "queue-prompt" }, job.request.prompt || "No prompt"),
      h("span", { class: "queue-line muted" }, line(job, progress)),
      h("span", { class: "queue-bar" }, h("i", { style: { transform: `scaleX(${job.status === "running" ? whole(job, progress) : 0})` } }))),
    h("div", { class: "queue-acts" },
      waiting && at > 0 && all[at - 1].status === "queued" && mover("chevron-up", "Earlier", job, all[at - 1].id),
      waiting && at < all.length - 1 && mover("chevron-down", "Later", job, all[at + 2]?.id ?? null),
      h("button", { type: "button", class: "btn quiet icon-btn", "aria-label": "Cancel this job", title: "Cancel", disabled: job.cancel_requested, onclick: () => cancel(job) }, icon("x"))));
  if (waiting) dragging(item, job);
  rows.set(job.id, item);
  return item;
}

const line = (job, progress) => `${owner(job)}${job.request.width} × ${job.request.height}${job.request.count > 1 ? ` · ${job.request.count} pictures` : ""} · ${jobLine(job, progress)}`;
const owner = (job) => (window.GESSO.shared || job.owner !== state.you?.id ? `${job.owner_name} · ` : "");

function mover(name, text, job, before) {
  return h("button", { type: "button", class: "btn quiet icon-btn", "aria-label": text, title: text, onclick: () => move(job.id, before) }, icon(name));
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
