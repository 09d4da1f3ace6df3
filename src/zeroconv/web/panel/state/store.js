// What the page knows: the server's options, the settings, and the controls. Values are replaced, never changed in place.
import { computed, signal } from "../lib/html.js";

export const options = signal(null);
export const settings = signal({
  prompt: "", negative_prompt: "", base: "", size: null, seed: 0, lockSeed: false, num_images: 1, num_inference_steps: 20,
  guidance_scale: 7.5, control_guidance_scale: null, weighting: "uniform", sampler: "dpm++2m", resize: "crop",
  control_every: 1, encoder_every: 1, plain_prompt: false, init_image: null, strength: 0.75, mask_image: null,
  tile: null, tile_overlap: null,
});
export const controls = signal([]);
// what the middle shows: {kind: "result"} or {kind: "draw", control: id, what: "map" | "mask"} or {kind: "draw", what: "inpaint"}
export const stage = signal({ kind: "result" });
export const tab = signal("picture"); // of a phone

export const base = computed(() => options.value?.bases.find((one) => one.name === settings.value.base) ?? options.value?.bases[0]);
export const size = computed(() => settings.value.size ?? [base.value?.width ?? 512, base.value?.height ?? 512]);
export const networksOf = (name) => (options.value?.controls ?? []).filter((one) => fits(one, name));
export const networks = computed(() => networksOf(settings.value.base));
export const requestFields = computed(() => options.value?.request?.properties ?? {});
const fits = (network, name) => !network.bases?.length || network.bases.includes(name);

let count = 0;
export const freshId = () => `c${++count}`;
export const findControl = (id) => controls.value.find((one) => one.id === id);
export const conditionOf = (name) => options.value?.conditions.find((one) => one.name === name);

const partsOf = (network) => (network.conditions?.length ? network.conditions : [network.condition]).filter(Boolean);
export const networkTitle = (network) => partsOf(network).map((one) => conditionOf(one)?.title ?? one).join(" + ") || network.name;

export function newControl(network, more = {}) {
  return {
    id: freshId(), network: network.name, condition: network.condition ?? network.conditions?.[0], on: true, shown: false, ready: false,
    image: null, map: null, extracted: null, parameters: {}, scale: 1, start: 0, end: 1, mask: null, layers: null, people: null,
    warnings: [], ...more,
  };
}

// The controls of a network. One of several conditions is one control for the whole and one for each map, whose `lead` it is.
// `more.parts` says more of the maps by condition; where `more` names one condition, it has the map, and the others are off.
export function newControls(network, { parts = {}, ...more } = {}) {
  const all = partsOf(network);
  if (all.length < 2) return [newControl(network, more)];
  const { condition: only, image = null, map = null, ready = false, parameters, people, fromScene, ...whole } = more;
  const lead = newControl(network, { ...whole, condition: null, joined: true });
  return [lead, ...all.map((condition) => {
    const own = only && only !== condition ? { on: false } : { image, map, ready, ...(only && { fromScene }) };
    return newControl(network, { ...own, ...parts[condition], condition, lead: lead.id });
  })];
}

// those that stand for themselves, and the maps of one of several conditions
export const wholes = () => controls.value.filter((one) => !one.lead);
export const mapsOf = (control) => (control.joined ? controls.value.filter((one) => one.lead === control.id) : [control]);
export const isOn = (control) => control.on && (!control.lead || Boolean(findControl(control.lead)?.on));

// how maps are extracted: as in the network's training, where nothing else is said
export const learntBy = (control) => options.value?.controls.find((one) => one.name === control.network)?.extract?.[control.condition] ?? {};

export const changeControl = (id, change) =>
  (controls.value = controls.value.map((one) => (one.id === id ? { ...one, ...change } : one)));

// the map that a control acts by: a ready one, or what is extracted from its picture
export const mapOf = (control) => (control.ready ? control.map : control.extracted?.map ?? null);

export function applyDefaults(found) {
  options.value = found;
  const known = Object.fromEntries(Object.entries(found.defaults ?? {}).filter(([key]) => key in settings.value));
  if (known.base?.name) known.base = known.base.name;
  if (typeof known.size === "number") known.size = [known.size, known.size];
  settings.value = { ...settings.value, base: found.bases[0]?.name ?? "", ...known };
}
