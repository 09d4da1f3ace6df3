// Undo of settings and controls. Changes of one field that follow each other quickly are one step.
import { signal } from "../lib/html.js";
import { changeControl, controls, settings } from "./store.js";

const DEPTH = 100;
const TOGETHER = 800; // milliseconds
const past = [];
const future = [];
let last = { key: null, at: 0 };
export const depth = signal({ past: 0, future: 0 });

const now = () => ({ settings: settings.value, controls: controls.value });
const count = () => (depth.value = { past: past.length, future: future.length });

// called before a change; `key` names what changes
export function remember(key) {
  const at = performance.now();
  const same = key !== null && key === last.key && at - last.at < TOGETHER;
  last = { key, at };
  if (same) return;
  past.push(now());
  if (past.length > DEPTH) past.shift();
  future.length = 0;
  count();
}

function step(from, to) {
  if (!from.length) return false;
  to.push(now());
  const found = from.pop();
  settings.value = found.settings;
  controls.value = found.controls;
  last = { key: null, at: 0 };
  count();
  return true;
}

export const undo = () => step(past, future);
export const redo = () => step(future, past);

export function set(key, value) {
  if (Object.is(settings.value[key], value)) return;
  remember(key);
  settings.value = { ...settings.value, [key]: value };
}

export function setControl(id, change) {
  remember(`${id} ${Object.keys(change)}`);
  changeControl(id, change);
}

export function setControls(list) {
  remember(null);
  controls.value = list;
}

export function setAll(newSettings, newControls) {
  remember(null);
  settings.value = { ...settings.value, ...newSettings };
  controls.value = newControls;
}
