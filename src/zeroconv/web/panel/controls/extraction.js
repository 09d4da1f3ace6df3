// Maps of pictures, made anew while parameters change: one question at a time, and always the last one.
import { extractMap, named } from "../lib/api.js";
import { tellError } from "../lib/notices.js";
import { changeControl, conditionOf, findControl, learntBy, settings, size } from "../state/store.js";
import { checkControl } from "./checks.js";

const waiting = new Map();
const busy = new Set();
const PAUSE = 180; // milliseconds after the last change

const parametersOf = (control) => ({ ...learntBy(control), ...control.parameters });
const question = (control) => JSON.stringify([control.condition, control.image, parametersOf(control), size.value, settings.value.resize]);
export const wants = (control) => Boolean(!control.ready && control.image && conditionOf(control.condition)) && control.extracted?.key !== question(control);

export function extractSoon(id) {
  clearTimeout(waiting.get(id));
  waiting.set(id, setTimeout(() => extract(id), PAUSE));
}

async function extract(id) {
  const control = findControl(id);
  if (!control || !wants(control)) return;
  if (busy.has(id)) return void extractSoon(id);
  busy.add(id);
  changeControl(id, { extracting: true });
  const key = question(control);
  const [width, height] = size.value;
  try {
    const said = await extractMap({ condition: control.condition, image: named(control.image), parameters: parametersOf(control), width, height, resize: settings.value.resize });
    changeControl(id, { extracted: { key, map: said.map, milliseconds: said.milliseconds }, extracting: false, trouble: null });
    await checkControl(id);
  } catch (error) {
    changeControl(id, { extracted: { key, map: null }, extracting: false, trouble: error.message });
    if (error.status === 0) tellError(error);
  } finally {
    busy.delete(id);
    const now = findControl(id);
    if (now && wants(now)) extractSoon(id);
  }
}
