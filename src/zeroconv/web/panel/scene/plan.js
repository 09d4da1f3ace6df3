// The scene from above: things are dragged and turned, the camera goes round, and the sun is moved.
import { html, useEffect, useRef, useState } from "../lib/html.js";
import { within } from "../lib/fields.js";
import { angleOf, corners, eyeOf, facing, RAD, toGround, turned } from "./camera.js";
import { onKey } from "./keys.js";
import { colourOf, isRoom, onWall, put, putThing, round, scene, selected, shapeOf, wordsOf } from "./model.js";

const HANDLE = 0.9; // metres from a thing's edge to the handle that turns it

// metres that are shown: all things near the middle, the camera, and some room around
function reach({ things, camera }) {
  const eye = eyeOf(camera);
  const ground = things.flatMap((one, at) => (one.kind === "fence" ? [[one.x, one.z]] : corners(one, shapeOf(one, at))));
  const points = [[eye[0], eye[2]], [camera.x, camera.z], ...ground].filter(([x, z]) => Math.hypot(x, z) < 25);
  const middle = [0, 1].map((axis) => (Math.min(...points.map((one) => one[axis])) + Math.max(...points.map((one) => one[axis]))) / 2);
  const far = Math.max(...points.map(([x, z]) => Math.max(Math.abs(x - middle[0]), Math.abs(z - middle[1]))));
  return { x: middle[0], z: middle[1], half: Math.max(1.6, far * 1.24) };
}

export function Plan() {
  const svg = useRef(null);
  const drag = useRef(null);
  const [held, setHeld] = useState(null); // while something is dragged the plan stays where it is
  const { things, camera, light } = scene.value;
  const area = held ?? reach(scene.value);
  const [left, top, side] = [area.x - area.half, -area.z - area.half, 2 * area.half];
  const unit = side / 100;
  useEffect(() => () => (drag.current = null), []);

  const pointOf = (event) => {
    const box = svg.current.getBoundingClientRect();
    return [left + ((event.clientX - box.left) / box.width) * side, -(top + ((event.clientY - box.top) / box.height) * side)];
  };
  const start = (what) => (event) => {
    event.stopPropagation();
    if (event.button > 0) return;
    const [x, z] = pointOf(event);
    svg.current.setPointerCapture(event.pointerId);
    const one = things[what.at];
    if (one) selected.value = what.at;
    drag.current = { ...what, off: one ? [one.x - x, one.z - z] : [0, 0], key: `plan ${event.timeStamp}` };
    setHeld(area);
  };
  function move(event) {
    const dragged = drag.current;
    if (!dragged) return;
    const [x, z] = pointOf(event);
    const one = scene.value.things[dragged.at];
    if (dragged.what === "thing") putThing(dragged.at, { x: round(x + dragged.off[0]), ...(!onWall(one) && { z: round(z + dragged.off[1]) }) }, dragged.key);
    else if (dragged.what === "turn") putThing(dragged.at, { turn: facing([one.x, one.z], [x, z]) }, dragged.key);
    else if (dragged.what === "camera") put("camera", { angle: turned(angleOf(x - camera.x, -(z - camera.z))), distance: round(within(Math.hypot(x - camera.x, z - camera.z), 0.5, 60)) });
    else put("light", { direction: turned(angleOf(x - area.x, -(z - area.z))) });
  }
  const end = () => ((drag.current = null), setHeld(null));

  const eye = eyeOf(camera);
  const wedge = [-1, 1].map((sign) => {
    const way = ((camera.field_of_view / 2) * sign - camera.angle) * RAD;
    const long = camera.distance * 1.5;
    return [eye[0] + long * Math.sin(way), -(eye[2] + long * Math.cos(way))];
  });
  const sun = [area.x + 0.88 * area.half * Math.sin(light.direction * RAD), area.z - 0.88 * area.half * Math.cos(light.direction * RAD)];
  return html`<svg ref=${svg} class="plan" viewBox=${`${left} ${top} ${side} ${side}`} role="group" aria-label="Plan from above" onPointerMove=${move} onPointerUp=${end} onPointerCancel=${end}
    onPointerDown=${() => (selected.value = null)}>
    <${Grid} area=${area} unit=${unit} />
    <polygon class="wedge" points=${`${eye[0]},${-eye[2]} ${wedge[0]} ${wedge[1]}`} stroke-width=${unit * 0.5} />
    ${things.map((one, at) => html`<${Mark} key=${at} one=${one} at=${at} unit=${unit} start=${start} />`)}
    <g class="eye" tabindex="0" role="button" aria-label=${`Camera, ${camera.distance} metres away at ${camera.angle} degrees. Arrow keys move it`} onPointerDown=${start({ what: "camera" })} onFocus=${() => (selected.value = null)} onKeyDown=${onKey}
      transform=${`translate(${eye[0]} ${-eye[2]}) rotate(${-camera.angle}) scale(${unit})`}><circle class="touch" r="7" /><path d="M-4 3h8v5h-8zM0 3l-3-4h6z" /></g>
    <g class="sun" tabindex="0" role="button" aria-label=${`${isRoom.value ? "Lamp" : "Light"} from ${Math.round(light.direction)} degrees. Arrow keys move it`} onPointerDown=${start({ what: "sun" })} onKeyDown=${turnLight}
      transform=${`translate(${sun[0]} ${-sun[1]}) scale(${unit})`}><circle class="touch" r="7" /><circle class="disc" r="3" />${[0, 45, 90, 135, 180, 225, 270, 315].map((way) => html`<path key=${way} d="M0 -4.2V-5.8" transform=${`rotate(${way})`} />`)}</g>
  </svg>`;
}

