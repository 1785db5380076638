// The stage: live preview, finished picture, progress; the actions under it and the strip.

import { byId, clock, h, icon, later } from "./dom.js";
import { ask, fileOf, thumbnailOf } from "./net.js";
import { tried, menu } from "./panels.js";
import { contextMenu, details, download, followDetails, reuseRows, star, trash, vary } from "./pictures.js";
import { active, caughtUp, currentJob, emit, hidden, isMine, myActive, on, placed, renewed, show, shownPicture, state, STRIP } from "./state.js";

const LARGEST = 4; // a picture is shown at up to four times its size
let room = { width: 0, height: 0 };
let frameSize = null; // px of the picture or preview in the frame
let token = 0; // only the latest of several loads may appear
let frame, hud, bar, fill, strip;

export function start() {
  [frame, hud, bar, strip] = ["stage_frame", "stage_hud", "stage_progress", "txt2img_gallery"].map(byId);
  fill = bar.firstElementChild;
  new ResizeObserver(measure).observe(byId("stage_pic"));
  measure();
  wireActions();
  wireFrame();
  strip.addEventListener("wheel", (event) => { // a mouse has one wheel, and the strip lies
    if (event.deltaX || strip.scrollWidth <= strip.clientWidth) return;
    event.preventDefault();
    strip.scrollLeft += event.deltaY;
  }, { passive: false });
  on("view progress", draw);
  on("saved", ({ id, picture }) => {
    if (state.view.kind === "live" && state.view.job === id) appear(fileOf(picture), picture.width, picture.height, { soft: false });
    if (isShownJob(id)) announce(`Picture ${picture.index + 1} is done.`);
  });
  on("view recent snapshot queue", drawStrip);
  on("progress", drawTile);
  on("finished", ended);
  on("snapshot", ({ again, lost }) => {
    loadRecent();
    if (again) loadEnded(lost);
  });
  on("pending linked", draw);
  draw();
}

async function loadRecent() {
  const asked = new Set(state.recent.map((picture) => picture.id));
  const page = await tried(() => ask("GET", `images?mine=true&per_page=${STRIP}`));
  if (!page) return;
  renewed(page.pictures, asked);
  const { view } = state;
  if (view.kind === "live" || (view.kind === "picture" && (!state.following || view.picture.id === state.recent[0]?.id))) return;
  const running = myActive()[0];
  if (running) show({ kind: "live", job: running.id }, { follow: true });
  else if (state.recent[0]) show({ kind: "picture", picture: state.recent[0] }, { follow: true });
  else show({ kind: "empty" }, { follow: true });
}

/** What ended while nothing was heard; a failure tells its reason now. */
async function loadEnded(lost) {
  const page = await tried(() => ask("GET", "jobs?active=false&limit=200"));
  if (page) caughtUp(page.jobs, lost);
}

const isShownJob = (id) => currentJob()?.id === id;

// --- the frame ---

function measure() {
  const place = byId("stage_pic");
  const edge = innerWidth <= 900 ? 0 : document.documentElement.classList.contains("full") ? 0 : 36;
  room = { width: place.clientWidth - edge, height: place.clientHeight - edge };
  if (!frameSize) return;
  fit(...frameSize);
  drawHud(state.view.kind === "live" ? state.jobs.get(state.view.job) : null);
}

function fit(width, height) {
  frameSize = [width, height];
  const scale = Math.min(room.width / width, room.height / height, LARGEST);
  frame.style.width = `${Math.max(1, Math.floor(width * scale))}px`;
  frame.style.height = `${Math.max(1, Math.floor(height * scale))}px`;
  frame.hidden = false;
  return scale;
}

/** Puts a picture into the frame once it can be painted, so that nothing flashes. */
async function appear(address, width, height, { soft, first = null }) {
  const mine = ++token;
  fit(width, height);
  if (first) await place(first, mine, true);
  await place(address, mine, soft);
}

