// What stands in the scene: adding, choosing, and all that can be said of the chosen thing.
import { html, useState } from "../lib/html.js";
import { Icon, IconButton } from "../lib/icons.js";
import { Select, Slider } from "../lib/fields.js";
import { add, choices, colourOf, duplicate, isFull, isRoom, putThing, remove, scene, selected, thing, wordsOf } from "./model.js";

const OUTDOORS = ["person", "car", "house", "tree", "bush", "rock", "fence", "ball"];
const INDOORS = ["person", "sofa", "chair", "table", "bookshelf", "lamp", "plant", "rug", "big table"];
const title = (text) => text[0].toUpperCase() + text.slice(1);

export function Things() {
  const { things } = scene.value;
  return html`<section aria-labelledby="things-title"><header class="section"><h2 id="things-title">Things</h2><small>${things.length} of ${choices.value?.most ?? 20}</small></header>
    <ul class="thing-list">${things.map((one, at) => html`<li key=${at} class=${at === selected.value ? "active" : ""}>
      <button type="button" class="plain name" aria-pressed=${at === selected.value} onClick=${() => (selected.value = at === selected.value ? null : at)}>
        <${Swatch} colour=${colourOf(one, at)} /><span>${title(wordsOf(one, at).replace(/^an? /, ""))}</span></button>
      <${IconButton} icon="bin" label=${`Delete ${one.kind}`} onClick=${() => remove(at)} /></li>`)}</ul>
    ${things.length === 0 && html`<p class="small">Nothing stands here yet.</p>`}
    <${Palette} /></section>`;
}

const Swatch = ({ colour }) => html`<i class="swatch" aria-hidden="true" style=${{ background: colour ?? "" }}></i>`;

function Palette() {
  const [all, setAll] = useState(false);
  if (!choices.value) return null;
  const known = choices.value.kinds.filter((one) => one.added).map((one) => one.kind);
  const near = (isRoom.value ? INDOORS : OUTDOORS).filter((kind) => known.includes(kind));
  const shown = all ? [...near, ...known.filter((kind) => !near.includes(kind))] : near;
  return html`<fieldset class="adding" disabled=${isFull.value}><legend>${isFull.value ? "No more things fit" : "Add"}</legend>
    ${shown.map((kind) => html`<button key=${kind} type="button" onClick=${() => add(kind)}>${title(kind)}</button>`)}
    <button type="button" class="plain" aria-expanded=${all} onClick=${() => setAll(!all)}>${all ? "Fewer" : "More…"}</button></fieldset>`;
}

export function Chosen() {
  const one = thing.value;
  const at = selected.value;
  if (!one) return null;
  const known = choices.value?.kinds.find((kind) => kind.kind === one.kind);
  const change = (values) => putThing(at, values);
  return html`<section class="chosen" aria-labelledby="chosen-title"><header class="section"><h2 id="chosen-title">${title(one.kind)}</h2>
      <${IconButton} icon="copy" label="Duplicate" keys="D" disabled=${isFull.value} onClick=${duplicate} />
      ${!one.part && html`<${IconButton} icon="dice" label="Another look" onClick=${() => change({ look: Math.floor(Math.random() * 2 ** 31) })} />`}
      <${IconButton} icon="bin" label="Delete" keys="Delete" onClick=${() => remove()} /></header>
    <div class="fields">
      ${known?.varieties.length > 0 && html`<${Select} label=${one.kind === "person" ? "Pose" : one.kind === "tree" ? "Leaves" : "Body"} value=${one.variety ?? ""} onInput=${(variety) => change({ variety: variety || null })}
        choices=${[["", "As it is"], ...known.varieties.map((name) => [name, title(name)])]} />`}
      ${known?.has_colour && html`<${Colours} label=${one.kind === "person" ? "Shirt" : "Colour"} value=${one.colour ?? null} onInput=${(colour) => change({ colour })} />`}
      <${Slider} label="Size" value=${one.size ?? 1} min=${0.4} max=${3} step=${0.05} hard=${[0.1, 10]} onInput=${(size) => change({ size })} />
      <${Slider} label="Turn" unit="°" value=${one.turn ?? 0} min=${-180} max=${180} step=${1} hard=${[-360, 360]} onInput=${(turn) => change({ turn })} />
      <${Slider} label="Height above ground" unit="m" value=${one.y ?? 0} min=${0} max=${3} step=${0.01} hard=${[0, 20]} onInput=${(y) => change({ y })} />
      <div class="places"><${Place} label="Right" value=${one.x} onInput=${(x) => change({ x })} /><${Place} label="Away" value=${one.z} onInput=${(z) => change({ z })} /></div>
    </div></section>`;
}

const Place = ({ label, value, onInput }) => html`<label class="place"><span>${label}</span><input type="number" class="number" step="0.1" min="-100" max="100" value=${value}
  onChange=${(event) => event.target.value !== "" && Number.isFinite(Number(event.target.value)) && onInput(Math.min(100, Math.max(-100, Number(event.target.value))))} /><span class="unit">m</span></label>`;

function Colours({ label, value, onInput }) {
  return html`<fieldset class="colours"><legend>${label}</legend>
    <button type="button" class="none" aria-pressed=${value === null} aria-label="As it is" title="As it is" onClick=${() => onInput(null)}></button>
    ${choices.value.colours.map(({ name, color }) => html`<button key=${name} type="button" aria-pressed=${value === name} aria-label=${name} title=${name} style=${{ background: color }} onClick=${() => onInput(name)}></button>`)}</fieldset>`;
}
