// The place of trainings: all runs at the left, one of them or the form for a new one at the right.
import { html } from "../lib/html.js";
import { Icon } from "../lib/icons.js";
import { options } from "../state/store.js";
import { describe, Detail, Status } from "./detail.js";
import { RunForm } from "./form.js";
import { choose, chosen, goesOn, list, NEW, shown, useRuns } from "./state.js";
import { exact, whole } from "./words.js";

export function Runs({ back }) {
  useRuns();
  if (!list.value || !options.value) return html`<main class="loading" aria-busy="true"><p class="small">Asking the server…</p></main>`;
  const { runs, unreadable } = list.value;
  const opened = chosen.value !== null || runs.length === 0;
  return html`<main class="runs" data-opened=${opened}><div class="column left"><section aria-labelledby="runs-title"><header class="section"><h2 id="runs-title">Runs</h2></header>
      <ul class="run-list">${runs.map((one) => html`<li key=${one.id}><button type="button" class="card" aria-current=${shown.value === one.id ? "true" : null} onClick=${() => choose(one.id)}>
        <span><strong>${one.id}</strong><${Status} run=${one} /></span><small>${describe(one)}</small>
        <small>${goesOn(one) ? `Step ${whole(one.step)} of ${whole(one.steps)}` : `${whole(one.step)} steps`}${one.fidelity !== null && `, fidelity ${exact(one.fidelity)}`}</small></button></li>`)}</ul>
      ${unreadable.length > 0 && html`<p class="small">Cannot be read: ${unreadable.join(", ")}. What they were asked for (request.json) is damaged or of another version; their networks are kept.</p>`}
      <button type="button" class="add" onClick=${() => choose(NEW)}><${Icon} name="plus" />Start a run</button></section></div>
    <div class="column detail">${shown.value === NEW ? html`<${NewRun} hasRuns=${runs.length > 0} />` : html`<${Detail} back=${back} />`}</div></main>`;
}

const NewRun = ({ hasRuns }) => html`<div class="new-run">${hasRuns && html`<button type="button" class="plain phone-only" onClick=${() => choose(null)}><${Icon} name="back" />All runs</button>`}<${RunForm} /></div>`;