async function place(address, mine, soft) {
  const image = new Image();
  image.src = address;
  try {
    await image.decode();
  } catch {
    return; // the file is gone, or a newer one came: what is shown stays
  }
  if (mine !== token) return;
  image.id = "stage_picture";
  image.alt = soft ? "Preview" : shownPicture()?.prompt || "The picture";
  image.draggable = !soft;
  image.dataset.kind = soft ? "preview" : "picture";
  frame.replaceChildren(image);
}

function clearFrame() {
  token += 1;
  frame.replaceChildren();
  frame.hidden = true;
  frameSize = null;
}

let painted = "";

function draw() {
  const { view } = state;
  byId("stage_empty").hidden = !(view.kind === "empty" && !state.pending);
  const job = view.kind === "live" ? state.jobs.get(view.job) : null;
  if (job) {
    const preview = state.preview.get(job.id);
    const key = `${job.id} ${preview ? preview.length + preview.slice(-40) : ""}`;
    if (preview && key !== painted) appear(preview, job.request.width, job.request.height, { soft: true });
    else if (!preview && !painted.startsWith(job.id) && job.made === 0) blank(job);
    painted = key;
  } else if (view.kind === "picture") {
    const { picture } = view;
    const key = `picture ${picture.id}`;
    if (painted !== key) appear(fileOf(picture), picture.width, picture.height, { soft: false, first: thumbnailOf(picture) });
    painted = key;
    followDetails(picture);
  } else if (view.kind === "empty") {
    if (painted !== "empty") clearFrame();
    painted = "empty";
  }
  drawHud(job);
  drawActions();
}

function blank(job) {
  token += 1;
  frame.replaceChildren();
  fit(job.request.width, job.request.height);
}

function drawHud(job) {
  const running = job ?? currentJob();
  const progress = running && state.progress.get(running.id);
  const text = state.linked === false ? "Gesso does not answer; reconnecting …" : job || state.pending ? jobLine(job, job && state.progress.get(job.id)) : pictureLine();
  hud.textContent = text;
  hud.hidden = !text;
  const done = running ? (running.status === "running" ? whole(running, progress) : 0) : 0;
  bar.hidden = !running && !state.pending;
  fill.style.transform = `scaleX(${done})`;
  bar.setAttribute("aria-valuenow", String(Math.round(done * 100)));
  document.title = running ? (running.status === "running" ? `${Math.round(done * 100)} % · Gesso` : "queued · Gesso") : state.pending ? "queued · Gesso" : "Gesso";
}

export function whole(job, progress) {
  const at = progress ? progress.index + (progress.total ? progress.step / progress.total : 0) : job.made;
  return Math.min(1, at / job.request.count);
}

export function jobLine(job, progress) {
  if (!job) return "queued";
  if (job.cancel_requested) return "cancelling …";
  if (job.status === "queued") {
    const ahead = active().findIndex((other) => other.id === job.id);
    const why = progress?.message ? ` · ${progress.message}` : "";
    if (state.paused) return `queued · the queue is paused${why}`;
    if (hidden() && !placed(job)) return `queued · at least ${ahead} ahead${why}`;
    return (ahead > 0 ? `queued · ${ahead} ahead` : "queued · next") + why;
  }
  if (!progress || progress.step === 0) return progress?.message || "starting …";
  const parts = [`step ${progress.step} of ${progress.total}`];
  if (job.request.count > 1) parts.push(`picture ${progress.index + 1} of ${job.request.count}`);
  if (progress.seconds_left !== null && progress.seconds_left !== undefined) parts.push(left(progress.seconds_left));
  if (progress.message) parts.push(progress.message);
  return parts.join(" · ");
}

const left = (seconds) => (seconds < 60 ? `${Math.max(1, Math.ceil(seconds))} s left` : `${clock(seconds)} left`);

