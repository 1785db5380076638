// The native API and its stream of events. Errors are sentences.

export class Trouble extends Error {
  constructor(sentence, field = null, status = 0) {
    super(sentence);
    this.field = field;
    this.status = status;
  }
}

const AWAY = "Gesso does not answer. Is it still running? Look at the window it was started in.";

/** Asks the API. Raises `Trouble`. */
export async function ask(method, path, body, options = {}) {
  const init = { method, ...options };
  if (body instanceof Blob) init.body = body;
  else if (body !== undefined) Object.assign(init, { body: JSON.stringify(body), headers: { "Content-Type": "application/json" } });
  let answer;
  try {
    answer = await fetch(path.startsWith("ui/") ? path : `api/${path}`, init); // the page's own questions are no part of the API
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Trouble(AWAY);
  }
  if (answer.status === 401) {
    location.reload(); // the passcode is asked for again
    throw new Trouble("Your session has ended.");
  }
  const told = answer.status === 204 ? null : await answer.json().catch(() => null);
  if (answer.ok) return told;
  throw new Trouble(told?.error?.message ?? `Gesso answered with ${answer.status}.`, told?.error?.field ?? null, answer.status);
}

export const fileOf = (picture) => `api/images/${encodeURIComponent(picture.id)}/file`;
export const thumbnailOf = (picture) => `api/images/${encodeURIComponent(picture.id)}/thumbnail`;

const RESTS_AFTER = 60_000; // ms

/**
 * Hears everything that happens, for ever: comes back by itself, ever more slowly. `heard(name, data)`; `linked(boolean)`.
 * A tab that is hidden while nothing runs (`idle()`) lets its stream go: a browser grants six connections to a server, for all tabs together.
 */
export function listen(heard, linked, idle) {
  const names = ["snapshot", "changed", "progress", "saved", "finished", "queue", "engines"];
  let wait = 500;
  let source;
  let resting = null; // the clock that runs while the tab is hidden
  const rest = () => {
    if (!document.hidden) return;
    if (idle()) source.close();
    else resting = setTimeout(rest, RESTS_AFTER);
  };
  document.addEventListener("visibilitychange", () => {
    clearTimeout(resting);
    if (document.hidden) resting = setTimeout(rest, RESTS_AFTER);
    else if (source.readyState === EventSource.CLOSED && !coming) open();
  });
  let coming = null; // the clock of the next try
  const close = () => {
    clearTimeout(coming);
    coming = null;
    source?.close();
  };
  const open = () => { // one stream at a time, whoever asks for it
    close();
    source = new EventSource("api/events?previews=1");
    for (const name of names) source.addEventListener(name, (event) => heard(name, JSON.parse(event.data)));
    source.onopen = () => {
      wait = 500;
      linked(true);
    };
    source.onerror = () => {
      source.close();
      linked(false);
      if (wait > 1000) ask("GET", "jobs?limit=1").catch(() => undefined); // a session that has ended is told by its status, which a stream hides
      coming = setTimeout(open, wait + Math.random() * 250);
      wait = Math.min(wait * 1.7, 10_000);
    };
  };
  open();
  addEventListener("pagehide", close); // with its next try: a page that comes back begins anew
  addEventListener("pageshow", (event) => event.persisted && open());
}
