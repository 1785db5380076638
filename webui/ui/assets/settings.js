// The settings tab's living parts: colours, the queue, the link for colleagues.

import { byId, h, icon } from "./dom.js";
import { ask } from "./net.js";
import { copy } from "./pictures.js";
import { toast, tried } from "./panels.js";
import { pause } from "./queue.js";
import { emit, on, state } from "./state.js";

export function start() {
  for (const button of document.querySelectorAll("[data-theme-choice]")) {
    if (button.matches("button")) button.addEventListener("click", () => { window.GESSO.setTheme(button.dataset.themeChoice); emit("theme"); });
  }
  byId("settings_pause")?.addEventListener("click", pause);
  on("theme", drawTheme);
  on("queue snapshot", drawQueue);
  byId("settings_rebuild")?.addEventListener("click", rebuild);
  on("tab", (id) => { if (id === "settings") opened(); });
  drawTheme();
  drawQueue();
  if (document.documentElement.dataset.tab === "settings") opened();
}

function opened() {
  drawLink();
  tried(drawOverview);
}

const row = ({ name, value, note }, code) => h("tr", {}, h("th", { scope: "row" }, code ? h("code", {}, name) : name), h("td", {}, value), h("td", { class: "muted" }, note));
const table = (rows, code, ...head) => h("div", { class: "table-scroll" }, h("table", {},
  head.length > 0 && h("thead", {}, h("tr", {}, head.map((text) => h("th", { scope: "col" }, text)))), h("tbody", {}, rows.map((one) => row(one, code)))));

async function drawOverview() {
  const { start, extensions } = await ask("GET", "ui/overview");
  byId("settings_start").replaceChildren(start ? table(start, true, "Option", "Now", "What it does") : h("p", { class: "muted" }, "The host of this link sees them here."));
  byId("settings_start").nextElementSibling.hidden = !start;
  byId("settings_extensions").replaceChildren(extensions.length ? table(extensions, false) : h("p", {}, "No extensions are loaded."));
}

function rebuild({ currentTarget: button }) {
  button.disabled = true;
  byId("settings_gallery_state").textContent = "Reading the files …";
  return tried(async () => {
    const { count } = await ask("POST", "images/rebuild");
    toast(`The gallery has ${count.toLocaleString()} ${count === 1 ? "picture" : "pictures"}.`);
  }).finally(() => {
    button.disabled = false;
    byId("settings_gallery_state").textContent = "Pictures are files below outputs/.";
  });
}

function drawTheme() {
  const choice = document.documentElement.dataset.themeChoice;
  for (const button of document.querySelectorAll("button[data-theme-choice]")) button.setAttribute("aria-pressed", String(button.dataset.themeChoice === choice));
}

function drawQueue() {
  if (!byId("settings_pause")) return;
  byId("settings_queue_state").textContent = state.paused ? "The queue is paused." : "The queue runs.";
  byId("settings_pause").textContent = state.paused ? "Resume" : "Pause";
  for (const name of ["settings_pause", "settings_rebuild"]) byId(name).disabled = state.you?.host === false;
}

let asked = false;

function drawLink() {
  const place = byId("settings_link");
  if (!place || asked) return;
  if (state.you?.host === false) {
    place.replaceChildren(h("p", { class: "muted" }, "The host of this link can invite others."));
    return;
  }
  asked = true;
  invite(place);
}

function invite(place) {
  return tried(async () => {
    const link = await ask("GET", "link");
    const code = h("div", { class: "qr", role: "img", "aria-label": "QR code of the invitation" });
    if (link.svg) code.append(h("img", { src: `data:image/svg+xml;utf8,${encodeURIComponent(link.svg)}`, alt: "", width: "168", height: "168" }));
    place.replaceChildren(
      link.svg ? code : "",
      h("div", { class: "link-text" },
        ...link.urls.map((url) => h("p", {}, h("code", {}, url))),
        h("p", { class: "muted" }, "The code lets one person in without the passcode, once, within 15 minutes."),
        h("div", { class: "side-acts" },
          link.invitation && h("button", { type: "button", class: "btn", onclick: () => copy(link.invitation, "Invitation copied.") }, icon("copy"), "Copy invitation"),
          h("button", { type: "button", class: "btn", onclick: () => invite(place) }, icon("rotate"), "New code"))));
  });
}
