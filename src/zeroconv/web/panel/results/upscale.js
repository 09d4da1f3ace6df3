// A picture enlarged: the base goes over it in overlapping tiles, which are joined at each step.
import { html, signal, useState } from "../lib/html.js";
import { Dialog, NumberField, Segments, Select, Slider, useId, within } from "../lib/fields.js";
import { named } from "../lib/api.js";
import { attempt } from "../lib/notices.js";
import { send } from "../state/jobs.js";
import { given } from "../state/request.js";
import { conditionOf, networksOf, networkTitle, options, stage, tab } from "../state/store.js";

const FACTORS = [[2, "2 ×"], [4, "4 ×"]];
const UNIT = 8; // pixels: sides of pictures and tiles are multiples of it
const LEFT_OUT = ["controls", "mask_image", "control_guidance_scale", "tile_overlap"]; // of the request that made the picture
const last = signal({ factor: 2, strength: 0.35, tile: null, hold: null }); // as it was done before

const baseOf = (picture) => given(picture.request ?? {}, "base")?.name ?? given(picture.request ?? {}, "base");
const enlarged = (side, factor) => UNIT * Math.ceil(Math.round(side * factor) / UNIT);
const tilesOf = (size, tile) => size.reduce((all, side) => all * Math.max(1, Math.ceil((side - tile / 2) / (tile - tile / 2))), 1);

// controls whose map is read from the picture itself; one that follows tiles was trained for this
function holders(base) {
  const found = networksOf(base).filter((one) => one.conditions?.length === 1 && !conditionOf(one.conditions[0])?.needs_mask);
  return found.toSorted((one, other) => (other.conditions[0] === "tile") - (one.conditions[0] === "tile"));
}

export function upscaleRequest(picture, { prompt, size, strength, tile, hold, scale }) {
  const made = Object.fromEntries(Object.entries(picture.request ?? {}).filter(([key]) => !LEFT_OUT.includes(key)));
  const id = picture.picture ?? picture.id;
  const controls = hold ? [{ network: hold, image: named(id), scale }] : [];
  return { ...made, prompt, seed: picture.seed, num_images: 1, size, resize: "crop", init_image: named(id), strength, tile, controls };
}

// why it cannot be done here, in one line
function obstacle(size, tile) {
  const limits = options.value.limits ?? {};
  const most = limits.longest_tiled ?? limits.longest_side;
  if (Math.max(...size) > most) return `this server makes pictures of ${most} pixels a side at most`;
  const count = tilesOf(size, tile);
  return count > limits.tiles ? `${count} tiles are more than ${limits.tiles}: choose larger ones` : null;
}

export function Upscale({ picture, onClose }) {
  const id = useId();
  const base = baseOf(picture);
  const own = options.value.bases.find((one) => one.name === base)?.width ?? options.value.bases[0].width;
  const able = holders(base);
  const usual = able.find((one) => one.conditions[0] === "tile")?.name ?? "";
  const [asked, setAsked] = useState({ prompt: picture.prompt ?? "", scale: 1, ...last.value, tile: last.value.tile ?? own, hold: able.some((one) => one.name === last.value.hold) ? last.value.hold : usual });
  const put = (change) => setAsked((old) => ({ ...old, ...change }));
  const size = [picture.width, picture.height].map((side) => enlarged(side, asked.factor));
  const trouble = obstacle(size, asked.tile);
  const begin = attempt(async () => {
    await send(upscaleRequest(picture, { ...asked, size }));
    last.value = { factor: asked.factor, strength: asked.strength, tile: asked.tile === own ? null : asked.tile, hold: asked.hold };
    stage.value = { kind: "result" };
    tab.value = "picture";
    onClose();
  });
  const tile = (value) => put({ tile: within(UNIT * Math.round(value / UNIT), 64, options.value.limits?.longest_side ?? 2048) });
  return html`<${Dialog} title="Upscale" onClose=${onClose}>
    <${Segments} label="Factor" value=${asked.factor} onInput=${(factor) => put({ factor })} choices=${FACTORS} />
    <div class="field"><label for=${id}>What each tile shows</label><textarea id=${id} rows="2" value=${asked.prompt} onInput=${(event) => put({ prompt: event.target.value })}></textarea></div>
    <${Slider} label="Change" value=${asked.strength} min=${0.05} max=${1} step=${0.05} onInput=${(strength) => put({ strength })} note="Little keeps the picture; much invents detail, in every tile anew." />
    <${NumberField} label="Tile, pixels a side" value=${asked.tile} min=${64} max=${options.value.limits?.longest_side} step=${UNIT} onInput=${tile} note=${asked.tile === own ? "The base’s own size. Neighbours share half." : `The base’s own size is ${own}. Neighbours share half.`} />
    ${able.length > 0 && html`<${Select} label="Held to the picture by" value=${asked.hold} onInput=${(hold) => put({ hold })} choices=${[["", "Nothing more"], ...able.map((one) => [one.name, `${networkTitle(one)} (${one.name})`])]} />`}
    ${asked.hold && html`<${Slider} label="Strength of the control" value=${asked.scale} min=${0} max=${2} step=${0.05} hard=${[-10, 10]} onInput=${(scale) => put({ scale })} />`}
    <footer><small role="status">${trouble ?? `${size[0]} × ${size[1]} pixels, ${tilesOf(size, asked.tile)} tiles`}</small><button type="button" class="primary" disabled=${Boolean(trouble)} onClick=${begin}>Upscale</button></footer><//>`;
}
