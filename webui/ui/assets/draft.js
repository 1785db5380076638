// The form as this browser left it: kept on the server a moment after each change, so that it survives a reload and a crash.

import { ask } from "./net.js";
import { on, state } from "./state.js";

const SAVE_AFTER = 400; // ms of quiet
const MOST_ALIVE = 60_000; // bytes; a browser carries no more for a page that it closes

let restored = false; // the server has told what was kept: before that, an empty form would be kept over it
let whole = false; // the values that are known came after that
let saved = ""; // what was sent last
let due = 0;
let sending = null;

export function start() {
  document.addEventListener("visibilitychange", () => { if (document.hidden) flush(); });
  addEventListener("pagehide", flush);
  on("linked", () => { if (state.linked) soon(); }); // what could not be sent is sent now
}

/** The form has been restored: from its next change on it is what a hand made of it. */
export function begin() {
  restored = true;
}

/** The form has changed. */
export function keep() {
  whole = restored;
  soon();
}

/** Once the hand rests. */
function soon() {
  clearTimeout(due);
  due = setTimeout(() => {
    due = 0;
    if (sending) sending.then(soon); // one after another, so that the last one stays
    else save();
  }, SAVE_AFTER);
}

/** The page goes, maybe for good: now or never. */
function flush() {
  clearTimeout(due);
  due = 0;
  save();
}

function save() {
  const browser = /(?:^|; )gesso_browser=([\w-]{8,64})/.exec(document.cookie)?.[1];
  const text = JSON.stringify(state.form);
  if (!whole || !browser || text === saved) return;
  saved = text;
  const body = new Blob([`{"form":${text}}`], { type: "application/json" });
  sending = ask("PUT", `draft/${browser}`, body, { keepalive: body.size < MOST_ALIVE })
    .catch(() => { if (saved === text) saved = ""; }) // the link's return and the next change try again; the stage says when the server is away
    .finally(() => { sending = null; });
}
