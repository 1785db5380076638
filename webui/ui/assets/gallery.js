// The gallery: a window on any number of pictures. Only what can be seen is in the page, and only those pages are fetched.

import { byId, h, icon, later } from "./dom.js";
import { open, openTab } from "./chips.js";
import { ask, fileOf, thumbnailOf } from "./net.js";
import { confirmed, toast, tried } from "./panels.js";
import { contextMenu, details, download, followDetails, restore, reuse, star, trash, vary, zip } from "./pictures.js";
import { mayChange, on, state } from "./state.js";

const PAGE = 120; // pictures fetched at once
const GAP = 8; // px between cells
const CELL = 168; // px, the least width of a cell
const AHEAD = 2; // rows drawn above and below what is seen
const KEPT = 30; // pages remembered

const view = { query: "", filter: "all", total: null, pages: new Map(), asking: new Map(), columns: 1, side: CELL, generation: 0 };
const cells = new Map(); // drawn ones, by place
let chosen = new Map(); // pictures by id
let selecting = false;
let anchor = null; // place of the last choice, for shift
let scroll, grid, lightbox;
let stale = true;

export function start() {
  [scroll, grid] = ["gallery_scroll", "gallery_grid"].map(byId);
  byId("gallery_search").addEventListener("input", later((event) => begin({ query: event.target.value.trim() }), 150));
  for (const button of document.querySelectorAll("#gesso_gallery [data-filter]")) button.addEventListener("click", () => begin({ filter: button.dataset.filter }));
  byId("gallery_select").addEventListener("click", () => select(!selecting));
  byId("gallery_empty_trash").addEventListener("click", askToEmpty);
  scroll.addEventListener("scroll", () => requestAnimationFrame(scrolled), { passive: true });
  new ResizeObserver(layout).observe(scroll);
  grid.addEventListener("click", clicked);
  grid.addEventListener("contextmenu", (event) => { const picture = pictureAt(event.target.closest(".cell")); if (picture) contextMenu(event, picture); });
  scroll.addEventListener("keydown", keys);
  on("tab", (id) => { if (id === "gallery" && stale) refresh(); });
  on("saved", added);
  on("picture", changed);
  if (openTab() === "gallery") refresh();
}

/** Another search or filter: from the top. */
function begin(wanted) {
  Object.assign(view, wanted);
  for (const button of document.querySelectorAll("#gesso_gallery [data-filter]")) button.setAttribute("aria-pressed", String(button.dataset.filter === view.filter));
  scroll.scrollTop = 0;
  chosen.clear();
  refresh();
}

async function refresh() {
  const generation = ++view.generation;
  for (const controller of view.asking.values()) controller.abort();
  view.asking.clear();
  stale = false;
  const seen = view.total === null ? [1] : pagesSeen();
  const pages = await tried(() => Promise.all(seen.map(fetchPage)));
  if (!pages || generation !== view.generation) return; // what is drawn stays until the new pages are there
  view.pages = new Map(pages.map((page) => [page.page, [...page.pictures]]));
  view.total = pages[0].total;
  clearCells();
  layout();
  drawSelection();
  anchor = null;
  if (lightbox?.left) neighbour();
  else if (lightbox) lightbox.place = placeOf(lightbox.picture.id) ?? lightbox.place;
}

/** Where a picture stands in what is loaded, which new ones have moved; null where it is not. */
function placeOf(id) {
  for (const [number, page] of view.pages) {
    const at = page.findIndex((picture) => picture.id === id);
    if (at >= 0) return (number - 1) * PAGE + at;
  }
  return null;
}

/** The picture that was open has left the list: the one that moved up stands in its place, or the last. */
async function neighbour() {
  const place = Math.min(lightbox.place, view.total - 1);
  if (place >= 0 && !pictureOf(place)) await need(Math.floor(place / PAGE) + 1);
  if (!lightbox) return;
  lightbox.left = false;
  const picture = place >= 0 ? pictureOf(place) : null;
  if (picture) look(place, picture);
  else closeLightbox();
}

