// Settings and controls as a GenerationRequest, and a GenerationRequest as settings and controls.
import { named, unnamed } from "../lib/api.js";
import { controls, networks, newControl, options, requestFields, settings } from "./store.js";
import { setAll } from "./history.js";

const PLAIN = [
  "prompt", "negative_prompt", "seed", "num_images", "num_inference_steps", "guidance_scale", "control_guidance_scale", "weighting",
  "sampler", "control_every", "encoder_every", "plain_prompt",
];
const IMAGE_TO_IMAGE = ["init_image", "strength", "mask_image"];

export function controlRequest(control) {
  const picture = control.ready
    ? { condition: named(control.map) }
    : { image: named(control.image), ...(Object.keys(control.parameters).length && { extract: control.parameters }) };
  return {
    network: control.network, ...picture, scale: control.scale, start: control.start, end: control.end,
    ...(control.mask && { mask: named(control.mask) }), ...(control.layers && { layers: control.layers }),
  };
}

export const acts = (control) => control.on && (control.ready ? control.map : control.image);

export function buildRequest() {
  const said = settings.value;
  const request = Object.fromEntries(PLAIN.filter((key) => key in requestFields.value && said[key] !== null).map((key) => [key, said[key]]));
  request.base = said.base;
  if (said.size) request.size = said.size;
  if (said.resize) request.resize = said.resize;
  request.controls = controls.value.filter(acts).map(controlRequest);
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
  const empty = controls.value.find((one) => one.on && !acts(one));
  if (empty) return `${empty.network} has no picture yet: give it one, or switch it off`;
  return null;
}

export function applyRequest(request) {
  const found = {};
  for (const key of PLAIN) if (request[key] !== undefined) found[key] = request[key];
  if (request.base) found.base = request.base.name ?? request.base;
  found.size = request.size ?? null;
  found.resize = request.resize ?? settings.value.resize;
  for (const key of IMAGE_TO_IMAGE) if (request[key] !== undefined) found[key] = key === "strength" ? request[key] : unnamed(request[key]);
  if (!request.init_image) found.init_image = found.mask_image = null;
  setAll(found, (request.controls ?? []).map((one) => {
    const network = networks.value.find((known) => known.name === one.network) ?? { name: one.network, condition: null };
    return newControl(network, {
      ready: Boolean(one.condition), map: unnamed(one.condition), image: unnamed(one.image), parameters: one.extract ?? {},
      scale: one.scale ?? 1, start: one.start ?? 0, end: one.end ?? 1, mask: unnamed(one.mask), layers: one.layers ?? null,
    });
  }));
}
