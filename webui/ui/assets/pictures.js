// What can be done with a picture, wherever it is shown.

import { bytes, byId, grouped, h, icon } from "./dom.js";
import { ask, fileOf, Trouble } from "./net.js";
import { drawer, drawerBody, menu, toast, tried } from "./panels.js";
import { emit, mayChange, on, pictureChanged, show, state } from "./state.js";

const path = (picture) => `images/${encodeURIComponent(picture.id)}`;

/** Once more, with a new seed; by what made it or not at all, for by another checkpoint or sampler it is another picture. */
export function vary(picture) {
  return tried(async () => {
    emit("pressed");
    try {
      const { draft, notes } = await ask("GET", `${path(picture)}/parameters`);
      const { seed, ...sampling } = draft.sampling ?? {};
      const needed = [[draft.checkpoint, `checkpoint${picture.checkpoint ? ` “${picture.checkpoint}”` : ""}`], [sampling.sampler, "sampler"], [sampling.schedule, "schedule"]];
      const missing = needed.filter(([here]) => !here).map(([, name]) => `the ${name}`);
      if (missing.length) throw new Trouble(`This picture cannot be varied: ${missing.join(" and ")} that made it cannot be used here. Put its settings into the form instead, and choose there what to make it with.`);
      const job = await ask("POST", "jobs", { ...draft, count: 1, sampling });
      emit("queued", { job: job.id });
      for (const note of notes) toast(note, { seconds: 12 });
    } catch (error) {
      emit("refused");
      throw error;
    }
  });
}

/** Puts a picture's settings into the form: all of them, or those that `only` names. */
export function reuse(picture, only = null) {
  return tried(async () => {
    const { draft, notes } = await ask("GET", `${path(picture)}/parameters`);
    const what = only === "prompt" ? "The prompt" : only === "seed" ? "The seed" : "The settings";
    fill(draft, notes, only, `${what} of the picture, put into the form.`);
  });
}

/** `only` is one of prompt, seed, settings (all but the seed), or null for everything. */
export function fill(draft, notes = [], only = null, said = "") {
  let wanted = { ...draft };
  if (only === "prompt") wanted = { prompt: draft.prompt ?? "", negative_prompt: draft.negative_prompt ?? "" };
  if (only === "seed") wanted = { sampling: { seed: draft.sampling?.seed } };
  if (!only) delete wanted.count;
  emit("fill", { draft: wanted, said });
  for (const note of notes) toast(note, { seconds: 12 });
}

export function reuseRows(picture) {
  return [
    ["Prompt", () => reuse(picture, "prompt")],
    ["Seed", () => reuse(picture, "seed")],
    ["All settings", () => reuse(picture)],
  ];
}

export function star(picture, starred = !picture.starred) {
  pictureChanged({ ...picture, starred });
  return tried(async () => {
    try {
      pictureChanged(await ask("POST", `${path(picture)}/star`, { starred }));
    } catch (error) {
      pictureChanged(picture);
      throw error;
    }
  });
}

/** To the trash, and back with Undo. */
export function trash(pictures) {
  return tried(async () => {
    const gone = await ask("POST", "images/trash", { ids: pictures.map((picture) => picture.id) });
    gone.forEach(pictureChanged);
    const said = gone.length === 1 ? "Moved to the trash." : `${gone.length} pictures moved to the trash.`;
    toast(said, { undo: () => restore(gone), seconds: 12 });
  });
}

export function restore(pictures) {
  return tried(async () => {
    const back = await ask("POST", "images/restore", { ids: pictures.map((picture) => picture.id) });
    back.forEach(pictureChanged);
    if (back.length === 1 && state.view.kind !== "live") show({ kind: "picture", picture: back[0] });
  });
}

export function download(picture) {
  save(`${fileOf(picture)}?download=1`);
}

export function zip(pictures) {
  return tried(async () => {
    for (let at = 0; at < pictures.length; at += 500) {
      const ids = pictures.slice(at, at + 500).map((picture) => picture.id).join(",");
      save(`api/images/archive?ids=${encodeURIComponent(ids)}`);
    }
  });
}

function save(address) {
  const link = h("a", { href: address, download: "" });
  document.body.append(link);
  link.click();
  link.remove();
}

export async function copy(text, said) {
  try {
    await navigator.clipboard.writeText(text);
  } catch {
    const area = h("textarea", { class: "off-screen" }); // no clipboard without https: the old way
    area.value = text;
    document.body.append(area);
    area.select();
    document.execCommand("copy");
    area.remove();
  }
  toast(said, { seconds: 3 });
}

export function contextMenu(event, picture) {
  event.preventDefault();
  const rows = [
    ["Vary", () => vary(picture), "dices"],
    ["Reuse prompt", () => reuse(picture, "prompt"), "rotate"],
    ["Use all settings", () => reuse(picture), "rotate"],
    mayChange(picture) && [picture.starred ? "Take the star off" : "Star", () => star(picture), "star"],
    ["Download", () => download(picture), "download"],
    ["Details", () => details(picture, { toggle: false }), "info"],
    mayChange(picture) && ["Delete", () => trash([picture]), "trash"],
  ];
  menu(rows.filter(Boolean), { at: { x: event.clientX, y: event.clientY } });
}

let shownIn = null;

/** The drawer with everything that is known about a picture. */
export function details(picture, { toggle = true } = {}) {
  const body = drawer("details", "Details", { toggle, onclose: () => { shownIn = null; } });
  if (body) drawDetails(body, picture);
}

/** The open drawer follows the picture that is shown. */
export function followDetails(picture) {
  const body = drawerBody("details");
  if (body && picture && picture.id !== shownIn) drawDetails(body, picture);
}

function drawDetails(body, picture) {
  shownIn = picture.id;
  const fact = (name, value) => value !== null && value !== undefined && value !== "" && [h("dt", {}, name), h("dd", {}, String(value))];
  const text = h("pre", { class: "infotext", tabindex: "0" }, "…");
  const making = h("dl", { class: "facts making", hidden: true });
  const made = new Date(picture.created_at * 1000);
  body.replaceChildren(
    h("p", { class: "full-prompt" }, picture.prompt || "No prompt."),
    h("dl", { class: "facts" },
      fact("Keep out", picture.negative_prompt), fact("Size", `${picture.width} × ${picture.height} px`), fact("Seed", picture.seed === null ? null : grouped(picture.seed)),
      fact("Checkpoint", picture.checkpoint), fact("Made", made.toLocaleString()), fact("File", `${picture.path} · ${bytes(picture.bytes)}`)),
    h("div", { class: "side-acts" },
      h("button", { type: "button", class: "btn", onclick: () => reuse(picture) }, "Use these settings"),
      h("button", { type: "button", class: "btn", onclick: () => copy(text.textContent, "Copied.") }, icon("copy"), "Copy"),
      state.you?.host && h("button", { type: "button", class: "btn", onclick: () => tried(() => ask("POST", `${path(picture)}/reveal`)) }, icon("folder"), "Show file")),
    text, making);
  ask("GET", `${path(picture)}/parameters`).then(
    (found) => {
      if (shownIn !== picture.id) return;
      text.textContent = found.infotext || "This file says nothing about how it was made.";
      making.replaceChildren(...Object.entries(found.facts ?? {}).flatMap(([name, value]) => fact(name, value) || []));
      making.hidden = !making.children.length;
    },
    (error) => { if (shownIn === picture.id) text.textContent = error.message; });
}

on("picture", (picture) => {
  if (shownIn === picture.id && picture.trashed_at) byId("details")?.querySelector("header button")?.click();
});
