// Presets: settings under a name, kept in this browser. Pictures, prompt and seed stay out: they are not ways of working.
import { signal } from "../lib/html.js";
import { setAll } from "./history.js";
import { controls, settings } from "./store.js";

const PLACE = "zeroconv.presets";
const LEFT_OUT = ["prompt", "seed", "lockSeed", "init_image", "mask_image", "tile", "tile_overlap"];

function read() {
  try {
    const found = JSON.parse(localStorage.getItem(PLACE));
    return found && typeof found === "object" && !Array.isArray(found) ? found : {};
  } catch {
    return {}; // private windows, or somebody else's text under our name
  }
}

export const presets = signal(read());

function write(found) {
  presets.value = found;
  localStorage.setItem(PLACE, JSON.stringify(found));
}

export function keepPreset(name) {
  const kept = Object.fromEntries(Object.entries(settings.value).filter(([key]) => !LEFT_OUT.includes(key)));
  write({ ...presets.value, [name]: kept });
}

export const usePreset = (name) => setAll(presets.value[name], controls.value);

export function dropPreset(name) {
  const { [name]: _, ...rest } = presets.value;
  write(rest);
}

addEventListener("storage", (event) => event.key === PLACE && (presets.value = read())); // another tab
