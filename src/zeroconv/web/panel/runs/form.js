// Starting a run: data, condition and steps; all else has a good default.
import { html, useState } from "../lib/html.js";
import { Icon } from "../lib/icons.js";
import { nameChoices, NumberField, Select } from "../lib/fields.js";
import { tellError } from "../lib/notices.js";
import { base, conditionOf, options } from "../state/store.js";
import { begin, list } from "./state.js";

const WORLD = "world";
const PROBES = 10; // of a short run
const OPEN = ["base", "batch_size", "learning_rate", "probe_every", "seed", "name"]; // fields that are folded

export function RunForm() {
  const [said, setSaid] = useState({ source: WORLD, count: 2000, condition: "canny", steps: 1500, base: base.value.name, batch_size: 8, learning_rate: null, probe_every: null, seed: 0, name: "" });
  const [error, setError] = useState(null);
  const [busy, setBusy] = useState(false);
  const [open, setOpen] = useState(false);
  const put = (key) => (value) => setSaid((before) => ({ ...before, [key]: value }));
  const usual = Math.max(1, Math.min(150, Math.ceil(said.steps / PROBES)));
  const start = async (event) => {
    event.preventDefault();
    const { source, count, name, ...rest } = said;
    const request = { ...rest, data: source === WORLD ? `world:${count}` : source, probe_every: said.probe_every ?? usual, name: name.trim() || null };
    setBusy(true);
    setError(null);
    try {
      await begin(request);
    } catch (refusal) {
      setError(refusal);
      if (OPEN.includes(refusal.field)) setOpen(true);
      if (!refusal.status) tellError(refusal);
    }
    setBusy(false);
  };
  const wrong = (field) => error?.status && (error.field ?? "") === field && html`<p class="warning" role="alert">${error.message}${error.hint && `: ${error.hint}`}</p>`;
  const { data } = list.value;
  return html`<form class="card panel run-form" aria-labelledby="form-title" onSubmit=${start}><h3 id="form-title">Train a control of your own</h3>
    <p class="small">A copy of the base learns to follow one kind of map. You see how well it obeys while it learns, and can try it at any time. Pictures are made as before; training takes second place.</p>
    <${Select} label="Data" value=${said.source} onInput=${put("source")} choices=${data.map((name) => [name, name === WORLD ? "Tiny world, drawn as it is needed" : name])}
      note=${data.length === 1 ? "Your own pictures: zeroconv serve --data photos=FOLDER" : null} />
    ${said.source === WORLD && html`<${NumberField} label="Pictures" value=${said.count} onInput=${put("count")} min=${16} max=${100000} />`}${wrong("data")}
    <${Select} label="Condition" value=${said.condition} onInput=${put("condition")} choices=${options.value.conditions.map((one) => [one.name, one.title])} note=${conditionOf(said.condition)?.summary} />${wrong("condition")}
    <${NumberField} label="Steps" value=${said.steps} onInput=${put("steps")} min=${1} max=${1000000} />${wrong("steps")}
    <details open=${open} onToggle=${(event) => setOpen(event.target.open)}><summary>More settings</summary><div class="form">
      <${Select} label="Base" value=${said.base} onInput=${put("base")} choices=${nameChoices(options.value.bases.map((one) => one.name))} title=${said.base} />${wrong("base")}
      <${NumberField} label="Pairs in a step" value=${said.batch_size} onInput=${put("batch_size")} min=${1} max=${256} />${wrong("batch_size")}
      <${NumberField} label="Learning rate" value=${said.learning_rate} onInput=${put("learning_rate")} min=${0.0000001} max=${1} step="any" optional placeholder="of the base" />${wrong("learning_rate")}
      <${NumberField} label="Steps between probes" value=${said.probe_every} onInput=${put("probe_every")} min=${1} max=${1000000} optional placeholder=${String(usual)} />${wrong("probe_every")}
      <${NumberField} label="Seed" value=${said.seed} onInput=${put("seed")} min=${0} max=${2 ** 32 - 1} />${wrong("seed")}
      <${NameField} value=${said.name} onInput=${put("name")} condition=${said.condition} />${wrong("name")}</div></details>
    ${wrong("")}
    <button type="submit" class="primary" disabled=${busy}><${Icon} name="plus" />Start</button></form>`;
}

function NameField({ value, onInput, condition }) {
  return html`<div class="field row"><label for="run-name">Name</label><input id="run-name" type="text" value=${value} maxlength="48" placeholder=${`${condition}-1`}
    onInput=${(event) => onInput(event.target.value)} /></div>`;
}
