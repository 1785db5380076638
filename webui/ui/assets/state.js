// What the page knows. Changed here only; whoever draws listens.

export const state = {
  linked: null, // whether the events come; null before the first try
  you: null,
  paused: false,
  pausedBecause: "",
  notice: null, // {message, level} about the queue as a whole
  engines: [],
  jobs: new Map(), // active jobs by id: the first ones of the queue, and all of mine
  total: 0, // active jobs in all
  known: Infinity, // place in the queue up to which every job is in `jobs`
  progress: new Map(), // latest progress by job
  preview: new Map(), // latest preview by job, as an address
  lastPreview: new Map(), // by picture, to stand in until its thumbnail is there
  ended: [], // jobs that ended while the page was open, newest first
  pending: 0, // Generate was pressed, and the job is not heard of yet
  expected: new Set(), // ids of accepted jobs that the stream has not told of yet
  unheard: new Set(), // the same, also of those for which nothing waits any more
  checkpoints: [],
  form: {}, // the form's values by field
  recent: [], // pictures, newest first: the strip
  view: { kind: "none" }, // none | empty | live {job} | picture {picture}
  following: true, // the stage goes where the work is
};

const listeners = new Map();

export function on(names, listener) {
  for (const name of names.split(" ")) listeners.set(name, [...(listeners.get(name) ?? []), listener]);
}

export function emit(name, detail) {
  for (const listener of listeners.get(name) ?? []) listener(detail);
}

export const STRIP = 60; // pictures kept in the strip
const WINDOW = 200; // jobs of others that a snapshot tells of
const mine = (job) => !state.you || job.owner === state.you.id;
export const isMine = mine;

export const isHost = () => !state.you || state.you.host;

/** Of a picture (stars and trash are everyone's to see) or a job: the host may change every one, a collaborator their own. */
export const mayChange = (thing) => isHost() || thing.owner === state.you.id;

let sorted = null; // the queue in order, until a job changes: it may be ten thousand long

export function active() {
  sorted ??= [...state.jobs.values()].sort((a, b) => (a.status === b.status ? a.place - b.place : a.status === "running" ? -1 : 1));
  return sorted;
}

export function putJob(job) {
  state.jobs.set(job.id, job);
  sorted = null;
}

/** Active jobs that this page knows nothing of: someone else's, behind the first ones. */
export const hidden = () => Math.max(0, state.total - state.jobs.size);

/** Whether all jobs that run before this one are known here. */
export const placed = (job) => job.status === "running" || job.place <= state.known;

export const myActive = () => active().filter(mine);

/** The job that the stage shows, or else the one of mine that comes first. */
export function currentJob() {
  const shown = state.view.kind === "live" ? state.jobs.get(state.view.job) : null;
  return shown ?? myActive()[0] ?? null;
}

export const shownPicture = () => (state.view.kind === "picture" ? state.view.picture : null);

export function show(view, { follow = false } = {}) {
  state.view = view;
  state.following = follow || view.kind === "live";
  emit("view");
}

export function heard(name, data) {
  HANDLERS[name](data);
}

const HANDLERS = {
  snapshot(data) {
    const again = begun; // the first one finds a page that has missed nothing
    begun = true;
    const before = [...state.jobs.keys(), ...state.unheard];
    state.jobs = new Map(data.jobs.map((job) => [job.id, job]));
    sorted = null;
    count(data.active);
    state.known = hidden() ? data.jobs[Math.min(WINDOW, data.jobs.length) - 1]?.place ?? -Infinity : Infinity;
    state.progress = new Map(data.progress.map((progress) => [progress.job_id, progress]));
    for (const progress of data.progress) keepPreview(progress);
    Object.assign(state, { paused: data.paused, pausedBecause: data.paused_because, engines: data.engines, you: data.you });
    for (const id of state.jobs.keys()) heardOf(id);
    emit("snapshot", { again, lost: new Set(before.filter((id) => !state.jobs.has(id))) });
    emit("queue");
    emit("engines");
    follow();
  },
  changed({ job, message, active: total }) {
    putJob(job);
    count(total);
    heardOf(job.id);
    if (job.status === "queued") state.progress.delete(job.id);
    if (message) state.progress.set(job.id, { ...(state.progress.get(job.id) ?? { job_id: job.id, index: job.made, step: 0, total: job.request.sampling.steps }), message });
    emit("queue");
    follow();
  },
  progress(progress) {
    state.progress.set(progress.job_id, progress);
    keepPreview(progress);
    emit("progress", progress);
  },
  saved({ job_id: id, picture }) {
    if (state.preview.has(id)) state.lastPreview = new Map([[picture.id, state.preview.get(id)], ...state.lastPreview].slice(0, 20));
    state.preview.delete(id);
    const job = state.jobs.get(id);
    if (job) putJob({ ...job, made: Math.max(job.made, picture.index + 1) });
    if (!state.you || picture.owner === state.you.id) {
      state.recent = [picture, ...state.recent.filter((other) => other.id !== picture.id)].slice(0, STRIP);
      emit("recent");
    }
    emit("saved", { id, picture });
  },
  finished({ job, active: total }) {
    state.jobs.delete(job.id);
    sorted = null;
    count(total);
    heardOf(job.id);
    state.progress.delete(job.id);
    state.preview.delete(job.id);
    state.ended = [job, ...state.ended.filter((other) => other.id !== job.id)].slice(0, 100);
    emit("finished", job);
    emit("queue");
    follow();
  },
  queue({ paused, paused_because: because, message, level }) {
    Object.assign(state, { paused, pausedBecause: because });
    state.notice = message ? { message, level } : null;
    emit("queue");
    emit("notice");
  },
  engines({ engines }) {
    state.engines = engines;
    emit("engines");
  },
};