function pictureLine() {
  const picture = shownPicture();
  if (!picture || !frameSize) return "";
  const percent = Math.round((frame.clientWidth / picture.width) * 100);
  return `${picture.width} × ${picture.height}${percent ? ` · ${percent} %` : ""}`;
}

// --- what went wrong ---

function ended(job) {
  if (!isMine(job)) return;
  if (job.status === "failed") trouble(job.error || "This job failed.", [["Try again", () => again(job)]]);
}

function again(job) {
  return tried(async () => {
    emit("pressed");
    try {
      const made = await ask("POST", "jobs", job.request);
      emit("queued", { job: made.id });
    } catch (error) {
      emit("refused");
      throw error;
    }
  });
}

/** A sentence at the stage's foot with the way out. */
export function trouble(sentence, ways = []) {
  const box = byId("stage_trouble");
  const close = () => { box.hidden = true; };
  box.replaceChildren(icon("alert"), h("span", { class: "says" }, sentence),
    ...ways.map(([label, action]) => h("button", { type: "button", class: "btn", onclick: () => { close(); action(); } }, label)),
    h("button", { type: "button", class: "btn quiet icon-btn", "aria-label": "Close", onclick: close }, icon("x")));
  box.hidden = false;
}

on("pressed", () => { const box = byId("stage_trouble"); if (box) box.hidden = true; });

const announcer = h("div", { class: "off-screen", role: "status", "aria-live": "polite" });
document.body.append(announcer);
const announce = later((text) => { announcer.textContent = text; }, 200);

// --- actions ---

function wireActions() {
  const acts = byId("stage_actions");
  const withPicture = (action) => () => { const picture = shownPicture(); if (picture) action(picture); };
  acts.querySelector('[data-act="vary"]').addEventListener("click", withPicture(vary));
  const reuse = acts.querySelector('[data-act="reuse"]');
  reuse.addEventListener("click", withPicture((picture) => menu(reuseRows(picture), { anchor: reuse })));
  byId("act_star").addEventListener("click", withPicture((picture) => star(picture)));
  byId("act_download").addEventListener("click", withPicture(download));
  byId("act_info").addEventListener("click", withPicture((picture) => details(picture)));
  byId("act_full").addEventListener("click", fullStage);
  byId("act_delete").addEventListener("click", withPicture((picture) => trash([picture])));
}

function drawActions() {
  const picture = shownPicture();
  for (const button of byId("stage_actions").querySelectorAll(".btn")) {
    if (button.id !== "act_full") button.disabled = !picture;
  }
  byId("act_star").classList.toggle("on", Boolean(picture?.starred));
  byId("act_star").setAttribute("aria-pressed", String(Boolean(picture?.starred)));
}

export function fullStage() {
  document.documentElement.classList.toggle("full");
  requestAnimationFrame(() => { measure(); draw(); });
}

function wireFrame() {
  frame.addEventListener("contextmenu", (event) => { const picture = shownPicture(); if (picture) contextMenu(event, picture); });
  frame.addEventListener("dblclick", fullStage);
  frame.addEventListener("dragstart", (event) => {
    const picture = shownPicture();
    if (!picture) return;
    const address = new URL(fileOf(picture), document.baseURI).href;
    event.dataTransfer.setData("DownloadURL", `image/png:${picture.path.split("/").pop()}:${address}`);
    event.dataTransfer.setData("text/uri-list", address);
    event.dataTransfer.setData("application/x-gesso-picture", picture.id);
  });
}

// --- the strip ---

const tiles = new Map();

