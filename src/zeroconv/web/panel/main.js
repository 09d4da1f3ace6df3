// Begins the page: asks the server what it has, and shows it.
import { html, render } from "./lib/html.js";
import { readOptions } from "./lib/api.js";
import { tellError } from "./lib/notices.js";
import { App } from "./app.js";
import { resume } from "./state/jobs.js";
import { applyDefaults } from "./state/store.js";

const AGAIN = 2000; // milliseconds until the server is asked again

async function start() {
  try {
    applyDefaults(await readOptions());
    requestAnimationFrame(() => performance.mark("interactive"));
    await resume();
  } catch (error) {
    tellError(error);
    setTimeout(start, AGAIN);
  }
}

render(html`<${App} />`, document.getElementById("page"));
start();
