// A picture dropped anywhere on the page, or pasted into it, fills the form.

import { h } from "./dom.js";
import { open } from "./chips.js";
import { ask, Trouble } from "./net.js";
import { tried } from "./panels.js";
import { fill, reuse } from "./pictures.js";
import { state } from "./state.js";

const veil = h("div", { class: "drop-veil", hidden: true }, h("p", {}, "Drop a picture to use its settings"));
let inside = 0;
const OURS = ["tab_txt2img", "tab_gallery", "tab_settings"]; // in another tab's column a file is that tab's
const INFOTEXT = /(^|\n)Steps: \d+, /; // as A1111 writes it

/** Whether what comes here belongs to someone else: a component that takes files, or an extension's tab. */
function theirs({ target }) {
  const at = target instanceof Element ? target : target?.parentElement;
  if (!at?.closest) return false;
  if (at.matches("input[type=file]") || at.closest(".gradio-container [data-testid$='upload']")) return true;
  if (at.closest(".gradio-container .block")?.querySelector("input[type=file]")) return true;
  const tab = at.closest(".gradio-container .tab");
  return Boolean(tab) && !OURS.includes(tab.id);
}

export function start() {
  document.body.append(veil);
  const ours = (event) => event.dataTransfer && [...event.dataTransfer.types].some((type) => type === "Files" || type === "application/x-gesso-picture");
  const show = (event) => {
    const { types } = event.dataTransfer;
    veil.hidden = !types.includes("Files") || types.includes("application/x-gesso-picture") || theirs(event);
  };
  addEventListener("dragenter", (event) => {
    if (!ours(event)) return;
    event.preventDefault();
    inside += 1;
    show(event);
  });
  addEventListener("dragleave", (event) => {
    if (!ours(event)) return;
    inside = Math.max(0, inside - 1);
    if (!inside) veil.hidden = true;
  });
  addEventListener("dragover", (event) => {
    if (!ours(event)) return;
    event.preventDefault();
    show(event);
  });
  addEventListener("drop", (event) => {
    inside = 0;
    veil.hidden = true;
    if (!ours(event) || theirs(event)) return;
    event.preventDefault();
    event.stopPropagation();
    const own = event.dataTransfer.getData("application/x-gesso-picture");
    const known = own && state.recent.find((picture) => picture.id === own);
    if (known) {
      if (event.target.closest?.("#txt2img_panel")) reuse(known);
      return;
    }
    const [file] = event.dataTransfer.files;
    if (file) read(file);
  }, true);
  addEventListener("drop", (event) => { // beside the components of someone's tab: the browser would leave the page for the file
    if (ours(event) && theirs(event) && !event.target.matches?.("input[type=file]")) event.preventDefault();
  });
  addEventListener("paste", (event) => {
    if (event.defaultPrevented || theirs(event)) return;
    const [file] = event.clipboardData?.files ?? [];
    const text = event.clipboardData?.getData("text/plain") ?? "";
    const found = file ?? (INFOTEXT.test(text) ? new Blob([text], { type: "text/plain" }) : null); // an infotext, as A1111 copies it
    if (!found) return;
    event.preventDefault();
    read(found);
  });
}

function read(file) {
  return tried(async () => {
    if (!file.size) throw new Trouble("This file is empty.");
    if (file.type.startsWith("text/") && !INFOTEXT.test(await file.text())) throw new Trouble("This file is neither a picture nor a picture's settings.");
    const { draft, notes } = await ask("POST", "parameters", file);
    open("txt2img");
    fill(draft, notes, null, `Settings taken from ${file.name || "what was pasted"}.`);
  });
}
