// The stage that is arranged: its things, camera and light as the server takes them, with undo. Values are replaced, never changed.
import { computed, effect, signal } from "../lib/html.js";

const PLACE = "zeroconv.scene";
const DEPTH = 100;
const TOGETHER = 800; // milliseconds in which changes of one field are one step
const FIRST = {
  kind: "house", seed: 9,
  things: [
    { kind: "house", x: -0.7, z: 1.9, turn: 14, look: 40, colour: "white" }, { kind: "tree", x: -3.9, z: 2.6, look: 3, variety: "green", size: 1.2 },
    { kind: "car", x: 2.1, z: -1.1, turn: 152, look: 8, colour: "red", variety: "car" }, { kind: "person", x: -1.7, z: -2.3, turn: -12, look: 21, variety: "waving" },
  ],
  camera: { x: 0, z: 0, aim: 1.15, distance: 9.6, angle: 4, height: 1.9, field_of_view: 46 },
  light: { time: "day", direction: -38, elevation: 42 }, ground: { covering: "grass", path: null, lake: null, mountains: true }, room: { wall: null, floor: null },
};

export const scene = signal(restore() ?? FIRST);
export const choices = signal(null); // what can be put on a stage
export const selected = signal(null); // index of a thing
export const shot = signal(null); // the last preview: see preview.js
export const layer = signal("picture");
export const trouble = signal(null);
export const steps = signal({ past: 0, future: 0 });

const past = [];
const future = [];
let last = { key: null, at: 0 };

function restore() {
  try {
    const found = JSON.parse(localStorage.getItem(PLACE));
    return Array.isArray(found?.things) && ["camera", "light", "ground", "room"].every((name) => found[name]) ? found : null;
  } catch {
    return null;
  }
}
let keeping = 0;
effect(() => {
  const text = JSON.stringify(scene.value);
  clearTimeout(keeping);
  keeping = setTimeout(() => localStorage.setItem(PLACE, text), 300);
});

const count = () => (steps.value = { past: past.length, future: future.length });

// puts another stage in place; changes with one key that follow each other quickly are undone together
export function replace(next, key = null) {
  const at = performance.now();
  if (key === null || key !== last.key || at - last.at > TOGETHER) {
    past.push(scene.value);
    if (past.length > DEPTH) past.shift();
    future.length = 0;
    count();
  }
  last = { key, at };
  scene.value = next;
}

function step(from, to) {
  if (!from.length) return;
  to.push(scene.value);
  scene.value = from.pop();
  last = { key: null, at: 0 };
  if (selected.value >= scene.value.things.length) selected.value = null;
  count();
}
export const undo = () => step(past, future);
export const redo = () => step(future, past);

export const put = (group, change) => replace({ ...scene.value, [group]: { ...scene.value[group], ...change } }, `${group} ${Object.keys(change)}`);
export function putThing(at, change, key = `${at} ${Object.keys(change)}`) {
  replace({ ...scene.value, things: scene.value.things.map((one, index) => (index === at ? { ...one, ...change } : one)) }, key);
}
export const thing = computed(() => scene.value.things[selected.value] ?? null);
export const isFull = computed(() => scene.value.things.length >= (choices.value?.most ?? 20));
export const isRoom = computed(() => ["still-life", "room", "person-indoors"].includes(shot.value?.kind ?? scene.value.kind));

export function add(kind) {
  const { camera, things } = scene.value;
  const aside = ((things.length * 0.7) % 2.4) - 1.2; // so that two new things are not one
  const look = Math.floor(Math.random() * 2 ** 31);
  replace({ ...scene.value, things: [...things, { kind, x: round(camera.x + aside), z: round(camera.z - 1), look }] });
  selected.value = things.length;
}

export function duplicate() {
  const { things } = scene.value;
  replace({ ...scene.value, things: [...things, { ...thing.value, x: round(thing.value.x + 0.8) }] });
  selected.value = things.length;
}

export function remove(at = selected.value) {
  replace({ ...scene.value, things: scene.value.things.filter((_, index) => index !== at) });
  selected.value = null;
}

// the ground that a thing covers and its height, as the server said when it last rendered it
export function shapeOf(one, at) {
  const [taken, then] = [shot.value?.things[at], shot.value?.stage.things[at]];
  if (!taken || then?.kind !== one.kind) return { half: [0.4, 0.4], offset: [0, 0], height: 1 };
  const grown = (one.size ?? 1) / (then.size ?? 1);
  const scaled = (sides) => sides.map((side) => side * grown);
  return { half: scaled(taken.half), offset: scaled(taken.offset), height: (taken.height - (then.y ?? 0)) * grown };
}

export const wordsOf = (one, at) => (shot.value?.stage.things[at]?.kind === one.kind ? shot.value.things[at]?.words : null) ?? one.kind;

// "#rrggbb" of a thing: what was chosen, or the first colour in its words
export function colourOf(one, at) {
  const known = choices.value?.colours ?? [];
  const words = one.colour ? [one.colour] : wordsOf(one, at).split(" ");
  return known.find(({ name }) => name === words.find((word) => known.some((other) => other.name === word)))?.color;
}

export const round = (value, places = 2) => Number(value.toFixed(places));
export const onWall = (one) => one.kind === "window" || one.kind === "painting";
