// The prompt, and the one button that everything leads to.
import { html, signal, useEffect, useState } from "../lib/html.js";
import { tell, tellError } from "../lib/notices.js";
import { saveAll } from "../editor/desk.js";
import { set } from "../state/history.js";
import { active, cancel, cancelAll, running, send, timeLeft } from "../state/jobs.js";
import { buildRequest, whatIsMissing } from "../state/request.js";
import { settings, stage, tab } from "../state/store.js";
import { dice } from "./settings_panel.js";

const sending = signal(false);
const CONTINUOUS = 250; // milliseconds between looks at the clock

export async function generateNow() {
  if (sending.value) return;
  sending.value = true;
  try {
    await saveAll();
    const missing = whatIsMissing();
    if (missing) return tell(missing, { level: "warning" });
    await send(buildRequest());
    if (!settings.value.lockSeed) dice();
    stage.value = { kind: "result" };
    tab.value = "picture";
  } catch (error) {
    tellError(error);
  } finally {
    sending.value = false;
  }
  return undefined;
}

export function PromptDock() {
  const { prompt, negative_prompt: negative } = settings.value;
  const [more, setMore] = useState(false);
  const open = more || negative !== "";
  const job = running.value;
  return html`<section class="dock" aria-label="Prompt"><div class="card">
    <div class="texts"><label class="visually-hidden" for="prompt">Prompt</label>
      <textarea id="prompt" rows="2" placeholder="What should the picture show?" value=${prompt} onInput=${(event) => set("prompt", event.target.value)}></textarea>
      ${open ? html`<label class="visually-hidden" for="negative">Negative prompt</label>
        <textarea id="negative" rows="1" placeholder="What should it not show?" value=${negative} onInput=${(event) => set("negative_prompt", event.target.value)}></textarea>` : null}</div>
    <footer><button type="button" class="link" aria-expanded=${open} onClick=${() => (open && set("negative_prompt", ""), setMore(!open))}>${open ? "No negative prompt" : "Negative prompt"}</button>
      <${Progress} job=${job} />
      ${job && html`<button type="button" id="cancel" disabled=${job.cancelling} aria-keyshortcuts="Escape" onClick=${() => cancel(job.id)}>Cancel</button>`}
      ${active.value.length > 1 && html`<button type="button" class="plain" onClick=${cancelAll}>Cancel all ${active.value.length}</button>`}
      <button type="button" id="generate" class="primary" disabled=${sending.value} title="Control+Enter" aria-keyshortcuts="Control+Enter" onClick=${generateNow}>${job ? "Queue another" : "Generate"}</button></footer>
  </div></section>`;
}

function Progress({ job }) {
  const [, tick] = useState(0);
  useEffect(() => {
    if (!job) return undefined;
    const timer = setInterval(() => tick((count) => count + 1), CONTINUOUS);
    return () => clearInterval(timer);
  }, [job?.id]);
  if (!job) return html`<span class="progress"></span>`;
  const left = timeLeft(job);
  const words = job.state === "queued" ? (job.position > 0 ? `${job.position} before this one` : "Waiting") : job.step ? `Step ${job.step} of ${job.steps}` : "Starting";
  return html`<div class="progress"><span role="status">${words}${left !== null && left >= 1 ? `, ${duration(left)} left` : ""}</span>
    <progress aria-label="Progress" max=${job.steps || 1} value=${job.state === "queued" ? 0 : job.step}></progress></div>`;
}

const duration = (seconds) => (seconds < 60 ? `${Math.round(seconds)} s` : `${Math.floor(seconds / 60)} min ${Math.round(seconds % 60)} s`);
