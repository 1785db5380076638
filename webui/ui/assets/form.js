// The form beside Gradio: its values, steppers, sliders, scrubbing, the seed's tools, weights, words, and what is wrong with it.

import { byId, drawn, grouped, h, icon, later, setIcon, typeInto } from "./dom.js";
import { checkpoint } from "./chips.js";
import * as draft from "./draft.js";
import { toast } from "./panels.js";
import { emit, expect, on, settle, shownPicture, state } from "./state.js";
import { enhancePrompt, drawPrompt } from "./prompt.js";
import { enhanceDials, syncDials } from "./dials.js";

const FIELDS = window.GESSO.fields; // names, in the order in which Gradio gives their values
const ELEMENTS = {
  checkpoint: "setting_sd_model_checkpoint", prompt: "txt2img_prompt", negative_prompt: "txt2img_neg_prompt", width: "txt2img_width", height: "txt2img_height",
  count: "txt2img_batch_count", batch_size: "txt2img_batch_size", "sampling.sampler": "txt2img_sampling", "sampling.schedule": "txt2img_scheduler",
  "sampling.steps": "txt2img_steps", "sampling.guidance": "txt2img_cfg_scale", "sampling.seed": "txt2img_seed", "sampling.clip_skip": "txt2img_clip_skip",
};
const PATIENCE = 2500; // ms without an answer and without a link, after which the server is said to be away

let payload = null;
let unanswered = 0;

/** What Gradio's handlers call; there before the page is. */
export function expose() {
  window.gesso = {
    told: (answer) => { if (answer) TOLD[answer.kind]?.(answer); },
    wanted: () => ({ draft: payload?.draft, values: payload?.values }),
    changed: (values) => {
      state.form = Object.fromEntries(FIELDS.map((name, at) => [name, values[at]]));
      sync();
      draft.keep();
    },
  };
}

const TOLD = {
  restored(answer) {
    Object.assign(state, { checkpoints: answer.checkpoints, unusable: answer.unusable });
    if (!state.you) state.you = answer.person;
    emit("checkpoints");
    emit("person");
    sync();
    draft.begin();
    document.documentElement.classList.add("ready");
    drawEmpty();
    drawWords();
  },
  queued(answer) {
    quietSeed(answer.seed);
    emit("queued", { job: answer.job });
  },
  error(answer) {
    complain(answer.sentence, answer.field);
    if (answer.about === "submit") emit("refused");
  },
  lost(answer) {
    if (answer.about === "restore") {
      document.documentElement.classList.add("ready");
      complain("Gesso did not answer when the page asked for the form as you left it. It is kept: reload the page once Gesso runs. What you write here meanwhile is not kept.", null);
      return;
    }
    if (answer.about === "submit") emit("refused");
    complain("Gesso did not answer, so nothing was queued. Is it still running? Look at the window it was started in, then try again.", null);
  },
  followed(answer) {
    emit("checkpoints");
    drawEmpty();
    drawWords();
    if (!Object.keys(answer.changed).length) return;
    const named = [...new Set(Object.keys(answer.changed).map((name) => ({ width: "size", height: "size" })[name] ?? name.split(".").pop()))];
    toast(`${answer.checkpoint}: ${list(named)} set to what this checkpoint works best with.`, { undo: () => apply({ values: answer.before }), seconds: 10 });
  },
  filled(answer) {
    clearComplaints();
    if (!answer.fields.length) return;
    flash(answer.fields);
    const { before, said } = payload;
    if (said) toast(said, { undo: () => apply({ values: before }), seconds: 6 });
  },
};

const list = (words) => (words.length < 2 ? words.join("") : `${words.slice(0, -1).join(", ")} and ${words.at(-1)}`);

function flash(fields) {
  for (const name of fields) {
    const element = byId(ELEMENTS[name]);
    element?.animate?.([{ opacity: 0.35 }, { opacity: 1 }], { duration: 260, easing: "ease-out" });
  }
}