function fetchPage(number) {
  const controller = new AbortController();
  view.asking.set(number, controller);
  const asked = new URLSearchParams({ query: view.query, page: number, per_page: PAGE });
  if (view.filter !== "all") asked.set(view.filter, "true");
  return ask("GET", `images?${asked}`, undefined, { signal: controller.signal }).finally(() => {
    if (view.asking.get(number) === controller) view.asking.delete(number);
  });
}

async function need(number) {
  if (view.pages.has(number) || view.asking.has(number)) return;
  const { generation } = view;
  const page = await tried(() => fetchPage(number));
  if (!page || generation !== view.generation) return;
  if (view.pages.size >= KEPT) view.pages.delete(farthest(number));
  view.pages.set(number, [...page.pictures]);
  if (page.total !== view.total) {
    view.total = page.total;
    clearCells();
  }
  for (const [place, cell] of cells) if (!cell.dataset.picture) redraw(place);
  layout();
}

const farthest = (number) => [...view.pages.keys()].reduce((far, page) => (Math.abs(page - number) > Math.abs(far - number) ? page : far));

function pagesSeen() {
  const row = view.side + GAP;
  const first = Math.max(0, Math.floor(scroll.scrollTop / row) - AHEAD) * view.columns;
  const last = Math.ceil((scroll.scrollTop + scroll.clientHeight) / row + AHEAD) * view.columns;
  const pages = [];
  for (let page = Math.floor(first / PAGE) + 1; page <= Math.floor(Math.max(first, last - 1) / PAGE) + 1; page += 1) pages.push(page);
  return pages;
}

function clearCells() {
  for (const cell of cells.values()) cell.remove();
  cells.clear();
}

/** Fetches what is seen once the scrolling rests, not every page that flies by. */
const settle = later(() => {
  flying = false;
  for (const page of pagesSeen()) if ((page - 1) * PAGE < (view.total ?? 0)) need(page);
  for (const [place, cell] of cells) if (!cell.dataset.picture && pictureOf(place)) redraw(place);
}, 60);

const pictureOf = (place) => view.pages.get(Math.floor(place / PAGE) + 1)?.[place % PAGE] ?? null;
const pictureAt = (cell) => (cell ? pictureOf(Number(cell.dataset.place)) : null);

function layout() {
  if (!scroll.clientWidth) return;
  const width = grid.clientWidth;
  const columns = Math.max(innerWidth <= 560 ? 3 : 2, Math.floor((width + GAP) / (CELL + GAP)));
  const side = Math.floor((width - GAP * (columns - 1)) / columns);
  if (columns !== view.columns || side !== view.side) {
    Object.assign(view, { columns, side });
    clearCells();
  }
  const rows = Math.ceil((view.total ?? 0) / view.columns);
  grid.style.height = `${Math.max(0, rows * (view.side + GAP) - GAP)}px`;
  const count = byId("gallery_count");
  count.textContent = view.total ? `${view.total.toLocaleString()} ${view.total === 1 ? "picture" : "pictures"}` : "";
  byId("gallery_empty_trash").hidden = view.filter !== "trashed" || !view.total || state.you?.host === false;
  drawNothing();
  draw();
}

let lastTop = 0;
let flying = false; // pictures pass too fast to be seen: none is asked for

function scrolled() {
  flying = Math.abs(scroll.scrollTop - lastTop) > scroll.clientHeight / 2;
  lastTop = scroll.scrollTop;
  draw();
}

function draw() {
  if (openTab() !== "gallery" || view.total === null) return;
  const row = view.side + GAP;
  const from = Math.max(0, Math.floor(scroll.scrollTop / row) - AHEAD) * view.columns;
  const to = Math.min(view.total, Math.ceil((scroll.scrollTop + scroll.clientHeight) / row + AHEAD) * view.columns);
  for (const [place, cell] of cells) {
    if (place >= from && place < to) continue;
    cell.remove();
    cells.delete(place);
  }
  for (let place = from; place < to; place += 1) {
    const picture = pictureOf(place);
    if (!picture || flying) settle();
    if (!cells.has(place)) {
      const cell = make(place, picture);
      cells.set(place, cell);
      grid.append(cell);
    }
  }
}

