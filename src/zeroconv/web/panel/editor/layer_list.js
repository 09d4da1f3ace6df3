// The layers of a drawing: which are part of the map, and how they lie.
import { html, useRef } from "../lib/html.js";
import { IconButton } from "../lib/icons.js";
import { Slider } from "../lib/fields.js";
import { attempt } from "../lib/notices.js";
import { chooseFile, pixelsOf } from "../lib/pictures.js";

export function LayerList({ drawing }) {
  const turning = useRef(0);
  const entry = drawing.entry;
  const add = attempt(async () => {
    const file = await chooseFile();
    if (!file) return;
    const pixels = await pixelsOf(file, drawing.width, drawing.height);
    const layer = drawing.addLayer(file.name.slice(0, 24));
    drawing.load(pixels, layer);
  });
  const turn = (angle) => {
    const now = performance.now();
    drawing.changeEntry(entry.layer.id, { angle }, now - turning.current < 600);
    turning.current = now;
  };
  return html`<div class="layers"><header><h2>Layers</h2>
      <${IconButton} icon="upload" label="Add a picture as a layer" onClick=${add} />
      <${IconButton} icon="plus" label="Add a layer" onClick=${() => drawing.addLayer()} /></header>
    <ul>${drawing.stack.toReversed().map((one) => html`<li key=${one.layer.id} class=${one === entry ? "active" : ""}>
      <${IconButton} icon=${one.visible ? "eye" : "hidden"} label=${`${one.visible ? "Switch off" : "Switch on"} ${one.layer.name}`} aria-pressed=${one.visible}
        onClick=${() => drawing.changeEntry(one.layer.id, { visible: !one.visible })} />
      <button type="button" class="plain name" aria-pressed=${one === entry} onClick=${() => ((drawing.active = one.layer.id), drawing.version.value++)}>${one.layer.name}</button>
      ${drawing.stack.length > 1 && html`<${IconButton} icon="close" label=${`Remove ${one.layer.name}`} onClick=${() => drawing.removeLayer(one.layer.id)} />`}</li>`)}</ul>
    <${Slider} label="Turn" value=${entry.angle} min=${-180} max=${180} unit="°" onInput=${turn} />
    ${(entry.x !== 0 || entry.y !== 0 || entry.angle !== 0) && html`<button type="button" class="link"
      onClick=${() => drawing.changeEntry(entry.layer.id, { x: 0, y: 0, angle: 0 })}>Put back in place</button>`}
    <small>A layer that is switched off is no part of the map.</small></div>`;
}
