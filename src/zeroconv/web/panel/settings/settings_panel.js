// Everything that acts on a picture beside prompt and controls. Nothing multiplies in secret.
import { html } from "../lib/html.js";
import { IconButton, Icon } from "../lib/icons.js";
import { nameChoices, NumberField, Segments, Select, Slider, Switch } from "../lib/fields.js";
import { pictureUrl } from "../lib/api.js";
import { set, depth, redo, undo } from "../state/history.js";
import { options, requestFields, settings, size, base } from "../state/store.js";
import { startDrawing } from "../editor/editor.js";
import { Presets } from "./presets_field.js";

const capital = (text) => text?.replace(/^./, (letter) => letter.toUpperCase());
const titled = (list) => (list ?? []).map((one) => [one.name, one.title ?? capital(one.name)]);
const sentence = (list, name) => {
  const found = list?.find((one) => one.name === name)?.summary;
  return found && `${capital(found).replace(/\.$/, "")}.`;
};
const MOST_STEPS = 100;

export const dice = () => set("seed", Math.floor(Math.random() * 2 ** 32));

export function SettingsPanel() {
  const said = settings.value;
  const { bases = [], samplers, weightings, resize_modes: modes, limits = {} } = options.value ?? {};
  const known = (key) => key in requestFields.value || Object.keys(requestFields.value).length === 0;
  return html`<section class="settings" aria-labelledby="settings-title"><header class="section"><h2 id="settings-title">Settings</h2>
      <${IconButton} icon="undo" label="Undo a setting" keys="Control+Z" disabled=${!depth.value.past} onClick=${undo} />
      <${IconButton} icon="redo" label="Redo a setting" keys="Control+Shift+Z" disabled=${!depth.value.future} onClick=${redo} /></header>
    <div class="card fields">
      <${Select} label="Base" value=${said.base} onInput=${(name) => (set("base", name), set("size", null))} choices=${nameChoices(bases.map((one) => one.name))} title=${said.base} />
      <${SizeField} most=${(said.tile ? limits.longest_tiled : limits.longest_side) ?? 2048} />
      <${Slider} label="Pictures" value=${said.num_images} min=${1} max=${Math.min(16, limits.images ?? 16)} hard=${[1, limits.images ?? 64]} onInput=${(value) => set("num_images", value)} />
      <${SeedField} />
    </div>
    <div class="card fields">
      <${Slider} label="Steps" value=${said.num_inference_steps} min=${1} max=${Math.min(MOST_STEPS, limits.steps ?? MOST_STEPS)} hard=${[1, limits.steps ?? 999]}
        onInput=${(value) => set("num_inference_steps", value)} />
      <${Slider} label="Guidance" value=${said.guidance_scale} min=${1} max=${15} step=${0.1} hard=${[0, 100]} onInput=${(value) => set("guidance_scale", value)}
        note=${said.guidance_scale === 1 ? "1 is none: the negative prompt does nothing." : null} />
      <${Select} label="Sampler" value=${said.sampler} onInput=${(value) => set("sampler", value)} choices=${titled(samplers)} />
    </div>
    <div class="card fields">
      <${Select} label="Weighting of the controls" value=${said.weighting} onInput=${(value) => set("weighting", value)} choices=${titled(weightings)} note=${sentence(weightings, said.weighting)} />
      ${known("control_guidance_scale") && html`<${NumberField} label="Guidance on controls" value=${said.control_guidance_scale} optional min=${0} max=${100} step="any" placeholder="none"
        onInput=${(value) => set("control_guidance_scale", value)} />`}
      <${Select} label="Maps of another size" value=${said.resize} onInput=${(value) => set("resize", value)} choices=${titled(modes)} note=${sentence(modes, said.resize)} />
    </div>
    <${FromPicture} known=${known("init_image")} />
    <details class="card fields" open=${said.tile !== null}><summary>Tiles, speed and reading</summary>
      ${known("tile") && html`<${NumberField} label="Tile, pixels a side" value=${said.tile} optional min=${64} max=${limits.longest_side} step=${8} placeholder="none"
        onInput=${(value) => set("tile", value && 8 * Math.round(value / 8))} note="Large pictures are made in overlapping tiles, usually of the base’s own size." />`}
      ${said.tile !== null && html`<${NumberField} label="Overlap, pixels" value=${said.tile_overlap} optional min=${0} max=${said.tile - 8} step=${8} placeholder="half a tile"
        onInput=${(value) => set("tile_overlap", value && 8 * Math.round(value / 8))} />`}
      <${NumberField} label="Controls every … steps" value=${said.control_every} min=${1} max=${999} onInput=${(value) => set("control_every", value)} note="1 computes them in every step, exactly." />
      <${NumberField} label="Encoder every … steps" value=${said.encoder_every} min=${1} max=${999} onInput=${(value) => set("encoder_every", value)} />
      <${Switch} label="Plain prompt" value=${said.plain_prompt} onInput=${(value) => set("plain_prompt", value)} note="(word:1.3), [word] and BREAK are words like others" />
    </details>
    <${Presets} />
  </section>`;
}