let begun = false;

function count(total = state.jobs.size) {
  state.total = total;
  if (!hidden()) state.known = Infinity;
}

/** The first `jobs` of the queue, asked for because most of those that were known have ended; `all` says that there are no others. */
export function windowed(jobs, all) {
  const over = new Set(state.ended.map((job) => job.id)); // ended while the answer was on its way
  for (const job of jobs) if (!state.jobs.has(job.id) && !over.has(job.id)) putJob(job);
  state.known = jobs.at(-1)?.place ?? Infinity;
  count(all ? state.jobs.size : state.total);
  emit("queue");
}

/** Jobs that ended, newest first; of those in `lost` the page thought that they were active, so their end is news. */
export function caughtUp(jobs, lost) {
  const known = new Set(state.ended.map((job) => job.id));
  const missed = jobs.filter((job) => !known.has(job.id));
  state.ended = [...state.ended, ...missed].sort((a, b) => b.finished_at - a.finished_at).slice(0, 100);
  for (const job of missed.reverse()) {
    state.unheard.delete(job.id);
    if (lost.has(job.id)) emit("finished", job);
  }
  emit("queue");
}

/** The newest pictures of mine, over those that are here: some may have come, or gone, while nothing was heard. */
export function renewed(pictures, asked) {
  const meanwhile = state.recent.filter((picture) => !asked.has(picture.id)); // saved while the answer was on its way
  const known = new Set(meanwhile.map((picture) => picture.id));
  state.recent = [...meanwhile, ...pictures.filter((picture) => !known.has(picture.id))].slice(0, STRIP);
  emit("recent");
}

/** A job was accepted: it counts as pending until the stream tells of it. */
export function expect(id) {
  if (state.jobs.has(id) || state.ended.some((job) => job.id === id)) {
    settle();
    return;
  }
  state.expected.add(id);
  state.unheard.add(id);
  setTimeout(() => arrived(id), 5000); // the stream is away
}

function heardOf(id) {
  state.unheard.delete(id);
  arrived(id);
}

function arrived(id) {
  if (state.expected.delete(id)) settle();
}

export function settle() {
  state.pending = Math.max(0, state.pending - 1);
  emit("pending");
}

function keepPreview(progress) {
  if (progress.preview) state.preview.set(progress.job_id, `data:image/webp;base64,${progress.preview}`);
}

/** Takes the stage to the running job of mine, unless a hand chose something else. */
function follow() {
  if (!state.following) return;
  const running = myActive()[0];
  if (running && !(state.view.kind === "live" && state.jobs.has(state.view.job) && state.jobs.get(state.view.job).status === "running")) {
    show({ kind: "live", job: running.id }, { follow: true });
  } else if (!running && state.view.kind === "live") {
    rest();
  } else {
    emit("view");
  }
}

/** Nothing runs: the latest picture, or the empty stage. */
export function rest() {
  const picture = state.recent[0];
  show(picture ? { kind: "picture", picture } : { kind: "empty" }, { follow: true });
}

export function linked(yes) {
  state.linked = yes;
  emit("linked");
}

/** A picture was starred, trashed or restored somewhere on the page. */
export function pictureChanged(picture) {
  const gone = picture.trashed_at !== null && picture.trashed_at !== undefined;
  const at = state.recent.findIndex((other) => other.id === picture.id);
  if (gone && at >= 0) state.recent = state.recent.filter((other) => other.id !== picture.id);
  else if (at >= 0) state.recent = state.recent.map((other) => (other.id === picture.id ? picture : other));
  else if (!gone && (!state.you || picture.owner === state.you.id)) {
    state.recent = [...state.recent, picture].sort((a, b) => b.created_at - a.created_at).slice(0, STRIP);
  }
  emit("recent");
  if (shownPicture()?.id === picture.id) {
    if (!gone) show({ kind: "picture", picture }, { follow: state.following });
    else if (state.recent.length) show({ kind: "picture", picture: state.recent[Math.min(Math.max(at, 0), state.recent.length - 1)] });
    else show({ kind: "empty" }, { follow: true });
  }
  emit("picture", picture);
}
