// Where one map comes from: a picture that it is extracted from, or a map that is ready; and what looks wrong about it.
import { html, useEffect, useState } from "../lib/html.js";
import { Segments } from "../lib/fields.js";
import { attempt } from "../lib/notices.js";
import { setControl } from "../state/history.js";
import { conditionOf, learntBy, settings, size } from "../state/store.js";
import { invertMap } from "./checks.js";
import { extractSoon, wants } from "./extraction.js";
import { PictureInput, setReady } from "./picture_input.js";
import { SchemaForm } from "./schema_form.js";

export function MapSource({ control }) {
  const { id } = control;
  useEffect(() => {
    if (wants(control)) extractSoon(id);
  }, [control.image, control.parameters, control.condition, control.ready, control.network, size.value.join(), settings.value.resize]);
  return html`<${Segments} label="What is given" value=${control.ready} onInput=${(ready) => setReady(id, ready)} choices=${[[false, "From a picture"], [true, "Ready map"]]} />
    <${PictureInput} control=${control} />
    ${control.trouble && !control.ready && html`<p class="warning" role="status">${control.trouble}</p>`}
    ${control.warnings.map((one) => html`<p key=${one.code} class="warning" role="status">${one.text}
      ${one.remedy === "invert" && html`<button type="button" onClick=${() => attempt(invertMap)(id)}>Invert</button>`}</p>`)}`;
}

const contractOf = (condition) => {
  const { contract } = condition;
  return typeof contract === "string" ? contract : contract?.summary ?? Object.values(contract ?? {}).filter((one) => typeof one === "string" && one).join("; ");
};

// the form of an extractor, whose defaults are those of the network's training
function formOf(condition, control) {
  const learnt = learntBy(control);
  const { properties = {} } = condition?.parameters ?? {};
  const own = Object.entries(properties).map(([name, one]) => [name, name in learnt ? { ...one, default: learnt[name] } : one]);
  return { ...condition?.parameters, properties: Object.fromEntries(own) };
}

// what the map must be, and how it is extracted; shown when it is opened
export function MapDetails({ control, children, title }) {
  const [open, setOpen] = useState(false);
  const condition = conditionOf(control.condition);
  const form = formOf(condition, control);
  const put = (parameters) => setControl(control.id, { parameters });
  return html`<details open=${open} onToggle=${(event) => setOpen(event.target.open)}><summary>${title}</summary>
    ${open && html`${condition && html`<p class="small">${contractOf(condition)}</p>`}
      ${!control.ready && Object.keys(form.properties).length > 0 && html`<${SchemaForm} schema=${form} values=${control.parameters} onInput=${put} />
        ${control.extracted?.milliseconds !== undefined && html`<small>Extracted in ${Math.round(control.extracted.milliseconds)} ms</small>`}`}
      ${children}`}</details>`;
}