function turnLight(event) {
  const way = { ArrowLeft: -5, ArrowDown: -5, ArrowRight: 5, ArrowUp: 5 }[event.key];
  if (!way) return;
  put("light", { direction: turned(scene.value.light.direction + way) });
  event.preventDefault();
  event.stopPropagation();
}

function Grid({ area, unit }) {
  const step = area.half > 12 ? 5 : area.half > 5 ? 2 : 1;
  const lines = (middle) => {
    const first = Math.ceil((middle - area.half) / step) * step;
    return Array.from({ length: Math.floor((2 * area.half) / step) + 1 }, (_, at) => first + at * step);
  };
  const [left, right, top, bottom] = [area.x - area.half, area.x + area.half, -area.z - area.half, -area.z + area.half];
  return html`<g class="grid" stroke-width=${unit * 0.3}>${lines(area.x).map((x) => html`<path key=${`x${x}`} d=${`M${x} ${top}V${bottom}`} />`)}
    ${lines(-area.z).map((z) => html`<path key=${`z${z}`} d=${`M${left} ${z}H${right}`} />`)}</g>`;
}

function Mark({ one, at, unit, start }) {
  const chosen = selected.value === at;
  const known = shapeOf(one, at);
  const shape = { half: known.half.map((side) => Math.max(side, unit * 1.5)), offset: known.offset };
  const points = corners(one, shape).map(([x, z]) => `${x},${-z}`).join(" ");
  const front = toGround(one, shape.offset[0], shape.offset[1] - shape.half[1]);
  const knob = toGround(one, shape.offset[0], shape.offset[1] - shape.half[1] - HANDLE * unit * 9);
  const colour = colourOf(one, at);
  return html`<g class=${`mark${chosen ? " chosen" : ""}`}>
    <g tabindex="0" role="button" aria-pressed=${chosen} aria-label=${`${wordsOf(one, at)}, x ${round(one.x, 1)}, z ${round(one.z, 1)}. Arrow keys move it, brackets turn it`} onPointerDown=${start({ what: "thing", at })} onFocus=${() => (selected.value = at)} onKeyDown=${onKey}>
      <polygon points=${points} stroke-width=${unit * 0.7} style=${colour ? { fill: colour } : {}} /></g>
    ${chosen && html`<g class="turn" onPointerDown=${start({ what: "turn", at })}><path d=${`M${front[0]} ${-front[1]}L${knob[0]} ${-knob[1]}`} stroke-width=${unit * 0.7} />
      <circle class="touch" cx=${knob[0]} cy=${-knob[1]} r=${unit * 6} /><circle cx=${knob[0]} cy=${-knob[1]} r=${unit * 2.4} stroke-width=${unit * 0.8} /></g>`}
  </g>`;
}
