// What keys do to a scene, wherever the focus is within it.
import { within } from "../lib/fields.js";
import { toGround, turned } from "./camera.js";
import { duplicate, onWall, put, putThing, remove, round, scene, selected, thing } from "./model.js";

export const zoom = (factor) => put("camera", { distance: round(within(scene.value.camera.distance * factor, 0.5, 60)) });

// arrows move what is chosen, as it is seen from the camera; without a thing they move the camera
export function onKey(event) {
  const way = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] }[event.key];
  const step = event.shiftKey ? 1 : 0.1;
  const { camera } = scene.value;
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  if (way && thing.value) {
    const seen = { x: 0, z: 0, turn: -camera.angle };
    const [dx, dz] = toGround(seen, way[0] * step, way[1] * step);
    putThing(selected.value, { x: round(thing.value.x + dx), ...(!onWall(thing.value) && { z: round(thing.value.z + dz) }) });
  } else if (way) put("camera", { angle: turned(camera.angle + way[0] * (event.shiftKey ? 15 : 3)), height: round(within(camera.height + way[1] * step, 0.1, 30)) });
  else if (event.key === "+" || event.key === "-") zoom(event.key === "+" ? 0.9 : 1 / 0.9);
  else if (thing.value && (event.key === "[" || event.key === "]")) putThing(selected.value, { turn: turned((thing.value.turn ?? 0) + (event.key === "]" ? 15 : -15)) });
  else if (thing.value && (event.key === "Delete" || event.key === "Backspace")) remove();
  else if (thing.value && event.key === "d") duplicate();
  else if (event.key === "Escape" && thing.value) selected.value = null;
  else return;
  event.preventDefault();
  event.stopPropagation();
}
