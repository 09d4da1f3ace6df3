// Camera, light, and what the scene stands on.
import { html } from "../lib/html.js";
import { Segments, Select, Slider, Switch } from "../lib/fields.js";
import { isRoom, put, scene } from "./model.js";

const TIMES = [["day", "Day"], ["evening", "Evening"], ["night", "Night"], ["cloudy", "Cloudy"]];
const GROUNDS = [["grass", "Grass"], ["snow", "Snow"], ["sand", "Sand"], ["autumn", "Autumn"]];
const FLOORS = [["wooden", "Wooden"], ["tiled", "Tiled"], ["checkered", "Checkered"], ["carpet", "Carpet"]];
const WALLS = ["white", "beige", "blue", "green", "pink", "yellow", "grey", "red", "teal"];
const LAKE = 7; // metres away
const title = (text) => text[0].toUpperCase() + text.slice(1);

export function Surroundings() {
  const { camera, light, ground, room } = scene.value;
  const change = (group) => (values) => put(group, values);
  const [see, lit, lies, within] = ["camera", "light", "ground", "room"].map(change);
  return html`<section aria-labelledby="camera-title"><header class="section"><h2 id="camera-title">Camera</h2></header><div class="fields">
      <${Slider} label="Orbit" unit="°" value=${camera.angle} min=${-180} max=${180} step=${1} hard=${[-360, 360]} onInput=${(angle) => see({ angle })} />
      <${Slider} label="Distance" unit="m" value=${camera.distance} min=${1} max=${isRoom.value ? 6 : 20} step=${0.1} hard=${[0.3, 200]} onInput=${(distance) => see({ distance })} />
      <${Slider} label="Height" unit="m" value=${camera.height} min=${0.1} max=${isRoom.value ? 2.6 : 10} step=${0.05} hard=${[0.05, 100]} onInput=${(height) => see({ height })} />
      <${Slider} label="Aim" unit="m" value=${camera.aim} min=${0} max=${4} step=${0.05} hard=${[-5, 30]} onInput=${(aim) => see({ aim })} />
      <${Slider} label="Field of view" unit="°" value=${camera.field_of_view} min=${20} max=${90} step=${1} hard=${[10, 110]} onInput=${(angle) => see({ field_of_view: angle })} /></div></section>
    <section aria-labelledby="light-title"><header class="section"><h2 id="light-title">Light</h2></header><div class="fields">
      ${!isRoom.value && html`<${Segments} label="Time of day" value=${light.time} onInput=${(time) => lit({ time })} choices=${TIMES} />`}
      <${Slider} label="Direction" unit="°" value=${light.direction} min=${-180} max=${180} step=${1} hard=${[-360, 360]} onInput=${(direction) => lit({ direction })} />
      <${Slider} label="Elevation" unit="°" value=${light.elevation} min=${5} max=${90} step=${1} hard=${[3, 90]} onInput=${(elevation) => lit({ elevation })} /></div></section>
    <section aria-labelledby="ground-title"><header class="section"><h2 id="ground-title">${isRoom.value ? "Room" : "Landscape"}</h2></header><div class="fields">
      ${isRoom.value ? html`<${Select} label="Wall" value=${room.wall ?? ""} onInput=${(wall) => within({ wall: wall || null })} choices=${[["", "As it is"], ...WALLS.map((name) => [name, title(name)])]} />
        <${Select} label="Floor" value=${room.floor ?? ""} onInput=${(floor) => within({ floor: floor || null })} choices=${[["", "As it is"], ...FLOORS]} />`
    : html`<${Segments} label="Ground" value=${ground.covering} onInput=${(covering) => lies({ covering })} choices=${GROUNDS} />
        <${Switch} label="Mountains" value=${ground.mountains} onInput=${(mountains) => lies({ mountains })} />
        <${Switch} label="Lake" value=${ground.lake !== null} onInput=${(on) => lies({ lake: on ? LAKE : null })} />
        <${Switch} label="Path" value=${ground.path !== null} onInput=${(on) => lies({ path: on ? 0 : null })} />`}</div></section>`;
}