function SizeField({ most }) {
  const [width, height] = size.value;
  const { width: own, height: tall } = base.value ?? { width, height };
  const put = (next) => set("size", next[0] === own && next[1] === tall ? null : next);
  const unit = own % 64 === 0 && own > 128 ? 64 : 8;
  const near = (value) => Math.max(unit, Math.round(value / unit) * unit);
  const shapes = [["square", "1:1", [own, tall]], ["tall", "3:4", [near(own * 0.75), tall]], ["wide", "4:3", [own, near(tall * 0.75)]]];
  const shape = shapes.find(([, , one]) => one[0] === width && one[1] === height)?.[0];
  return html`<fieldset class="field size"><legend>Size</legend><${Segments} label="Shape" value=${shape} onInput=${(key) => put(shapes.find(([name]) => name === key)[2])}
      choices=${shapes.map(([key, title]) => [key, title])} />
    <div class="sides"><input type="number" aria-label="Width" value=${width} min=${unit} max=${most} step=${unit} onChange=${(event) => put([near(Math.min(most, event.target.value || own)), height])} />
      <${IconButton} icon="swap" label="Exchange width and height" onClick=${() => put([height, width])} />
      <input type="number" aria-label="Height" value=${height} min=${unit} max=${most} step=${unit} onChange=${(event) => put([width, near(Math.min(most, event.target.value || tall))])} /></div></fieldset>`;
}

function SeedField() {
  const { seed, lockSeed } = settings.value;
  return html`<div class="field seed"><label for="seed">Seed</label><input id="seed" type="number" value=${seed} step="1" onChange=${(event) => set("seed", Math.round(Number(event.target.value) || 0))} />
    <${IconButton} icon="dice" label="Another seed" keys="Alt+R" onClick=${dice} />
    <${IconButton} icon=${lockSeed ? "lock" : "unlock"} label=${lockSeed ? "Keep this seed: on" : "Keep this seed: off"} aria-pressed=${lockSeed} onClick=${() => set("lockSeed", !lockSeed)} />
    <small>${lockSeed ? "Stays the same each time." : "A new one after each picture."}</small></div>`;
}

// image-to-image and inpainting, where the server's requests have them
function FromPicture({ known }) {
  const { init_image: picture, strength, mask_image: mask } = settings.value;
  if (!picture || !known) return null;
  return html`<div class="card fields"><header class="section"><h3>From a picture</h3>
      <${IconButton} icon="close" label="Begin from noise again" onClick=${() => (set("init_image", null), set("mask_image", null))} /></header>
    <div class="pair"><figure><img src=${pictureUrl(picture, 256)} alt="Picture to begin from" /><figcaption>Picture</figcaption></figure>
      ${mask && html`<figure><img src=${pictureUrl(mask, 256)} alt="White is painted anew" /><figcaption>Painted anew</figcaption></figure>`}</div>
    <${Slider} label="Change" value=${strength} min=${0.05} max=${1} step=${0.05} onInput=${(value) => set("strength", value)} note="Little keeps the picture, 1 keeps nothing of it." />
    ${"mask_image" in requestFields.value && html`<div class="ways"><button type="button" onClick=${() => startDrawing("page", "inpaint")}><${Icon} name="brush" />${mask ? "Edit the mask" : "Change a part only"}</button>
      ${mask && html`<button type="button" class="plain" onClick=${() => set("mask_image", null)}>All of it</button>`}</div>`}</div>`;
}