function drawStrip() {
  const shown = state.view.kind === "live" ? `job ${state.view.job}` : state.view.kind === "picture" ? `picture ${state.view.picture.id}` : "";
  const jobs = stripJobs();
  const wanted = [
    ...jobs.map((job) => [`job ${job.id}`, () => jobTile(job)]),
    ...state.recent.map((picture) => [`picture ${picture.id}`, () => pictureTile(picture), picture]),
  ];
  const names = new Set(wanted.map(([name]) => name));
  for (const [name, tile] of tiles) {
    if (names.has(name)) continue;
    tile.remove();
    tiles.delete(name);
  }
  wanted.forEach(([name, make, picture], at) => {
    const tile = tiles.get(name) ?? make();
    tiles.set(name, tile);
    if (strip.children[at] !== tile) strip.insertBefore(tile, strip.children[at] ?? null);
    tile.classList.toggle("sel", name === shown);
    tile.setAttribute("aria-selected", String(name === shown));
    tile.tabIndex = name === shown || (at === 0 && !names.has(shown)) ? 0 : -1; // one stop for Tab; the arrows walk on
    if (picture) tile.querySelector(".badge").toggleAttribute("hidden", !picture.starred);
  });
  strip.querySelector(".strip-empty")?.remove();
  if (!wanted.length) strip.append(h("span", { class: "strip-empty" }, "Pictures you make appear here."));
  for (const job of jobs) drawTile({ job_id: job.id });
  const selected = strip.querySelector(".sel");
  if (selected && strip.dataset.shown !== shown) selected.scrollIntoView({ block: "nearest", inline: "nearest" });
  strip.dataset.shown = shown;
}

/** What runs, or the one that runs next, or whichever the stage shows: the queue has a panel of its own. */
function stripJobs() {
  const jobs = myActive();
  const shown = state.view.kind === "live" ? state.view.job : null;
  const first = jobs.filter((job, at) => job.status === "running" || at === 0 || job.id === shown);
  return first.slice(0, 6).reverse();
}

function pictureTile(picture) {
  const badge = icon("star");
  badge.classList.add("badge");
  const tile = h("button", {
    type: "button", class: "tile", role: "option", title: picture.prompt, "aria-label": picture.prompt || "Picture", "data-picture": picture.id,
    onclick: () => choose(picture.id), oncontextmenu: (event) => contextMenu(event, state.recent.find((other) => other.id === picture.id) ?? picture),
    style: state.lastPreview.has(picture.id) ? { background: `center / cover url("${state.lastPreview.get(picture.id)}")` } : undefined,
  }, h("img", { src: thumbnailOf(picture), alt: "", loading: "lazy", decoding: "async", width: "84", height: "84" }), badge);
  return tile;
}

function jobTile(job) {
  return h("button", {
    type: "button", class: "tile waiting", role: "option", "aria-label": "Job in the queue", "data-job": job.id, onclick: () => show({ kind: "live", job: job.id }),
  }, h("span", { class: "word" }, "queued"));
}

function drawTile({ job_id: id }) {
  const tile = tiles.get(`job ${id}`);
  const job = state.jobs.get(id);
  if (!tile || !job) return;
  const preview = state.preview.get(id);
  if (preview) {
    let image = tile.querySelector("img");
    if (!image) {
      image = h("img", { alt: "" });
      tile.classList.remove("waiting");
      tile.replaceChildren(image, h("span", { class: "bar" }, h("i")));
    }
    image.src = preview;
    tile.querySelector(".bar i").style.transform = `scaleX(${whole(job, state.progress.get(id))})`;
  } else if (tile.querySelector(".word")) {
    tile.querySelector(".word").textContent = job.status === "running" ? "starting" : "queued";
  }
}

function choose(id) {
  const picture = state.recent.find((other) => other.id === id);
  if (picture) show({ kind: "picture", picture });
}

/** ← and →: the neighbours in the strip. */
export function step(by) {
  const tile = strip.querySelector(".tile.sel");
  const others = [...strip.querySelectorAll(".tile")];
  const next = others[others.indexOf(tile) + by];
  if (!next) return;
  if (strip.contains(document.activeElement)) next.focus();
  next.click();
}

on("refused", () => draw());
on("queued", ({ job }) => { if (state.following && state.jobs.has(job)) show({ kind: "live", job: currentJob()?.id ?? job }, { follow: true }); });