/** Puts values into the form through its handler: `{draft}` of a request, or `{values}` by field. */
export function apply(wanted) {
  payload = { ...wanted, before: { ...state.form } };
  byId("gesso_fill").click();
}

export async function start() {
  await drawn(Object.values(ELEMENTS).concat("txt2img_generate", "gesso_fill"));
  for (const [id, [low, high]] of Object.entries(window.GESSO.limits)) Object.assign(byId(id).querySelector("input"), { min: low, max: high });
  enhanceDials();
  enhancePrompt();
  enhanceStepper();
  settleNumbers();
  enhanceSeed();
  enhanceButtons();
  const swap = byId("txt2img_res_switch_btn");
  swap.setAttribute("aria-label", "Swap width and height");
  swap.title = "Swap width and height";
  swap.replaceChildren(icon("swap"));
  byId("advanced_head").addEventListener("click", () => {
    const open = byId("advanced_drawer").classList.toggle("open");
    byId("advanced_head").setAttribute("aria-expanded", String(open));
  });
  addEventListener("keydown", (event) => { // the list scrolls, so Tab would go into it; and Gradio opens it again where it hears of the key
    if (event.key !== "Tab" || !event.target.matches?.("[role=combobox]")) return;
    event.stopPropagation();
    event.target.closest(".block").querySelector(".option-list")?.setAttribute("tabindex", "-1");
  }, true);
  for (const radio of document.querySelectorAll("#txt2img_shape input")) radio.addEventListener("keydown", shapeKeys);
  on("fill", apply);
  on("queued", ({ job }) => expect(job));
  on("refused", settle);
  const narrow = matchMedia("(max-width: 560px)");
  const home = byId("setting_sd_model_checkpoint").nextElementSibling;
  const rehome = () => { // on a phone the top bar has no room for it
    const list = byId("setting_sd_model_checkpoint");
    if (narrow.matches) byId("advanced_head").closest(".block").before(list);
    else home.before(list);
  };
  narrow.addEventListener("change", rehome);
  rehome();
  draft.start();
  setTimeout(() => document.documentElement.classList.add("ready"), 4000); // the server is slow: better an empty form than none
}

function shapeKeys(event) {
  const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
  if (!step) return;
  event.preventDefault();
  const all = [...document.querySelectorAll("#txt2img_shape input")];
  const next = all[(all.indexOf(event.target) + step + all.length) % all.length];
  next.click();
  next.focus();
}

/** Draws what follows from the values. */
function sync() {
  const { form } = state;
  const record = checkpoint();
  const native = record && record.native[0] === Number(form.width) && record.native[1] === Number(form.height);
  byId("size_note").textContent = form.width && form.height ? `${form.width} × ${form.height}${native ? " · native" : ""}` : "";
  const fixed = Boolean(form.seed_fixed);
  document.querySelector(".seed-field")?.classList.toggle("drawn", !fixed);
  const lock = byId("seed_lock");
  setIcon(lock, fixed ? "lock" : "lock-open");
  lock.classList.toggle("on", fixed);
  lock.setAttribute("aria-pressed", String(fixed));
  seedNote(fixed);
  const clip = Number(form["sampling.clip_skip"] || 1);
  const batch = Number(form.batch_size || 1);
  byId("advanced_state").textContent = [clip > 1 && `clip skip ${clip}`, batch > 1 && `${batch} at once`].filter(Boolean).join(", ") || "default";
  syncDials();
  drawPrompt();
  emit("form");
}

// --- Generate and Cancel ---

function enhanceButtons() {
  const generate = byId("txt2img_generate");
  generate.addEventListener("click", () => {
    clearComplaints();
    emit("pressed");
    clearTimeout(unanswered);
    unanswered = setTimeout(() => { if (state.pending && !state.linked) TOLD.lost({ about: "submit" }); }, PATIENCE); // Gradio itself may wait for ever
  }, true);
  on("pressed", () => {
    state.pending += 1;
    if (state.view.kind !== "live") state.following = true;
    emit("pending");
    generate.classList.add("pressed");
    setTimeout(() => generate.classList.remove("pressed"), 140);
  });
  const cancel = byId("txt2img_interrupt");
  cancel.title = "Cancel the job that is shown (Esc)";
  cancel.addEventListener("click", () => emit("cancel"));
}

