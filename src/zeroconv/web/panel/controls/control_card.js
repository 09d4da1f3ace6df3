// One control: its picture, how it is read, and how, where and when it acts.
import { html } from "../lib/html.js";
import { IconButton, Icon } from "../lib/icons.js";
import { nameChoices, Select, Slider, Switch } from "../lib/fields.js";
import { pictureUrl } from "../lib/api.js";
import { setControl, setControls } from "../state/history.js";
import { base, conditionOf, controls, freshId, mapOf, mapsOf, networks, networkTitle, settings } from "../state/store.js";
import { startDrawing } from "../editor/editor.js";
import { MapDetails, MapSource } from "./map_source.js";

const remove = (id) => setControls(controls.value.filter((one) => one.id !== id && one.lead !== id));
const duplicate = (control) => {
  const lead = freshId();
  const maps = control.joined ? mapsOf(control).map((one) => ({ ...one, id: freshId(), lead })) : [];
  const at = controls.value.indexOf(control) + maps.length;
  setControls(controls.value.toSpliced(at + 1, 0, { ...control, id: lead }, ...maps));
};

export function ControlCard({ control }) {
  const { id } = control;
  const put = (change) => setControl(id, change);
  const network = networks.value.find((one) => one.name === control.network);
  const title = control.joined && network ? networkTitle(network) : conditionOf(control.condition)?.title ?? control.network;
  return html`<article class=${`card control${control.on ? "" : " off"}`} aria-label=${title} data-control=${id}>
    <header><${Switch} label=${`${title} acts`} hideLabel value=${control.on} onInput=${(on) => put({ on })} /><h3>${title}</h3>
      ${!control.joined && html`<${Eye} control=${control} />`}
      <${IconButton} icon="copy" label="Duplicate" onClick=${() => duplicate(control)} /><${IconButton} icon="close" label="Remove" onClick=${() => remove(id)} /></header>
    <${Network} control=${control} network=${network} put=${put} />
    ${control.joined ? mapsOf(control).map((one) => html`<${MapPart} key=${one.id} control=${one} />`) : html`<${MapSource} control=${control} />`}
    <${Slider} label="Strength" value=${control.scale} min=${0} max=${2} step=${0.05} hard=${[-10, 10]} onInput=${(scale) => put({ scale })} />
    <${Window} control=${control} put=${put} />
    <${Region} id=${id} mask=${control.mask} put=${put} />
    <${MapDetails} control=${control} title=${control.ready || control.joined ? "Details" : "Extraction and details"}><${LayerWeights} control=${control} put=${put} /><//>
  </article>`;
}

const Eye = ({ control }) => html`<${IconButton} icon=${control.shown ? "eye" : "hidden"} label=${control.shown ? "Hide over the picture" : "Show over the picture"} aria-pressed=${control.shown}
  disabled=${!mapOf(control)} onClick=${() => setControl(control.id, { shown: !control.shown })} />`;

// one map of a network of several conditions; switched off, it is left out
function MapPart({ control }) {
  const title = conditionOf(control.condition)?.title ?? control.condition;
  return html`<section class=${`part${control.on ? "" : " off"}`} aria-label=${title} data-control=${control.id}>
    <header><${Switch} label=${`${title} is used`} hideLabel value=${control.on} onInput=${(on) => setControl(control.id, { on })} /><h4>${title}</h4><${Eye} control=${control} /></header>
    ${control.on && html`<${MapSource} control=${control} /><${MapDetails} control=${control} title=${control.ready ? "About this map" : "Extraction"} />`}</section>`;
}

const conditionNames = (network) => String(network?.conditions?.length > 1 ? network.conditions : "");

function Network({ control, network: now, put }) {
  const alike = networks.value.filter((one) => conditionNames(one) === conditionNames(now)).map((one) => one.name);
  const change = (name) => {
    if (control.joined) return setControls(controls.value.map((one) => (one.id === control.id || one.lead === control.id ? { ...one, network: name } : one)));
    const network = networks.value.find((one) => one.name === name);
    const condition = network.condition ?? network.conditions?.[0];
    return put({ network: name, condition, ...(condition !== control.condition && { extracted: null, parameters: {}, warnings: [] }) });
  };
  return html`<${Select} label="Network" hideLabel value=${control.network} onInput=${change} choices=${nameChoices(alike)} title=${control.network} />`;
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

const Region = ({ id, mask, put }) => html`<div class="region"><span>Acts ${mask ? "in a region" : "everywhere"}</span>
  ${mask && html`<img src=${pictureUrl(mask)} alt="Region in which it acts, white" />`}
  <button type="button" class="plain" onClick=${() => startDrawing(id, "mask")}><${Icon} name="brush" />${mask ? "Edit" : "Paint a region"}</button>
  ${mask && html`<${IconButton} icon="close" label="Act everywhere" onClick=${() => put({ mask: null })} />`}</div>`;

// a weight for each of the connections, the middle's last
function LayerWeights({ control, put }) {
  const weights = control.layers;
  if (!weights) {
    return html`<button type="button" class="link" onClick=${() => put({ layers: new Array(base.value.connections).fill(1) })}>Weights per connection</button>`;
  }
  const change = (at) => (event) => put({ layers: weights.with(at, Number(event.target.value)) });
  return html`<fieldset class="weights"><legend>Weight per connection, of fine to coarse; the last is the middle</legend>
    <div>${weights.map((weight, at) => html`<label key=${at}><input type="range" class="upright" min="0" max="2" step="0.05" value=${weight}
      aria-label=${at === weights.length - 1 ? "Middle" : `Connection ${at + 1}`} onInput=${change(at)} /><span>${weight.toFixed(2)}</span></label>`)}</div>
    <button type="button" class="link" onClick=${() => put({ layers: null })}>Leave them at 1</button></fieldset>`;
}
