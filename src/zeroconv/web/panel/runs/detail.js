// One run: how it stands, what can be asked of it, its curves, samples and messages.
import { html, useEffect, useState } from "../lib/html.js";
import { Icon, IconButton } from "../lib/icons.js";
import { attempt } from "../lib/notices.js";
import { conditionOf, options } from "../state/store.js";
import { Fidelity, Loss } from "./curves.js";
import { Samples } from "./samples.js";
import { act, choose, goesOn, remove, run as current, tryControl } from "./state.js";
import { convergenceOf, progressOf, STATUS, whole } from "./words.js";

const ask = attempt(act);
const forget = attempt(remove);
const SURE = 5000; // milliseconds in which a second click deletes
const BUTTONS = [["probe", "Sample now", "Sampling…"], ["save", "Save now", "Saving…"], ["stop", "Stop", "Stopping…"]];

export const describe = ({ request }) => {
  const data = request.data.startsWith("world:") ? `${whole(Number(request.data.slice(6)))} pictures of the tiny world` : request.data;
  const base = options.value.bases.length > 1 && request.base ? `, on ${request.base.split("/").at(-1)}` : "";
  return `${conditionOf(request.condition)?.title ?? request.condition}, ${data}${base}`;
};

export const Status = ({ run }) => html`<span class=${`status ${run.status}`}>${STATUS[run.status]}</span>`;

export function Detail({ back }) {
  const run = current.value;
  if (!run) return html`<p class="small loading" aria-busy="true">Reading the run…</p>`;
  const convergence = convergenceOf(run);
  return html`<article class="run" aria-labelledby="run-title"><header class="run-head"><${IconButton} icon="back" label="All runs" className="phone-only" onClick=${() => choose(null)} />
      <div class="what"><h3 id="run-title">${run.id} <${Status} run=${run} /></h3><p class="small">${describe(run)}</p></div>
      <${Actions} run=${run} back=${back} /></header>
    <div class="run-progress"><progress value=${run.step} max=${run.steps} aria-label="Steps"></progress><p class="small" role="status">${progressOf(run)}${run.saved !== null && run.saved > 0 && html`, saved at ${whole(run.saved)}`}</p></div>
    ${run.error && html`<p class="warning" role="alert">${run.error}</p>`}
    ${convergence && html`<p class=${`moment${run.jump ? " held" : ""}`} role="status">${run.jump && html`<${Icon} name="check" />`}${convergence}</p>`}
    <div class="panels" key=${run.id}><${Fidelity} run=${run} /><${Samples} run=${run} /><${Loss} run=${run} /><${Messages} run=${run} /></div></article>`;
}

function Actions({ run, back }) {
  const open = attempt(tryControl);
  return html`<div class="run-actions">
    ${goesOn(run) && BUTTONS.filter(([name]) => name === "stop" || run.status === "running").map(([name, title, waiting]) => html`<button key=${name} type="button"
      disabled=${run.asked.includes(name)} onClick=${() => ask(run.id, name)}>${run.asked.includes(name) ? waiting : title}</button>`)}
    ${(run.status === "stopped" || run.status === "failed") && html`<button type="button" onClick=${() => ask(run.id, "resume")}><${Icon} name="redo" />Resume</button>`}
    ${!goesOn(run) && html`<${Delete} key=${run.id} id=${run.id} />`}
    <button type="button" class="primary" disabled=${!run.control} title=${run.control ? null : "The first probe writes it"} onClick=${() => open(run, back)}>Try its control</button></div>`;
}

// asks once more, as nothing brings a run back
function Delete({ id }) {
  const [sure, setSure] = useState(false);
  useEffect(() => {
    const timer = sure && setTimeout(() => setSure(false), SURE);
    return () => clearTimeout(timer);
  }, [sure]);
  return html`<button type="button" onClick=${() => (sure ? forget(id) : setSure(true))}><${Icon} name="bin" />${sure ? "Delete for good?" : "Delete"}</button>`;
}

function Messages({ run }) {
  if (!run.messages.length) return null;
  return html`<section class="card panel" aria-labelledby="messages-title"><header><h3 id="messages-title">Messages</h3></header>
    <ol class="said">${run.messages.toReversed().map((one, at) => html`<li key=${run.messages.length - at} class=${one.level}><small>step ${whole(one.step)}</small><p>${one.text}</p></li>`)}</ol></section>`;
}
