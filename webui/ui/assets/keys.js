// The keyboard. One table for what the keys do and for the sheet that lists them.

import { byId, h } from "./dom.js";
import { open, openTab, tabs } from "./chips.js";
import { closeTop, sheet } from "./panels.js";
import { details, star, trash } from "./pictures.js";
import { fullStage, step } from "./stage.js";
import { currentJob, emit, shownPicture } from "./state.js";
import * as gallery from "./gallery.js";

const picture = () => (openTab() === "gallery" ? gallery.current() : shownPicture());
const withPicture = (action) => () => { const shown = picture(); if (shown) action(shown); };
const walk = (by) => () => (openTab() === "gallery" ? gallery.step(by) : step(by));

const ONCE = "#txt2img_generate, #txt2img_interrupt, #stage_actions button"; // a held Enter presses a button again and again

const KEYS = [ // key, what it says, what it does, whether it works while typing
  { keys: ["Control+Enter", "Meta+Enter"], shown: "Ctrl Enter", says: "Generate", does: generate, typing: true },
  { keys: ["Escape"], shown: "Esc", says: "Close what is open, else cancel the job shown", does: escape, typing: true },
  { shown: "Ctrl ↑ ↓", says: "Weight of the selected words, in a prompt" },
  { shown: "1 – 9", says: "Tabs" },
  { keys: ["ArrowLeft"], shown: "← →", says: "Earlier and later pictures", does: walk(-1) },
  { keys: ["ArrowRight"], does: walk(1) },
  { keys: ["f", "F"], shown: "F", says: "Full stage", does: () => openTab() === "txt2img" && fullStage() },
  { keys: ["s", "S"], shown: "S", says: "Star", does: withPicture((shown) => star(shown)) },
  { keys: ["i", "I"], shown: "I", says: "Details", does: withPicture((shown) => details(shown)) },
  { keys: ["Delete"], shown: "Del", says: "To the trash", does: withPicture((shown) => trash([shown])) },
  { keys: ["q", "Q"], shown: "Q", says: "Queue", does: () => emit("toggle-queue") },
  { keys: ["/"], shown: "/", says: "Search the gallery", does: search },
  { keys: ["?"], shown: "?", says: "This list", does: help },
];

const LIST = '[role="combobox"][aria-expanded="true"]'; // of Gradio, while it is open

export function start() {
  let listOpen = false;
  addEventListener("keydown", (event) => { // before Gradio hears of the key and closes the list
    listOpen = Boolean(document.querySelector(LIST));
    if (event.repeat && event.key === "Enter" && event.target.closest?.(ONCE)) event.preventDefault();
  }, true);
  addEventListener("keydown", (event) => {
    if (event.defaultPrevented || event.isComposing || (event.key === "Escape" && listOpen)) return;
    const name = (event.ctrlKey ? "Control+" : "") + (event.metaKey ? "Meta+" : "") + event.key;
    const typing = event.target instanceof Element && event.target.matches("input:not([type=range]):not([type=radio]):not([type=checkbox]), textarea, select, [contenteditable]");
    const found = KEYS.find((row) => row.keys?.includes(name));
    if (found && (found.typing || !typing)) {
      if (name.startsWith("Arrow") && event.target instanceof Element && event.target.matches("input")) return;
      event.preventDefault();
      if (!event.repeat || name.startsWith("Arrow")) found.does(); // a key that is held down walks on, and does nothing else twice
    } else if (!typing && !event.repeat && /^[1-9]$/.test(name) && tabs()[Number(name) - 1]) {
      event.preventDefault();
      open(tabs()[Number(name) - 1]);
    }
  });
  byId("settings_shortcuts")?.addEventListener("click", help);
}

function generate() {
  if (openTab() !== "txt2img") open("txt2img");
  byId("txt2img_generate").click();
}

function escape() {
  if (closeTop() || gallery.escape()) return;
  if (document.documentElement.classList.contains("full")) fullStage();
  else if (currentJob()) emit("cancel");
  else document.activeElement?.blur?.();
}

function search() {
  open("gallery");
  byId("gallery_search").focus();
}

export function help() {
  const mac = document.documentElement.classList.contains("mac");
  sheet("Keyboard", h("dl", { class: "keys" }, KEYS.filter((row) => row.says).flatMap((row) => [
    h("dt", {}, row.shown.split(" ").map((key) => (key === "–" ? " – " : h("kbd", {}, mac && key === "Ctrl" ? "⌘" : key)))), h("dd", {}, row.says)])));
}
