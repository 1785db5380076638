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
    answer = await fetch(`api/${path}`, init);
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

/** Hears everything that happens, for ever: comes back by itself, ever more slowly. `heard(name, data)`; `linked(boolean)`. */
export function listen(heard, linked) {
  const names = ["snapshot", "changed", "progress", "saved", "finished", "queue", "engines"];
  let wait = 500;
  let source;
  const open = () => {
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
      setTimeout(open, wait + Math.random() * 250);
      wait = Math.min(wait * 1.7, 10_000);
    };
  };
  open();
  addEventListener("pagehide", () => source.close());
  addEventListener("pageshow", (event) => event.persisted && open());
}