// --- what is wrong ---

export function clearComplaints() {
  byId("form_trouble").hidden = true;
  for (const line of document.querySelectorAll(".field-trouble")) line.remove();
  for (const block of document.querySelectorAll("#txt2img_panel .wrong")) block.classList.remove("wrong");
}

/** Beside the field that it concerns, or under Generate. */
export function complain(sentence, field) {
  clearComplaints();
  const block = field && field !== "checkpoint" ? byId(ELEMENTS[field] ?? "") : null;
  if (block) {
    if (block.closest("#advanced_drawer:not(.open)")) byId("advanced_head").click();
    block.classList.add("wrong");
    block.append(h("div", { class: "field-trouble", role: "alert" }, sentence));
    block.scrollIntoView({ block: "nearest" });
    return;
  }
  const box = byId("form_trouble");
  box.replaceChildren(icon("alert"), h("span", { class: "says" }, sentence));
  box.hidden = false;
}

// --- pictures and seed ---

function enhanceStepper() {
  const label = document.querySelector("#txt2img_batch_count label");
  const field = label.querySelector("input");
  const turn = (by) => (event) => {
    event.preventDefault();
    const next = Math.min(Number(field.max), Math.max(Number(field.min), (Number(field.value) || 1) + by));
    typeInto(field, next);
  };
  const button = (name, text, by) => h("button", { type: "button", class: "step-btn", "aria-label": text, tabindex: "-1", onclick: turn(by) }, icon(name));
  label.append(button("minus", "One picture less", -1), button("plus", "One picture more", 1));
  field.addEventListener("wheel", (event) => { if (document.activeElement === field) turn(event.deltaY < 0 ? 1 : -1)(event); }, { passive: false });
}

/** A field that was left empty gets back what the checkpoint wants, and a fraction of a picture or a step becomes a whole one. */
function settleNumbers() {
  for (const [name, id] of Object.entries(ELEMENTS)) {
    const field = byId(id).querySelector('input[type="number"]');
    field?.addEventListener("change", () => {
      const [width, height] = checkpoint()?.native ?? [];
      const own = { width, height, count: 1, ...checkpoint()?.defaults }[name];
      if (field.value === "" && own !== undefined) typeInto(field, own);
      else if (Number(field.step) >= 1 && !Number.isInteger(Number(field.value))) typeInto(field, Math.round(Number(field.value)));
    });
  }
}

const seedField = () => document.querySelector("#txt2img_seed input");
const fixedBox = () => document.querySelector("#txt2img_seed_fixed input");

function fix(yes) {
  if (fixedBox().checked !== yes) fixedBox().click();
}

function seedNote(fixed) {
  const label = document.querySelector("#txt2img_seed [data-testid='block-info']");
  let note = label.querySelector(".note");
  if (!note) {
    note = h("span", { class: "note" });
    label.append(note);
  }
  note.textContent = fixed ? "kept" : "new each time";
}

let quiet = false; // the field is written by us, not by a hand

/** Shows the seed that was drawn, without keeping it. */
function quietSeed(seed) {
  if (fixedBox().checked) return;
  quiet = true;
  typeInto(seedField(), grouped(seed));
  quiet = false;
}

function enhanceSeed() {
  seedField().inputMode = "numeric";
  seedField().addEventListener("input", () => { if (!quiet) fix(!["", "-", "-1"].includes(seedField().value.trim())); }); // -1 is A1111's word for a new one
  byId("seed_dice").addEventListener("click", () => {
    fix(false);
    quiet = true;
    typeInto(seedField(), "");
    quiet = false;
  });
  byId("seed_reuse").addEventListener("click", () => {
    const seed = shownPicture()?.seed ?? state.recent[0]?.seed;
    if (seed === undefined || seed === null) return toast("There is no picture yet whose seed could be used.");
    typeInto(seedField(), grouped(seed));
    fix(true);
    return undefined;
  });
  byId("seed_lock").addEventListener("click", () => {
    if (!fixedBox().checked && !seedField().value.trim()) typeInto(seedField(), grouped(crypto.getRandomValues(new Uint32Array(1))[0]));
    fix(!fixedBox().checked);
  });
}

