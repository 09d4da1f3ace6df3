// The drawing desk: layers as canvases upon each other, one more for the stroke that is being drawn.
import { html, useEffect, useRef, useState } from "../lib/html.js";
import { IconButton, Icon } from "../lib/icons.js";
import { Slider } from "../lib/fields.js";
import { inPieces } from "../lib/idle.js";
import { attempt } from "../lib/notices.js";
import { pictureUrl } from "../lib/api.js";
import { save } from "./desk.js";
import { InkPicker, startInk } from "./inks.js";
import { useKeys } from "./keys.js";
import { LayerList } from "./layer_list.js";
import { Gesture, TOOLS } from "./tools.js";
import { Sheet, useView } from "./view.js";
import { warmUp } from "./warm_up.js";

const SETTLED = 900; // milliseconds without a stroke, after which the drawing is sent
const css = (pixel) => `rgb(${pixel & 255} ${(pixel >> 8) & 255} ${(pixel >> 16) & 255})`;

export function RasterEditor({ entry, underlay }) {
  const { drawing, kind } = entry;
  const view = useView(drawing.width, drawing.height);
  const [tool, setTool] = useState("brush");
  const [width, setWidth] = useState(Math.max(2, Math.round(Math.min(drawing.width, drawing.height) / (kind.ink === "white" ? 64 : 20))));
  const [ink, setInk] = useState(startInk(kind));
  const [beneath, setBeneath] = useState(underlay ? 0.35 : 0);
  const [aside, setAside] = useState(false);
  const trail = useRef(null);
  const ring = useRef(null);
  const gesture = useRef(null);
  const mask = kind.paint !== undefined;
  const colour = kind.paint ?? ink.colour;
  const shown = tool === "eraser" ? (mask ? "#0008" : css(drawing.ground)) : css(colour);
  view.panning.value = tool === "hand";

  useEffect(() => inPieces(warmUp(drawing)), [drawing]);
  const version = drawing.version.value;
  useEffect(() => {
    const timer = setTimeout(attempt(() => save(entry)), SETTLED);
    return () => clearTimeout(timer);
  }, [version, entry]);

  function pointer(event, moved) {
    ring.current?.setAttribute("transform", `translate(${view.point(event)})`);
    if (moved) {
      gesture.current?.clear();
      gesture.current = null;
    } else if (event.type === "pointerdown" && event.button === 0) {
      event.currentTarget.focus({ preventScroll: true });
      gesture.current = new Gesture(drawing, tool, { colour, css: shown, width }, trail.current.getContext("2d"), event, view.point(event));
    } else if (event.type === "pointermove" && gesture.current) {
      for (const one of event.getCoalescedEvents?.() ?? []) gesture.current.add(view.point(one), one);
      if (!event.getCoalescedEvents?.().length) gesture.current.add(view.point(event), event);
      gesture.current.move();
    } else if (event.type === "pointerup" && gesture.current) {
      gesture.current.end();
      gesture.current = null;
    } else if (event.type === "pointercancel") {
      gesture.current?.clear();
      gesture.current = null;
    }
  }

  function key(event) {
    if (event.target.matches("input:not([type=range]), textarea, select")) return;
    const letter = event.key.toLowerCase();
    const command = event.ctrlKey || event.metaKey;
    const found = !command && TOOLS.find((one) => one.key.toLowerCase() === letter);
    if (command && letter === "z") event.shiftKey ? drawing.redo() : drawing.undo();
    else if (command && letter === "y") drawing.redo();
    else if (found) setTool(found.name);
    else if (letter === "[") setWidth((old) => Math.max(1, Math.round(old / 1.2 - 0.5)));
    else if (letter === "]") setWidth((old) => Math.min(512, Math.round(old * 1.2 + 0.5)));
    else if (letter === "0" && !command) view.fit();
    else if (letter === " " && event.target.matches(".area")) view.panning.value = true;
    else return;
    event.preventDefault();
    event.stopPropagation();
  }

  useKeys(key);
  const space = (event) => event.key === " " && (view.panning.value = tool === "hand");
  const stack = drawing.stack;
  return html`<div class="editor" onKeyDown=${key} onKeyUp=${space}>
    <div class="toolbar" role="toolbar" aria-label="Drawing tools">
      <div class="group">${TOOLS.map((one) => html`<${IconButton} key=${one.name} icon=${one.name} label=${one.title} keys=${one.key}
        aria-pressed=${tool === one.name} onClick=${() => setTool(one.name)} />`)}</div>
      <div class="group"><${IconButton} icon="undo" label="Undo" keys="Control+Z" disabled=${!drawing.past.length} onClick=${() => drawing.undo()} />
        <${IconButton} icon="redo" label="Redo" keys="Control+Shift+Z" disabled=${!drawing.future.length} onClick=${() => drawing.redo()} />
        <${IconButton} icon="bin" label="Clear the layer" onClick=${() => drawing.edit((tiles) => tiles.fillAll(0))} />
        ${mask && html`<${IconButton} icon="swap" label="Exchange painted and unpainted" onClick=${() => invert(drawing)} />`}
        <${IconButton} icon="fit" label="Fit to the window" keys="0" onClick=${() => view.fit()} /></div>
      <div class="group size"><${Slider} label="Size" value=${width} min=${1} max=${Math.max(64, Math.round(drawing.width / 4))} hard=${[1, 512]} onInput=${setWidth} /></div>
      <button type="button" class="plain aside-button" aria-expanded=${aside} onClick=${() => setAside(!aside)}><${Icon} name="layers" />Layers</button>
    </div>
    <div class="desk">
      <${Sheet} view=${view} onPointer=${pointer} onHover=${() => ring.current?.setAttribute("transform", "translate(-9999 0)")}
        label=${`Drawing area, ${drawing.width} by ${drawing.height} pixels. ${kind.hint}`} cursor=${tool === "move" ? "move" : "crosshair"}>
        <div class="ground" style=${{ background: mask ? "repeating-conic-gradient(#3a3c40 0 25%, #46494e 0 50%) 0 0 / 16px 16px" : css(drawing.ground) }}></div>
        ${underlay && mask && html`<img class="under" src=${pictureUrl(underlay)} alt="" draggable="false" />`}
        ${stack.map((one) => html`<${LayerCanvas} key=${one.layer.id} entry=${one} mask=${mask} />`)}
        ${underlay && !mask && beneath > 0 && html`<img class="under" src=${pictureUrl(underlay)} alt="" draggable="false" style=${{ opacity: beneath }} />`}
        <canvas ref=${trail} class=${mask ? "trail mask" : "trail"} width=${drawing.width} height=${drawing.height}></canvas>
        <svg class="ring" aria-hidden="true" viewBox=${`0 0 ${drawing.width} ${drawing.height}`}><g ref=${ring} transform="translate(-9999 0)">
          ${["brush", "eraser", "line"].includes(tool) && html`<circle r=${width / 2} /><circle r=${width / 2} class="inner" />`}</g></svg>
      <//>
      <aside class=${aside ? "open" : ""} aria-label="Ink and layers">
        <${InkPicker} kind=${kind} ink=${ink} setInk=${(one) => (setInk(one), tool === "eraser" && setTool("brush"))} />
        ${underlay && !mask && html`<${Slider} label="Picture to trace" value=${beneath} min=${0} max=${1} step=${0.05} onInput=${setBeneath} />`}
        <${LayerList} drawing=${drawing} />
      </aside>
    </div>
  </div>`;
}

const invert = (drawing) => drawing.edit((tiles) => {
  for (let y = 0; y < tiles.height; y++) {
    for (let x = 0, start = 0; x < tiles.width; x = start) {
      const painted = tiles.get(x, y);
      for (start = x; start < tiles.width && tiles.get(start, y) === painted; start++);
      tiles.span(y, x, start, painted ? 0 : drawing.paint);
    }
  }
});

function LayerCanvas({ entry, mask }) {
  const box = useRef(null);
  useEffect(() => {
    box.current.append(entry.layer.canvas);
  }, [entry.layer]);
  const { x, y, angle, visible } = entry;
  return html`<div ref=${box} class=${mask ? "layer mask" : "layer"} hidden=${!visible} style=${{ transform: `translate(${x}px, ${y}px) rotate(${angle}deg)` }}></div>`;
}
