// Starts the page: waits for Gradio to draw, then joins the parts and listens.

import { byId, drawn } from "./dom.js";
import * as chips from "./chips.js";
import * as drop from "./drop.js";
import * as form from "./form.js";
import * as gallery from "./gallery.js";
import * as keys from "./keys.js";
import { listen } from "./net.js";
import * as queue from "./queue.js";
import * as settings from "./settings.js";
import * as stage from "./stage.js";
import { heard, linked, state } from "./state.js";

form.expose();
await drawn(["gesso_nav", "nav_menu", "chip_queue", "tab_txt2img", "stage_pic", "txt2img_gallery", "gallery_grid", "txt2img_interrupt"]);
window.GESSO.paint(); // Gradio has set its own colours by now
chips.start();
queue.start();
stage.start();
gallery.start();
settings.start();
drop.start();
keys.start();
listen(heard, linked, () => state.jobs.size === 0);
await form.start();
byId("txt2img_prompt").querySelector("textarea").setAttribute("aria-label", "Prompt");
document.documentElement.dataset.started = "1";
