// The prompt's field: weights are marked, tokens counted, Ctrl+↑/↓ changes the weight of the selection.

import { checkpoint } from "./chips.js";
import { h, later, typeInto } from "./dom.js";
import { state } from "./state.js";

const STEP = 0.1;
const EDGES = " .,\\/!?%^*;:{}=`~()\r\n\t"; // where a word ends, as A1111 has it
let back = null;
let counter = null;
let field = null;

export function enhancePrompt() {
  field = document.querySelector("#txt2img_prompt textarea");
  back = h("div", { class: "prompt-back", "aria-hidden": "true" });
  field.before(back);
  counter = h("span", { class: "note", id: "prompt_tokens", title: "Tokens: what the text encoder reads, 75 at a time" });
  document.querySelector("#txt2img_prompt [data-testid='block-info']").append(counter);
  const follow = () => { back.scrollTop = field.scrollTop; };
  field.addEventListener("scroll", follow);
  new ResizeObserver(() => { back.style.height = `${field.offsetHeight}px`; follow(); }).observe(field);
  field.addEventListener("input", drawPrompt);
  for (const area of document.querySelectorAll("#txt2img_prompt textarea, #txt2img_neg_prompt textarea")) {
    area.spellcheck = false;
    area.addEventListener("keydown", (event) => {
      if ((event.ctrlKey || event.metaKey) && (event.key === "ArrowUp" || event.key === "ArrowDown")) weigh(event, area);
    });
  }
}

let drawnText = null;
let drawnFor = null;

export function drawPrompt() {
  if (!field) return;
  const text = field.value;
  const now = state.form.checkpoint;
  if (text === drawnText && now === drawnFor) return;
  [drawnText, drawnFor] = [text, now];
  back.replaceChildren(...marked(text), "\n");
  back.scrollTop = field.scrollTop;
  count();
}

/** The text with weighted pieces marked. */
function marked(text) {
  const parts = [];
  let at = 0;
  for (const found of text.matchAll(/\((?:[^()\\]|\\.)*:\s*[+-]?[\d.]+\s*\)/g)) {
    parts.push(text.slice(at, found.index), h("mark", {}, found[0]));
    at = found.index + found[0].length;
  }
  parts.push(text.slice(at));
  return parts;
}

let asked = 0;

const count = later(async () => {
  const mine = ++asked;
  const record = checkpoint();
  const text = field.value;
  let told = null;
  try {
    const answer = await fetch("ui/tokens", { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify({ checkpoint: record?.id ?? "", text }) });
    told = answer.ok ? await answer.json() : null;
  } catch {
    // the server is away, which the top bar says
  }
  if (mine !== asked || !told) return;
  counter.textContent = `${told.exact ? "" : "about "}${told.tokens} / ${told.limit}`;
  counter.classList.toggle("over", told.tokens > 75);
}, 120);

/** Wraps the selection or the word at the cursor as (word:1.1), or changes the weight that it has. */
function weigh(event, area) {
  event.preventDefault();
  let { selectionStart: start, selectionEnd: end } = area;
  const text = area.value;
  const up = event.key === "ArrowUp";
  const around = group(text, start, end);
  if (around) [start, end] = [around.from, around.to];
  else if (start === end) [start, end] = word(text, start);
  if (start === end) return;
  const inside = text.slice(start, end);
  const weight = Math.round(((around?.weight ?? 1) + (up ? STEP : -STEP)) * 100) / 100;
  const [from, to] = around ? [around.open, around.close] : [start, end];
  const plain = weight === 1;
  const made = plain ? inside : `(${inside}:${weight})`;
  const shift = from + (plain ? 0 : 1);
  typeInto(area, text.slice(0, from) + made + text.slice(to));
  area.setSelectionRange(shift, shift + inside.length);
}

/** The (…:w) whose inside is the selection, or holds the cursor. */
function group(text, start, end) {
  const open = text.lastIndexOf("(", start - 1);
  if (open < 0 || text.slice(open, start).includes(")")) return null;
  const found = /^\(([^()]*):\s*([+-]?[\d.]+)\s*\)/.exec(text.slice(open));
  if (!found || open + found[0].length < end) return null;
  const weight = Number(found[2]);
  return Number.isFinite(weight) ? { open, close: open + found[0].length, from: open + 1, to: open + 1 + found[1].length, weight } : null;
}

function word(text, at) {
  let [start, end] = [at, at];
  while (start > 0 && !EDGES.includes(text[start - 1])) start -= 1;
  while (end < text.length && !EDGES.includes(text[end])) end += 1;
  return [start, end];
}
