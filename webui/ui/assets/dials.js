// Numbers a hand can set: slider and field together; drag on the name, arrow keys, wheel when focused, double-click resets.

import { checkpoint } from "./chips.js";
import { h, typeInto } from "./dom.js";

const RESETS = { txt2img_steps: "sampling.steps", txt2img_cfg_scale: "sampling.guidance", txt2img_clip_skip: "sampling.clip_skip", txt2img_batch_size: "batch_size" };
const FINE = 1000; // positions of a slider
const dials = [];

class Dial {
  constructor(block) {
    this.id = block.id;
    this.field = block.querySelector('input[type="number"]');
    this.name = block.querySelector('[data-testid="block-info"]');
    [this.low, this.high, this.grain] = [this.field.min, this.field.max, this.field.step].map(Number);
    this.bend = this.high - this.low > 20 ? 2 : 1; // wide ranges give more room to their low end
    this.slider = h("input", { type: "range", min: "0", max: String(FINE), "aria-label": `${this.name.textContent.trim()}, slider`, tabindex: "-1" });
    this.field.after(this.slider);
    this.name.title = "Drag to change, double-click for the checkpoint's own value";
    this.slider.addEventListener("input", () => this.set(this.at(this.slider.value / FINE)));
    for (const part of [this.slider, this.field]) {
      part.addEventListener("wheel", (event) => this.wheel(event), { passive: false });
    }
    for (const part of [this.slider, this.name]) part.addEventListener("dblclick", (event) => this.reset(event));
    this.name.addEventListener("pointerdown", (event) => this.scrub(event));
    this.name.addEventListener("click", (event) => { if (this.moved) event.preventDefault(); });
  }

  at(share) {
    return this.low + (this.high - this.low) * share ** this.bend;
  }

  set(value) {
    const round = Math.round((value - this.low) / this.grain) * this.grain + this.low;
    const next = Math.min(this.high, Math.max(this.low, Number(round.toFixed(3))));
    if (Number(this.field.value) !== next) typeInto(this.field, next);
    this.draw();
  }

  draw() {
    const share = Math.max(0, Math.min(1, ((Number(this.field.value) || this.low) - this.low) / (this.high - this.low))) ** (1 / this.bend);
    if (document.activeElement !== this.slider || !this.slider.matches(":active")) this.slider.value = Math.round(share * FINE);
    this.slider.style.setProperty("--v", `calc(${share * 100}% + ${7 - 14 * share}px)`); // to the middle of the knob
  }

  wheel(event) {
    if (document.activeElement !== this.field && document.activeElement !== this.slider) return;
    event.preventDefault();
    this.set(Number(this.field.value) + (event.deltaY < 0 ? this.grain : -this.grain));
  }

  reset(event) {
    event.preventDefault();
    const value = checkpoint()?.defaults[RESETS[this.id]];
    if (value !== undefined) this.set(value);
  }

  scrub(event) {
    if (event.button !== 0) return;
    const from = { x: event.clientX, share: this.slider.value / FINE };
    this.moved = false;
    this.name.setPointerCapture(event.pointerId);
    const move = (now) => {
      if (Math.abs(now.clientX - from.x) > 3) this.moved = true;
      if (this.moved) this.set(this.at(Math.max(0, Math.min(1, from.share + (now.clientX - from.x) / 260))));
    };
    const end = () => {
      this.name.removeEventListener("pointermove", move);
      this.name.removeEventListener("pointerup", end);
      this.name.removeEventListener("pointercancel", end);
    };
    this.name.addEventListener("pointermove", move);
    this.name.addEventListener("pointerup", end);
    this.name.addEventListener("pointercancel", end);
  }
}

export function enhanceDials() {
  for (const block of document.querySelectorAll("#txt2img_panel .dial")) {
    if (block.matches(".block")) dials.push(new Dial(block));
  }
}

export function syncDials() {
  for (const dial of dials) dial.draw();
}
