// What lies over the page for a moment: toasts, menus, drawers, the sheet of shortcuts.

import { arrows, byId, h, icon } from "./dom.js";

let toasts = null;

/** A sentence at the foot of the page; with `undo`, a button that takes it back. */
export function toast(sentence, { undo = null, label = "Undo", bad = false, seconds = 7 } = {}) {
  if (!toasts) {
    toasts = h("div", { class: "toasts", role: "status", "aria-live": "polite" });
    document.body.append(toasts);
  }
  for (const other of [...toasts.children]) if (other.dataset.says === sentence) other.remove();
  const box = h("div", { class: bad ? "toast bad" : "toast", "data-says": sentence }, bad && icon("alert"), h("span", { class: "says" }, sentence));
  const away = () => box.remove();
  if (undo) {
    box.append(h("button", { type: "button", class: "btn", onclick: () => { away(); undo(); } }, icon("undo"), label));
  }
  box.append(h("button", { type: "button", class: "btn quiet icon-btn", "aria-label": "Close", onclick: away }, icon("x")));
  toasts.append(box);
  while (toasts.children.length > 3) toasts.firstChild.remove();
  let timer = setTimeout(away, seconds * 1000);
  box.addEventListener("pointerenter", () => clearTimeout(timer));
  box.addEventListener("pointerleave", () => { timer = setTimeout(away, 2500); });
  return away;
}

/** Runs what may fail, and says so where it does. */
export async function tried(action) {
  try {
    return await action();
  } catch (error) {
    if (error.name !== "AbortError") toast(error.message, { bad: true, seconds: 10 });
    return undefined;
  }
}

let closeMenu = null;

/** A menu of [label, action, icon?] rows, under (or over) an element or at a point. */
export function menu(rows, { anchor = null, at = null } = {}) {
  closeMenu?.();
  const box = h("div", { class: "menu floating", role: "menu" }, rows.map(([label, action, picture]) =>
    h("button", { type: "button", role: "menuitem", onclick: () => { close(); action(); } }, picture && icon(picture), label)));
  const back = document.activeElement;
  const close = () => {
    box.remove();
    anchor?.setAttribute("aria-expanded", "false");
    removeEventListener("pointerdown", outside, true);
    removeEventListener("keydown", keys, true);
    closeMenu = null;
    if (back?.isConnected) back.focus({ preventScroll: true });
  };
  const outside = (event) => { if (!box.contains(event.target) && event.target !== anchor) close(); };
  const keys = (event) => {
    if (event.key !== "Escape") return;
    event.stopPropagation();
    event.preventDefault();
    close();
  };
  document.body.append(box);
  arrows(box, "button");
  const from = anchor ? anchor.getBoundingClientRect() : { left: at.x, top: at.y, bottom: at.y };
  const { width, height } = box.getBoundingClientRect();
  const below = from.bottom + 6 + height < innerHeight;
  box.style.left = `${Math.max(8, Math.min(from.left, innerWidth - width - 8))}px`;
  box.style.top = `${below ? from.bottom + (anchor ? 6 : 0) : Math.max(8, from.top - height - (anchor ? 6 : 0))}px`;
  anchor?.setAttribute("aria-expanded", "true");
  addEventListener("pointerdown", outside, true);
  addEventListener("keydown", keys, true);
  box.querySelector("button")?.focus({ preventScroll: true });
  closeMenu = close;
}

const drawers = new Map();

/** A drawer at the right side; the same id again closes it. `focus` takes the keyboard into it. Returns its body, or null when it closed. */
export function drawer(id, title, { toggle = true, focus = false, onclose = null } = {}) {
  const open = drawers.get(id);
  if (open) {
    if (toggle) {
      open.close();
      return null;
    }
    return open.body;
  }
  for (const other of [...drawers.values()]) other.close();
  const body = h("div", { class: "side-body" });
  const from = document.activeElement;
  const close = () => {
    const held = box.contains(document.activeElement);
    box.remove();
    if (held && from?.isConnected) from.focus({ preventScroll: true });
    drawers.delete(id);
    onclose?.();
  };
  const box = h("aside", { class: "side", id, role: "dialog", "aria-label": title, tabindex: "-1" },
    h("header", {}, h("h2", {}, title), h("span", { class: "grow" }),
      h("button", { type: "button", class: "btn quiet icon-btn", "aria-label": "Close", onclick: close }, icon("x"))),
    body);
  document.body.append(box);
  drawers.set(id, { close, body });
  if (focus) box.focus({ preventScroll: true });
  return body;
}

export const drawerBody = (id) => drawers.get(id)?.body ?? null;

/** Closes whatever lies over the page; says whether anything did. */
export function closeTop() {
  const sheet = byId("sheet");
  if (sheet) {
    sheet.close();
    return true;
  }
  const last = [...drawers.values()].pop();
  last?.close();
  return Boolean(last);
}

/** A dialog in the middle of the page. */
export function sheet(title, ...content) {
  byId("sheet")?.close();
  const box = h("dialog", { id: "sheet", class: "sheet", "aria-label": title },
    h("header", {}, h("h2", {}, title), h("span", { class: "grow" }),
      h("button", { type: "button", class: "btn quiet icon-btn", "aria-label": "Close", onclick: () => box.close() }, icon("x"))),
    ...content);
  box.addEventListener("close", () => box.remove());
  box.addEventListener("click", (event) => { if (event.target === box) box.close(); });
  document.body.append(box);
  box.showModal();
}

/** A question before what cannot be undone; `action` runs when it is answered with `yes`. */
export function confirmed(title, sentence, yes, action) {
  const close = () => byId("sheet").close();
  sheet(title, h("p", {}, sentence), h("div", { class: "sheet-acts" },
    h("button", { type: "button", class: "btn", autofocus: true, onclick: close }, "Cancel"),
    h("button", { type: "button", class: "btn bad", onclick: () => { close(); action(); } }, yes)));
}