function make(place, picture) {
  const cell = h("div", { class: "cell", role: "listitem", "data-place": place });
  const row = Math.floor(place / view.columns);
  cell.style.cssText = `left:${(place % view.columns) * (view.side + GAP)}px;top:${row * (view.side + GAP)}px;width:${view.side}px;height:${view.side}px`;
  if (!picture || flying) return cell;
  cell.dataset.picture = picture.id;
  cell.classList.toggle("chosen", chosen.has(picture.id));
  const badge = icon("star");
  badge.classList.add("badge");
  cell.append(
    h("button", { type: "button", class: "cell-open", "aria-label": picture.prompt || "Picture", title: picture.prompt },
      h("img", { src: thumbnailOf(picture), alt: "", decoding: "async", draggable: "true" })),
    h("button", { type: "button", class: "cell-check", "aria-label": "Select", "aria-pressed": String(chosen.has(picture.id)) }, icon("check")));
  if (picture.starred) cell.append(badge);
  cell.addEventListener("dragstart", (event) => {
    const address = new URL(fileOf(picture), document.baseURI).href;
    event.dataTransfer.setData("DownloadURL", `image/png:${picture.path.split("/").pop()}:${address}`);
    event.dataTransfer.setData("application/x-gesso-picture", picture.id);
  });
  return cell;
}

function redraw(place) {
  const cell = cells.get(place);
  if (!cell) return;
  const fresh = make(place, pictureOf(place));
  cells.set(place, fresh);
  cell.replaceWith(fresh);
}

function drawNothing() {
  let place = byId("gallery_empty");
  if (view.total !== 0) {
    place?.remove();
    return;
  }
  if (!place) {
    place = h("div", { id: "gallery_empty", class: "gallery-empty" });
    scroll.append(place);
  }
  const words = view.query ? ["Nothing found", `No picture has “${view.query}” in its prompt.`]
    : view.filter === "starred" ? ["No stars yet", "Press S on a picture, and it is kept here."]
      : view.filter === "trashed" ? ["The trash is empty", "Deleted pictures stay here until you take them back."]
        : ["No pictures yet", "Every picture you make is kept here, under outputs/ by date, with its settings inside."];
  place.replaceChildren(icon("image"), h("h2", {}, words[0]), h("p", {}, words[1]),
    !view.query && view.filter === "all" ? h("button", { type: "button", class: "btn", onclick: () => open("txt2img") }, "Make the first one") : "");
}

// --- what happens elsewhere ---

function added({ picture }) {
  if (openTab() !== "gallery" || view.query || view.filter !== "all" || scroll.scrollTop > 40) {
    stale = true;
    if (openTab() === "gallery" && !view.query && view.filter === "all") byId("gallery_count").textContent = `${((view.total ?? 0) + 1).toLocaleString()} pictures`;
    return;
  }
  insert(picture);
}

/** A new picture at the top: whole pages move by one, so what is known moves with it. */
function insert(picture) {
  const first = view.pages.get(1) ?? [];
  if (first.some((other) => other.id === picture.id)) return;
  refresh();
}

function changed(picture) {
  const gone = picture.trashed_at !== null && picture.trashed_at !== undefined;
  let at = -1;
  for (const [number, page] of view.pages) {
    const index = page.findIndex((other) => other.id === picture.id);
    if (index < 0) continue;
    page[index] = picture;
    at = (number - 1) * PAGE + index;
  }
  const leaves = at >= 0 && (gone !== (view.filter === "trashed") || (view.filter === "starred" && !picture.starred));
  const comes = at < 0 && ((view.filter === "trashed") === gone);
  if (leaves || comes) {
    if (openTab() === "gallery") soon();
    else stale = true;
  } else if (at >= 0) redraw(at);
  if (lightbox?.picture.id === picture.id) {
    if (leaves) lightbox.left = true; // its neighbour takes its place once the list is there
    else look(lightbox.place, picture);
  }
}

