// Settings and controls as a GenerationRequest, and a GenerationRequest as settings and controls.
import { named, unnamed } from "../lib/api.js";
import { attempt } from "../lib/notices.js";
import { cutPicture } from "../lib/pictures.js";
import { wants } from "../controls/extraction.js";
import {
  changeControl, conditionOf, controls, findControl, isOn, mapOf, mapsOf, newControls, options, requestFields, settings, size, wholes,
} from "./store.js";
import { setAll } from "./history.js";

const PLAIN = [
  "prompt", "negative_prompt", "seed", "num_images", "num_inference_steps", "guidance_scale", "control_guidance_scale", "weighting",
  "sampler", "control_every", "encoder_every", "plain_prompt",
];
const TILES = ["tile", "tile_overlap"];

// a map for each condition of a network of several: those that are shown; none where one is off
const namedMaps = (control) => Object.fromEntries(mapsOf(control).map((one) => [one.condition, one.on ? named(mapOf(one)) : null]));

function pictureRequest(control) {
  if (control.joined) return { maps: namedMaps(control) };
  if (control.ready) return { condition: named(control.map) };
  return { image: named(control.image), ...(Object.keys(control.parameters).length && { extract: control.parameters }) };
}

export function controlRequest(control) {
  return {
    network: control.network, ...pictureRequest(control), scale: control.scale, start: control.start, end: control.end,
    ...(control.mask && { mask: named(control.mask) }), ...(control.layers && { layers: control.layers }),
  };
}

const hasPicture = (control) => Boolean(control.ready ? control.map : control.image);
export const acts = (control) => control.on && (control.joined ? mapsOf(control).some(acts) : hasPicture(control));
export const acting = () => wholes().filter(acts);

export function buildRequest() {
  const said = settings.value;
  const request = Object.fromEntries(PLAIN.filter((key) => key in requestFields.value && said[key] !== null).map((key) => [key, said[key]]));
  request.base = said.base;
  if (said.size || said.init_image) request.size = size.value;
  if (said.tile) TILES.filter((key) => said[key] !== null).forEach((key) => (request[key] = said[key]));
  if (said.resize) request.resize = said.resize;
  request.controls = acting().map(controlRequest);
  if (said.init_image && "init_image" in requestFields.value) {
    request.init_image = named(said.init_image);
    request.strength = said.strength;
    if (said.mask_image) request.mask_image = named(said.mask_image);
  }
  return request;
}

// what keeps the request from being sent, in one line
export function whatIsMissing() {
  if (!options.value) return "the server has not answered yet";
  const used = controls.value.filter((one) => isOn(one) && !one.joined);
  const empty = used.find((one) => !hasPicture(one));
  const said = (one) => (one.lead ? `${conditionOf(one.condition)?.title ?? one.condition} of ${one.network}` : one.network);
  if (empty) return `${said(empty)} has no picture yet: give it one, or switch it off`;
  const waiting = used.find((one) => one.lead && (wants(one) || !mapOf(one)));
  if (waiting) return `${said(waiting)} has no map yet${waiting.trouble ? `: ${waiting.trouble}` : ": it is being extracted"}`;
  const unused = wholes().find((one) => one.on && one.joined && !acts(one));
  if (unused) return `all maps of ${unused.network} are off: switch one on, or all of it off`;
  return null;
}

// what a request leaves out is as by default, not as it happens to be set here
export const given = (request, key) => (key in request ? request[key] : requestFields.value[key]?.default);
const knownBase = (request) => {
  const name = given(request, "base")?.name ?? given(request, "base");
  return options.value?.bases.some((one) => one.name === name) ? name : settings.value.base;
};

export function applyRequest(request) {
  const found = {};
  for (const key of [...PLAIN, "strength"]) if (given(request, key) !== undefined) found[key] = given(request, key);
  for (const key of TILES) found[key] = request[key] ?? null;
  found.base = knownBase(request);
  found.size = request.size ?? null;
  found.resize = request.resize ?? settings.value.resize;
  for (const key of ["init_image", "mask_image"]) found[key] = unnamed(request[key]);
  setAll(found, (request.controls ?? []).flatMap(recallControl));
  wholes().filter((one) => one.apart).forEach(attempt(takeApart));
}

// a saved picture has the maps of several conditions side by side
async function takeApart({ id, apart }) {
  const maps = mapsOf(findControl(id));
  const pieces = await cutPicture(apart, maps.length);
  maps.forEach((one, at) => changeControl(one.id, { map: pieces[at] }));
  changeControl(id, { apart: null });
}

function recallControl(one) {
  const network = options.value?.controls.find((known) => known.name === one.network) ?? { name: one.network, condition: null };
  const said = (map) => (map === null ? { on: false } : { ready: true, map: unnamed(map) });
  const whole = unnamed(one.condition);
  return newControls(network, {
    ready: Boolean(whole), ...(network.conditions?.length > 1 ? { apart: whole } : { map: whole }), image: unnamed(one.image), parameters: one.extract ?? {},
    scale: one.scale ?? 1, start: one.start ?? 0, end: one.end ?? 1, mask: unnamed(one.mask), layers: one.layers ?? null,
    parts: Object.fromEntries(Object.entries(one.maps ?? {}).map(([condition, map]) => [condition, said(map)])),
  });
}
