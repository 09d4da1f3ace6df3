// The scene as it is seen: things are dragged over the ground, empty space turns the camera.
import { html, useEffect, useMemo, useRef } from "../lib/html.js";
import { size } from "../state/store.js";
import { within } from "../lib/fields.js";
import { corners, turned, viewOf } from "./camera.js";
import { onKey, zoom } from "./keys.js";
import { onWall, put, putThing, round, scene, selected, shapeOf, shot, thing, trouble } from "./model.js";
import { waiting } from "./preview.js";

const NOTHING = 255;
const TURN = 0.35; // degrees of the camera per pixel
const LIFT = 0.02; // metres per pixel

export function PictureView() {
  const canvas = useRef(null);
  const frame = useRef(null);
  const drag = useRef(null);
  const fingers = useMemo(() => new Map(), []);
  const [width, height] = size.value;
  const found = shot.value;
  const view = viewOf(scene.value.camera, width, height);

  useEffect(() => {
    if (!found) return;
    const { pixels } = found;
    Object.assign(canvas.current, { width: pixels.width, height: pixels.height });
    canvas.current.getContext("2d").putImageData(pixels, 0, 0);
  }, [found]);

  useEffect(() => {
    const wheel = (event) => (event.preventDefault(), zoom(Math.exp(event.deltaY * 0.001)));
    frame.current.addEventListener("wheel", wheel, { passive: false });
    return () => frame.current?.removeEventListener("wheel", wheel);
  }, []);

  const placeOf = (event) => {
    const box = frame.current.getBoundingClientRect();
    return [(event.clientX - box.left) / box.width, (event.clientY - box.top) / box.height];
  };

  function down(event) {
    if (event.button > 0) return;
    event.currentTarget.setPointerCapture(event.pointerId);
    fingers.set(event.pointerId, [event.clientX, event.clientY]);
    const [u, v] = placeOf(event);
    if (fingers.size === 2) return void (drag.current = { pinch: spread(fingers), distance: scene.value.camera.distance });
    const at = thingAt(u, v);
    selected.value = at;
    const from = [event.clientX, event.clientY];
    if (at === null) drag.current = { camera: scene.value.camera, from };
    else {
      const one = scene.value.things[at];
      const hit = view.ground(u, v, one.y ?? 0);
      // above the horizon there is no ground beneath the pointer: it is taken at the thing's foot
      const foot = view.project([one.x, one.y ?? 0, one.z]);
      const grab = foot ? [foot[0] - u, foot[1] - v] : [0, 0];
      drag.current = { at, grab: hit && Math.hypot(hit[0] - one.x, hit[1] - one.z) < 2.5 ? [0, 0] : grab, off: hit && [one.x - hit[0], one.z - hit[1]], key: `drag ${event.timeStamp}` };
      if (drag.current.grab[0] || drag.current.grab[1]) drag.current.off = [0, 0];
    }
    return undefined;
  }

  function move(event) {
    if (!drag.current || !fingers.has(event.pointerId)) return;
    fingers.set(event.pointerId, [event.clientX, event.clientY]);
    const { at, camera, from, grab, off, key, pinch, distance } = drag.current;
    if (pinch) return void put("camera", { distance: round(within((distance * pinch) / Math.max(spread(fingers), 10), 0.5, 60)) });
    if (at === undefined) {
      const [dx, dy] = [event.clientX - from[0], event.clientY - from[1]];
      if (Math.hypot(dx, dy) < 3) return undefined;
      return void put("camera", { angle: turned(camera.angle - dx * TURN), height: round(within(camera.height + dy * LIFT * (camera.distance / 8), 0.1, 30)) });
    }
    const [u, v] = placeOf(event);
    const one = scene.value.things[at];
    const hit = view.ground(u + grab[0], v + grab[1], one.y ?? 0);
    if (hit) putThing(at, { x: round(hit[0] + off[0]), ...(!onWall(one) && { z: round(hit[1] + off[1]) }) }, key);
    return undefined;
  }

  function up(event) {
    fingers.delete(event.pointerId);
    drag.current = null;
  }

  const name = found?.caption ?? "Scene";
  const stale = found && found.stage !== scene.value;
  return html`<div class="view"><div ref=${frame} class=${`frame shot${trouble.value ? " broken" : ""}`} tabindex="0" role="application" aria-label="Scene: arrow keys move the chosen thing, or the camera"
    style=${{ aspectRatio: `${width} / ${height}`, "--ratio": width / height }} onPointerDown=${down} onPointerMove=${move} onPointerUp=${up} onPointerCancel=${up} onKeyDown=${onKey}>
    <canvas ref=${canvas} role="img" aria-label=${name}></canvas>
    ${!found && html`<p class="waits small">Rendering…</p>`}
    <${Outline} view=${view} />
    ${waiting.value && stale && html`<span class="spinner" aria-hidden="true"></span>`}
    ${trouble.value && html`<p class="sign" role="status">${trouble.value.message}</p>`}
  </div></div>`;
}

const spread = (fingers) => {
  const [a, b] = [...fingers.values()];
  return Math.hypot(a[0] - b[0], a[1] - b[1]);
};

// the thing at a place of the picture, from the server's own account of which is seen where
function thingAt(u, v) {
  if (!shot.value) return null;
  const { seen } = shot.value;
  const [x, y] = [Math.floor(u * seen.width), Math.floor(v * seen.height)];
  const at = seen.data[4 * (within(y, 0, seen.height - 1) * seen.width + within(x, 0, seen.width - 1))];
  return at === NOTHING || at >= scene.value.things.length ? null : at;
}

// the ground that the chosen thing covers and its height, drawn at once, before the server has answered
function Outline({ view }) {
  const one = thing.value;
  if (!one) return null;
  const shape = shapeOf(one, selected.value);
  const level = one.y ?? 0;
  const top = level + shape.height;
  const base = corners(one, shape);
  const low = base.map(([x, z]) => view.project([x, level, z]));
  const high = base.map(([x, z]) => view.project([x, top, z]));
  if ([...low, ...high].some((place) => !place)) return null;
  const text = (places) => places.map(([u, v]) => `${(u * 100).toFixed(2)},${(v * 100).toFixed(2)}`).join(" ");
  return html`<svg class="outline" viewBox="0 0 100 100" preserveAspectRatio="none" aria-hidden="true">
    <polygon class="foot" points=${text(low)} /><polygon points=${text(high)} />
    ${low.map((place, at) => html`<line key=${at} x1=${place[0] * 100} y1=${place[1] * 100} x2=${high[at][0] * 100} y2=${high[at][1] * 100} />`)}</svg>`;
}