const soon = later(() => refresh(), 30);

/** For good, so it is asked first. */
function askToEmpty() {
  confirmed("Empty the trash?", "Everything in it is deleted from the disk, other people's pictures too. This cannot be undone.", "Delete for good", () => tried(async () => {
    const { count } = await ask("POST", "images/trash/empty");
    toast(count === 1 ? "1 picture deleted for good." : `${count.toLocaleString()} pictures deleted for good.`);
    refresh();
  }));
}

// --- choosing ---

function select(yes) {
  selecting = yes;
  if (!yes) chosen = new Map();
  byId("gallery_select").setAttribute("aria-pressed", String(yes));
  byId("gallery_select").textContent = yes ? "Done" : "Select";
  grid.classList.toggle("selecting", yes);
  for (const [place] of cells) redraw(place);
  drawSelection();
}

function clicked(event) {
  const cell = event.target.closest(".cell");
  const picture = pictureAt(cell);
  if (!picture) return;
  const place = Number(cell.dataset.place);
  const check = event.target.closest(".cell-check");
  if (check && !selecting) select(true);
  if (check || selecting || event.ctrlKey || event.metaKey) {
    if (!selecting) select(true);
    if (event.shiftKey && anchor !== null) {
      for (let at = Math.min(anchor, place); at <= Math.max(anchor, place); at += 1) {
        const other = pictureOf(at);
        if (other) chosen.set(other.id, other);
        redraw(at);
      }
    } else if (!chosen.delete(picture.id)) chosen.set(picture.id, picture);
    anchor = place;
    redraw(place);
    drawSelection();
    return;
  }
  anchor = place;
  look(place, picture);
}

const picked = () => [...chosen.values()];

function drawSelection() {
  const bar = byId("gallery_selection");
  bar.hidden = !selecting;
  if (!selecting) return;
  const none = chosen.size === 0;
  const button = (name, text, action, may = true) =>
    h("button", { type: "button", class: "btn", disabled: none || !may, title: may ? null : "Some of these are someone else's.", onclick: action }, icon(name), text);
  const done = (action) => async () => { const pictures = picked(); select(false); await action(pictures); };
  const own = picked().every(mayChange); // one that is someone else's could not be changed, and then none would be
  bar.replaceChildren(
    h("span", {}, none ? "Choose pictures" : `${chosen.size} chosen`), h("span", { class: "grow" }),
    h("button", { type: "button", class: "btn", onclick: () => { for (const picture of [...view.pages.values()].flat()) chosen.set(picture.id, picture); for (const [place] of cells) redraw(place); drawSelection(); } }, "All loaded"),
    ...(view.filter === "trashed" ? [button("undo", "Take back", done(restore), own)] : [
      button("star", "Star", done(async (pictures) => { for (const picture of pictures) await star(picture, true); }), own),
      button("download", "Zip", done(zip)),
      button("trash", "Delete", done(trash), own),
    ]));
}

// --- one picture, large ---

function look(place, picture) {
  if (!lightbox) {
    const image = h("div", { class: "light-pic" });
    const acts = h("div", { class: "acts light-acts", role: "toolbar", "aria-label": "What to do with this picture" });
    const side = (by, name, text) => h("button", { type: "button", class: `light-step ${name}`, "aria-label": text, onclick: () => step(by) }, icon(name));
    const box = h("div", { class: "lightbox", id: "lightbox", role: "dialog", "aria-label": "Picture", "aria-modal": "true", tabindex: "-1" },
      h("div", { class: "light-main" }, image, side(-1, "chevron-left", "Earlier in the list"), side(1, "chevron-right", "Later in the list"),
        h("button", { type: "button", class: "btn icon-btn light-close", "aria-label": "Close", onclick: closeLightbox }, icon("x"))),
      acts);
    image.addEventListener("contextmenu", (event) => contextMenu(event, lightbox.picture));
    byId("tab_gallery").append(box);
    byId("gesso_gallery").inert = true; // what lies behind it is no stop for Tab
    lightbox = { box, image, acts, picture: null, place: 0, from: document.activeElement };
    box.focus();
  }
  const same = lightbox.picture?.id === picture.id;
  Object.assign(lightbox, { picture, place });
  if (!same) paint(picture);
  drawActs(picture);
  followDetails(picture);
}

