// Skeletons as points to drag; every change can be undone.
import { html, useEffect, useMemo, useRef, useState } from "../lib/html.js";
import { Icon, IconButton } from "../lib/icons.js";
import { Slider } from "../lib/fields.js";
import { attempt, tell } from "../lib/notices.js";
import { pictureUrl } from "../lib/api.js";
import { chooseFile, saveFile } from "../lib/pictures.js";
import { save } from "./desk.js";
import { useKeys } from "./keys.js";
import { colours, dim, fromJson, JOINTS, limbs, limbWidth, mirrored, standing, toJson } from "./pose_drawing.js";
import { Sheet, useView } from "./view.js";

const SETTLED = 600;
const DEPTH = 100;

export function PoseEditor({ entry, underlay }) {
  const { people, width, height } = entry;
  const view = useView(width, height);
  const past = useMemo(() => ({ done: [], undone: [] }), [entry]);
  const [at, setAt] = useState({ person: 0, joint: null });
  const [beneath, setBeneath] = useState(underlay ? 0.6 : 0);
  const drag = useRef(null);
  const group = people.value;
  const person = group[at.person] ?? group[0];

  useEffect(() => {
    const timer = setTimeout(attempt(() => save(entry)), SETTLED);
    return () => clearTimeout(timer);
  }, [group, entry]);

  function change(next, remember = true) {
    if (remember) {
      past.done.push(people.value);
      past.undone = [];
      if (past.done.length > DEPTH) past.done.shift();
    }
    people.value = next;
  }
  const step = (from, to) => from.length && (to.push(people.value), (people.value = from.pop()));
  const undo = () => step(past.done, past.undone);
  const redo = () => step(past.undone, past.done);
  const put = (who, joint, point, remember) =>
    change(people.value.map((one, place) => (place === who ? one.map((old, index) => (index === joint ? point : old)) : one)), remember);

  function pointer(event, moved) {
    if (moved) return void (drag.current = null);
    const [x, y] = view.point(event);
    if (event.type === "pointerdown") {
      const found = nearest(people.value, x, y, (event.pointerType === "touch" ? 22 : 12) / view.place.value.scale);
      if (found) event.currentTarget.querySelector(`[data-joint="${found.person}-${found.joint}"]`)?.focus({ preventScroll: true });
      if (found) setAt(found);
      drag.current = found ? { ...found, all: event.altKey, from: [x, y], before: people.value, moved: false } : null;
    } else if (event.type === "pointermove" && drag.current) {
      const { person: who, joint, all, from, before } = drag.current;
      if (!drag.current.moved) change(people.value);
      drag.current.moved = true;
      const [dx, dy] = [x - from[0], y - from[1]];
      people.value = before.map((one, place) => (place !== who ? one : one.map((old, index) => (all || index === joint ? [old[0] + dx, old[1] + dy, old[2]] : old))));
    } else if (event.type === "pointerup") drag.current = null;
    return undefined;
  }

  function key(event) {
    const letter = event.key.toLowerCase();
    const far = event.shiftKey ? 10 : 1;
    const way = { arrowleft: [-far, 0], arrowright: [far, 0], arrowup: [0, -far], arrowdown: [0, far] }[letter];
    if ((event.ctrlKey || event.metaKey) && letter === "z") event.shiftKey ? redo() : undo();
    else if ((event.ctrlKey || event.metaKey) && letter === "y") redo();
    else if (way && event.target.dataset.joint) {
      const [who, joint] = event.target.dataset.joint.split("-").map(Number);
      const [x, y] = group[who][joint];
      put(who, joint, [x + way[0], y + way[1], 1]);
    } else if ((letter === "delete" || letter === "backspace") && event.target.dataset.joint) hide();
    else if (letter === "0") view.fit();
    else return;
    event.preventDefault();
    event.stopPropagation();
  }

  useKeys(key);
  const hide = () => at.joint !== null && person?.[at.joint] && put(at.person, at.joint, [person[at.joint][0], person[at.joint][1], 0]);
  const readJson = attempt(async () => {
    const file = await chooseFile(".json,application/json");
    if (!file) return;
    change(fromJson(JSON.parse(await file.text()), width, height));
    tell(`${people.value.length} ${people.value.length === 1 ? "person" : "people"} read`);
  });
  const writeJson = () => saveFile(new Blob([JSON.stringify(toJson(group, width, height))], { type: "application/json" }), "pose.json");
  const replace = (next) => change(group.map((one, place) => (place === at.person ? next : one)));

  return html`<div class="editor" onKeyDown=${key}>
    <div class="toolbar" role="toolbar" aria-label="Pose tools">
      <div class="group"><button type="button" class="plain" onClick=${() => (change([...group, standing(width, height, 0.28 * [0, 1, -1][group.length % 3])]), setAt({ person: group.length, joint: null }))}>
        <${Icon} name="person" />Add person</button>
        <button type="button" class="plain" disabled=${!person} onClick=${() => replace(mirrored(person))}><${Icon} name="mirror" />Mirror</button>
        <button type="button" class="plain" disabled=${group.length < 1} onClick=${() => (change(group.filter((_, place) => place !== at.person)), setAt({ person: 0, joint: null }))}>
          <${Icon} name="bin" />Remove person</button></div>
      <div class="group"><${IconButton} icon="undo" label="Undo" keys="Control+Z" onClick=${undo} /><${IconButton} icon="redo" label="Redo" keys="Control+Shift+Z" onClick=${redo} />
        <${IconButton} icon="fit" label="Fit to the window" keys="0" onClick=${() => view.fit()} /></div>
      <div class="group"><button type="button" class="plain" onClick=${readJson}>Open JSON</button><button type="button" class="plain" onClick=${writeJson}>Save JSON</button></div>
    </div>
    <div class="desk">
      <${Sheet} view=${view} onPointer=${pointer} cursor="default" label="Pose, drag the points">
        <div class="ground black"></div>
        ${underlay && html`<img class="under" src=${pictureUrl(underlay)} alt="" draggable="false" style=${{ opacity: beneath }} />`}
        <${Skeletons} group=${group} width=${width} height=${height} scale=${view.place.value.scale} at=${at} setAt=${setAt} />
      <//>
      <aside aria-label="Joints">
        ${underlay && html`<${Slider} label="Picture beneath" value=${beneath} min=${0} max=${1} step=${0.05} onInput=${setBeneath} />`}
        <h2>Person ${at.person + 1} of ${group.length}</h2>
        <ul class="joints">${person?.map(([x, y, visible], joint) => html`<li key=${joint}><label><input type="checkbox" checked=${visible > 0}
          onChange=${(event) => put(at.person, joint, [x, y, event.target.checked ? 1 : 0])} />
          <svg viewBox="0 0 1 1" aria-hidden="true"><rect width="1" height="1" fill=${colours()[joint]} /></svg>${JOINTS[joint]}</label></li>`)}</ul>
        <small>Drag a point; with Alt the whole person. Arrow keys move the point that has the focus, Delete hides it.</small>
      </aside>
    </div>
  </div>`;
}

