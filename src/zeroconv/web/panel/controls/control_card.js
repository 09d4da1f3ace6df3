// One control: its picture, how it is read, and how, where and when it acts.
import { html, useEffect, useState } from "../lib/html.js";
import { IconButton, Icon } from "../lib/icons.js";
import { Segments, Select, Slider, Switch } from "../lib/fields.js";
import { attempt } from "../lib/notices.js";
import { pictureUrl } from "../lib/api.js";
import { setControl, setControls } from "../state/history.js";
import { conditionOf, controls, freshId, mapOf, networks, settings, size } from "../state/store.js";
import { startDrawing } from "../editor/editor.js";
import { invertMap } from "./checks.js";
import { extractSoon, wants } from "./extraction.js";
import { PictureInput, setReady } from "./picture_input.js";
import { SchemaForm } from "./schema_form.js";

const remove = (id) => setControls(controls.value.filter((one) => one.id !== id));
const duplicate = (control) => {
  const at = controls.value.findIndex((one) => one.id === control.id);
  setControls(controls.value.toSpliced(at + 1, 0, { ...control, id: freshId() }));
};

const contractOf = (condition) => {
  const { contract } = condition;
  return typeof contract === "string" ? contract : contract?.summary ?? Object.values(contract ?? {}).filter((one) => typeof one === "string" && one).join("; ");
};

export function ControlCard({ control }) {
  const { id } = control;
  const condition = conditionOf(control.condition);
  const put = (change) => setControl(id, change);
  useEffect(() => {
    if (wants(control)) extractSoon(id);
  }, [control.image, control.parameters, control.condition, control.ready, size.value.join(), settings.value.resize]);
  const title = condition?.title ?? control.network;
  return html`<article class=${`card control${control.on ? "" : " off"}`} aria-label=${title} data-control=${id}>
    <header><${Switch} label=${`${title} acts`} hideLabel value=${control.on} onInput=${(on) => put({ on })} /><h3>${title}</h3>
      <${IconButton} icon=${control.shown ? "eye" : "hidden"} label=${control.shown ? "Hide over the picture" : "Show over the picture"} aria-pressed=${control.shown}
        disabled=${!mapOf(control)} onClick=${() => put({ shown: !control.shown })} />
      <${IconButton} icon="copy" label="Duplicate" onClick=${() => duplicate(control)} /><${IconButton} icon="close" label="Remove" onClick=${() => remove(id)} /></header>
    <${Network} control=${control} put=${put} />
    <${Segments} label="What is given" value=${control.ready} onInput=${(ready) => setReady(id, ready)} choices=${[[false, "From a picture"], [true, "Ready map"]]} />
    <${PictureInput} control=${control} />
    ${control.trouble && !control.ready && html`<p class="warning" role="status">${control.trouble}</p>`}
    ${control.warnings.map((one) => html`<p key=${one.code} class="warning" role="status">${one.text}
      ${one.remedy === "invert" && html`<button type="button" onClick=${() => attempt(invertMap)(id)}>Invert</button>`}</p>`)}
    <${Slider} label="Strength" value=${control.scale} min=${0} max=${2} step=${0.05} hard=${[-10, 10]} onInput=${(scale) => put({ scale })} />
    <${Window} control=${control} put=${put} />
    <${Details} control=${control} condition=${condition} put=${put} />
  </article>`;
}

function Network({ control, put }) {
  const alike = networks.value.map((one) => [one.name, one.name]);
  const change = (name) => {
    const network = networks.value.find((one) => one.name === name);
    const condition = network.condition ?? network.conditions?.[0];
    put({ network: name, condition, ...(condition !== control.condition && { extracted: null, parameters: {}, warnings: [] }) });
  };
  return html`<${Select} label="Network" hideLabel value=${control.network} onInput=${change} choices=${alike} />`;
}

// from which to which part of the steps it acts, with the steps counted
function Window({ control, put }) {
  const steps = settings.value.num_inference_steps;
  const [from, to] = [control.start, control.end];
  const [first, last] = [Math.ceil(from * steps), Math.ceil(to * steps)];
  const said = first >= last ? "no step" : last - first === steps ? "all steps" : `steps ${first + 1} to ${last} of ${steps}`;
  return html`<fieldset class="window"><legend class="visually-hidden">When it acts</legend>
    <${Slider} label="Start" value=${from} min=${0} max=${1} step=${0.05} onInput=${(start) => put({ start: Math.min(start, to - 0.05) })} />
    <${Slider} label="End" value=${to} min=${0} max=${1} step=${0.05} onInput=${(end) => put({ end: Math.max(end, from + 0.05) })} />
    <small>Acts in ${said}.</small></fieldset>`;
}

function Details({ control, condition, put }) {
  const [open, setOpen] = useState(false);
  const { id, mask } = control;
  const fields = Object.keys(condition?.parameters?.properties ?? {}).length;
  return html`<${Region} id=${id} mask=${mask} put=${put} />
    <details open=${open} onToggle=${(event) => setOpen(event.target.open)}><summary>${control.ready ? "Details" : "Extraction and details"}</summary>
    ${open && html`${condition && html`<p class="small">${contractOf(condition)}</p>`}
      ${!control.ready && fields > 0 && html`<${SchemaForm} schema=${condition.parameters} values=${control.parameters} onInput=${(parameters) => put({ parameters })} />
        ${control.extracted?.milliseconds !== undefined && html`<small>Extracted in ${Math.round(control.extracted.milliseconds)} ms</small>`}`}
      <${LayerWeights} control=${control} put=${put} />`}</details>`;
}

const Region = ({ id, mask, put }) => html`<div class="region"><span>Acts ${mask ? "in a region" : "everywhere"}</span>
  ${mask && html`<img src=${pictureUrl(mask)} alt="Region in which it acts, white" />`}
  <button type="button" class="plain" onClick=${() => startDrawing(id, "mask")}><${Icon} name="brush" />${mask ? "Edit" : "Paint a region"}</button>
  ${mask && html`<${IconButton} icon="close" label="Act everywhere" onClick=${() => put({ mask: null })} />`}</div>`;

// a weight for each of the connections, the middle's last
const CONNECTIONS = 13;
function LayerWeights({ control, put }) {
  const weights = control.layers;
  if (!weights) {
    return html`<button type="button" class="link" onClick=${() => put({ layers: new Array(CONNECTIONS).fill(1) })}>Weights per connection</button>`;
  }
  const change = (at) => (event) => put({ layers: weights.with(at, Number(event.target.value)) });
  return html`<fieldset class="weights"><legend>Weight per connection, of fine to coarse; the last is the middle</legend>
    <div>${weights.map((weight, at) => html`<label key=${at}><input type="range" class="upright" min="0" max="2" step="0.05" value=${weight}
      aria-label=${at === weights.length - 1 ? "Middle" : `Connection ${at + 1}`} onInput=${change(at)} /><span>${weight.toFixed(2)}</span></label>`)}</div>
    <button type="button" class="link" onClick=${() => put({ layers: null })}>Leave them at 1</button></fieldset>`;
}