// --- words, suggestions ---

function promptField() {
  return document.querySelector("#txt2img_prompt textarea");
}

let foldAgain = null; // at another width other words fit into the row
let foldedAt = 0; // px; only another width folds them anew, for a button that is drawn again loses the focus

function drawWords() {
  const record = checkpoint();
  const place = byId("prompt_words");
  const groups = Object.values(record?.words ?? {});
  const longest = Math.max(0, ...groups.map((group) => group.length));
  const words = Array.from({ length: longest }, (_, at) => groups.map((group) => group[at])).flat().filter(Boolean); // one of each kind first
  const add = (word) => () => {
    const field = promptField();
    const before = field.value.trimEnd();
    typeInto(field, before ? `${before.replace(/,$/, "")}, ${word}` : word);
    field.focus({ preventScroll: true });
  };
  place.classList.remove("open");
  foldAgain ??= new ResizeObserver(later(() => {
    if (place.clientWidth === foldedAt || place.classList.contains("open")) return;
    drawWords();
  }, 60));
  foldedAt = place.clientWidth;
  if (!place.dataset.watched) foldAgain.observe(place.parentElement.closest(".block"));
  place.dataset.watched = "1";
  place.replaceChildren(...words.map((word) => h("button", { type: "button", onclick: add(word) }, word)));
  place.parentElement.querySelector(".more")?.remove();
  const hidden = place.scrollHeight > place.clientHeight + 4;
  if (hidden) fold(place);
  let note = byId("starter_note");
  if (!note) {
    note = h("p", { class: "starter-note", id: "starter_note" });
    place.after(note);
  }
  note.hidden = !record?.starter;
  note.textContent = "Starter: landscapes only. Others: models/checkpoints";
  note.title = "The starter knows landscapes only. Put a full Stable Diffusion checkpoint into the folder models/checkpoints and reload the page.";
}

/** One row, and a button that shows the others. */
function fold(place) {
  const buttons = [...place.children];
  const more = h("button", { type: "button", class: "more", "aria-expanded": "false", onclick: () => {
    const open = place.classList.toggle("open");
    for (const button of buttons) button.hidden = false;
    more.textContent = open ? "less" : "more";
    more.setAttribute("aria-expanded", String(open));
    if (!open) trim();
  } }, "more");
  place.append(more);
  const trim = () => {
    for (let at = buttons.length - 1; at > 0 && more.offsetTop + more.offsetHeight > 34; at -= 1) buttons[at].hidden = true;
  };
  trim();
}

function drawEmpty() {
  const place = byId("stage_empty");
  const record = checkpoint();
  if (!record) {
    place.replaceChildren(h("h2", {}, "There is no checkpoint yet"), h("p", {}, "Put a Stable Diffusion checkpoint into models/checkpoints, then let Gesso look again."),
      ...(state.unusable ?? []).slice(0, 5).map((file) => h("p", {}, `“${file.label}” cannot be used: ${file.problem}`)),
      h("button", { type: "button", class: "btn", id: "look_again", onclick: () => location.reload() }, icon("rotate"), "Look again"));
    return;
  }
  const suggestions = record.suggestions.slice(0, 3);
  place.replaceChildren(
    h("h2", {}, "What should the picture show?"),
    h("p", {}, suggestions.length ? "Write it into the prompt, or begin with one of these." : "Write it into the prompt and press Generate."),
    ...suggestions.map((text) => h("button", { type: "button", class: "suggestion", onclick: () => {
      typeInto(promptField(), text);
      promptField().focus();
    } }, text)));
}

on("checkpoints", drawEmpty);
