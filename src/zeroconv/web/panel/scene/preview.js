// The live picture: one request at a time, small while things move, larger when they rest.
import { effect, signal } from "../lib/html.js";
import { renderScene } from "../lib/api.js";
import { pixelsOf } from "../lib/pictures.js";
import { size } from "../state/store.js";
import { layer, scene, shot, trouble } from "./model.js";

const SMALL = 128; // pixels of the shorter side
const LARGE = 256; // of the longer side, the most that a preview may have
const REST = 350; // milliseconds without a change
export const LAYERS = { picture: null, depth: "depth", normals: "normal", classes: "segmentation", pose: "pose", edges: "canny" };
export const waiting = signal(false);
let wanted = 0;
let going = null; // the request on its way
let refining = false;
let timer = 0;

const bytesOf = (uri) => new Blob([Uint8Array.from(atob(uri.slice(uri.indexOf(",") + 1)), (letter) => letter.charCodeAt(0))], { type: "image/png" });

export function shapeOf([width, height], large) {
  const scale = Math.min((large ? LARGE : SMALL) / Math.min(width, height), LARGE / Math.max(width, height));
  return [width, height].map((side) => Math.max(16, Math.round(side * scale)));
}

async function run(large) {
  const number = wanted;
  const asked = { stage: scene.value, layer: layer.value };
  const [width, height] = shapeOf(size.value, large);
  const condition = LAYERS[asked.layer];
  going = new AbortController();
  refining = large;
  waiting.value = true;
  try {
    const found = await renderScene({ stage: asked.stage, width, height, conditions: condition ? [condition] : [], preview: true }, going.signal);
    const [pixels, seen] = await Promise.all([pixelsOf(bytesOf(condition ? found.maps[condition] : found.picture)), pixelsOf(bytesOf(found.seen))]);
    shot.value = { ...found, pixels, seen, width, height, layer: asked.layer, stage: asked.stage };
    trouble.value = null;
  } catch (error) {
    if (error.name !== "AbortError") trouble.value = error;
  }
  going = null;
  waiting.value = false;
  if (number !== wanted) run(false);
  else if (!large && !trouble.value) timer = setTimeout(() => going === null && run(true), REST);
}

// begins to follow the stage; returns what ends it
export function follow() {
  const stop = effect(() => {
    void [scene.value, layer.value, size.value];
    wanted++;
    clearTimeout(timer);
    if (going && refining) going.abort();
    if (going === null) queueMicrotask(() => going === null && run(false));
  });
  return () => {
    clearTimeout(timer);
    stop();
    going?.abort();
  };
}