function nearest(people, x, y, reach) {
  let best = null;
  people.forEach((points, person) => points.forEach(([px, py, visible], joint) => {
    const far = Math.hypot(px - x, py - y);
    if (visible && far <= (best?.far ?? reach)) best = { person, joint, far };
  }));
  return best && { person: best.person, joint: best.joint };
}

function Skeletons({ group, width, height, scale, at, setAt }) {
  const thick = limbWidth(width, height);
  const radius = Math.max(thick * 0.8, 5 / scale);
  return html`<svg class="pose" viewBox=${`0 0 ${width} ${height}`}>
    ${group.map((person, who) => html`<g key=${who}>
      ${limbs().map(([a, b], limb) => person[a][2] > 0 && person[b][2] > 0 && html`<line x1=${person[a][0]} y1=${person[a][1]} x2=${person[b][0]}
        y2=${person[b][1]} stroke=${dim(colours()[limb])} stroke-width=${thick} stroke-linecap="round" />`)}
      ${person.map(([x, y, visible], joint) => visible > 0 && html`<circle cx=${x} cy=${y} r=${radius} fill=${colours()[joint]} tabindex="0" role="button"
        data-joint=${`${who}-${joint}`} aria-label=${`Person ${who + 1}, ${JOINTS[joint]}`} onFocus=${() => setAt({ person: who, joint })}
        class=${at.person === who && at.joint === joint ? "held" : ""} stroke-width=${2 / scale} />`)}</g>`)}</svg>`;
}