async function paint(picture) {
  const { image } = lightbox;
  const full = h("img", { src: fileOf(picture), alt: picture.prompt || "Picture" });
  const small = h("img", { src: thumbnailOf(picture), alt: "", width: picture.width, height: picture.height });
  image.replaceChildren(small);
  for (const one of [small, full]) one.style.setProperty("--ratio", `${picture.width / picture.height}`);
  await full.decode().catch(() => undefined);
  if (lightbox?.picture.id === picture.id) image.replaceChildren(full);
}

function drawActs(picture) {
  const use = (text, action, title) => h("button", { type: "button", class: "btn", title, onclick: action }, text);
  const small = (name, text, action, on = false) => h("button", { type: "button", class: `btn icon-btn${on ? " on" : ""}`, "aria-label": text, title: text, onclick: action }, icon(name));
  const trashed = view.filter === "trashed";
  lightbox.acts.replaceChildren(
    ...(trashed ? (mayChange(picture) ? [use("Take back", () => restore([picture]))] : []) : [
      use("Use these settings", () => { closeLightbox(); open("txt2img"); reuse(picture); }, "Fill Text to image with them"),
      use("Vary", () => { closeLightbox(); open("txt2img"); vary(picture); }, "Once more with a new seed"),
    ]),
    h("span", { class: "grow" }),
    ...(trashed || !mayChange(picture) ? [] : [small("star", "Star (S)", () => star(picture), picture.starred)]),
    h("button", { type: "button", class: "btn download", "aria-label": "Download", title: "Save the full picture", onclick: () => download(picture) },
      icon("download"), h("span", { class: "word" }, "Download")),
    small("info", "Details (I)", () => details(picture)),
    ...(trashed || !mayChange(picture) ? [] : [small("trash", "Delete; can be undone", () => trash([picture]))]));
}

function closeLightbox() {
  if (!lightbox) return false;
  const { box, from, place } = lightbox;
  box.remove();
  byId("gesso_gallery").inert = false;
  lightbox = null;
  (cells.get(place)?.querySelector(".cell-open") ?? from)?.focus?.({ preventScroll: true });
  return true;
}

/** Esc: closes the picture, or ends choosing; says whether there was anything to close. */
export function escape() {
  if (openTab() !== "gallery") return false;
  if (closeLightbox()) return true;
  if (!selecting) return false;
  select(false);
  return true;
}

export const current = () => lightbox?.picture ?? pictureAt(document.activeElement?.closest?.(".cell"));

/** ← and →: the neighbours of the picture that is open. */
export async function step(by) {
  if (!lightbox) return;
  const place = lightbox.place + by;
  if (place < 0 || place >= view.total) return;
  if (!pictureOf(place)) await need(Math.floor(place / PAGE) + 1);
  const picture = pictureOf(place);
  if (picture && lightbox) look(place, picture);
}

function keys(event) {
  const by = { ArrowRight: 1, ArrowLeft: -1, ArrowDown: view.columns, ArrowUp: -view.columns }[event.key];
  const cell = document.activeElement.closest(".cell");
  if (!by || !cell || lightbox) return;
  event.preventDefault();
  event.stopPropagation();
  const place = Number(cell.dataset.place) + by;
  if (place < 0 || place >= view.total) return;
  const top = Math.floor(place / view.columns) * (view.side + GAP);
  if (top < scroll.scrollTop) scroll.scrollTop = top;
  if (top + view.side > scroll.scrollTop + scroll.clientHeight) scroll.scrollTop = top + view.side - scroll.clientHeight + GAP;
  draw();
  cells.get(place)?.querySelector(".cell-open")?.focus({ preventScroll: true });
}

on("snapshot", ({ again }) => { // what came and went while nothing was heard
  if (!again) return;
  if (openTab() === "gallery") soon();
  else stale = true;
});
