// What looks wrong about a control's map, as the server says it.
import { checkMap } from "../lib/api.js";
import { invertPicture } from "../lib/pictures.js";
import { setControl } from "../state/history.js";
import { changeControl, findControl, mapOf } from "../state/store.js";

export async function checkControl(id) {
  const control = findControl(id);
  const map = control && mapOf(control);
  if (!map) return changeControl(id, { warnings: [] });
  const warnings = await checkMap(control.condition, map);
  const now = findControl(id);
  if (now && mapOf(now) === map) changeControl(id, { warnings });
  return undefined;
}

export async function invertMap(id) {
  const control = findControl(id);
  const found = await invertPicture(mapOf(control));
  setControl(id, { map: found.id, ready: true });
  await checkControl(id);
}
