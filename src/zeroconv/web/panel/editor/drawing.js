// A drawing: layers over a ground colour (of a mask, what is painted at all, shown in one colour and sent as white), and a history of tiles and of stacks that is counted in bytes.
import { signal } from "../lib/html.js";
import { inPieces } from "../lib/idle.js";
import { canvasOf } from "../lib/pictures.js";
import { bytesOf, colourOf, pack, prepareTile, TILE, Tiles, unpack } from "./tiles.js";

export const DEPTH = 100;
export const MOST = 192 * 2 ** 20; // bytes of history; single huge changes reach it before the depth does
const RECENT = 2; // steps that stay unpacked, so that an undo at once is at once
const WHITE = colourOf(255, 255, 255);
let count = 0;

class Layer {
  constructor(name, width, height) {
    Object.assign(this, { id: `layer${++count}`, name, tiles: new Tiles(width, height), canvas: canvasOf(width, height) });
    this.context = this.canvas.getContext("2d");
  }
}

export class Drawing {
  constructor(width, height, ground, paint = null) {
    Object.assign(this, { width, height, ground, paint, past: [], future: [] });
    this.stack = []; // [{layer, visible, x, y, angle}], the lowest first; entries are replaced, never changed
    this.version = signal(0); // of anything that is shown
    this.active = null;
    this.addLayer("Layer 1", false);
  }

  get entry() {
    return this.stack.find((one) => one.layer.id === this.active) ?? this.stack.at(-1);
  }

  addLayer(name, undoable = true) {
    const layer = new Layer(name ?? `Layer ${this.stack.length + 1}`, this.width, this.height);
    if (undoable) this.keepStack();
    this.stack = [...this.stack, { layer, visible: true, x: 0, y: 0, angle: 0 }];
    this.active = layer.id;
    this.version.value++;
    return layer;
  }

  keepStack() {
    this.keep({ kind: "stack", stack: this.stack, active: this.active });
  }

  // a change of how a layer lies; `again` joins it to the one before (a drag)
  changeEntry(id, change, again = false) {
    if (!again) this.keepStack();
    this.stack = this.stack.map((one) => (one.layer.id === id ? { ...one, ...change } : one));
    this.version.value++;
  }

  removeLayer(id) {
    this.keepStack();
    this.stack = this.stack.filter((one) => one.layer.id !== id);
    if (!this.stack.length) this.addLayer("Layer 1", false);
    this.active = this.entry.layer.id;
    this.version.value++;
  }

  // paint(tiles) writes spans of the active layer
  edit(paint, layer = this.entry.layer) {
    layer.tiles.begin();
    paint(layer.tiles);
    const kept = layer.tiles.commit();
    if (!kept.size) return;
    layer.tiles.paint(layer.context, kept.keys());
    this.keep({ kind: "tiles", layer, tiles: kept });
    this.version.value++;
  }

  keep(step) {
    this.past.push(step);
    this.future = [];
    const older = this.past[this.past.length - 1 - RECENT];
    if (older?.kind === "tiles" && !older.packed) inPieces(packStep(older));
    while (this.past.length > DEPTH) this.past.shift();
    while (this.past.length > 1 && this.bytes() > MOST) this.past.shift();
  }

  bytes() {
    return [...this.past, ...this.future].reduce((sum, step) => sum + (step.bytes ?? measure(step)), 0);
  }

  step(from, to) {
    const last = from.pop();
    if (!last) return false;
    if (last.kind === "stack") {
      to.push({ kind: "stack", stack: this.stack, active: this.active });
      this.stack = last.stack;
      this.active = last.active;
    } else {
      const { layer } = last;
      const now = new Map([...last.tiles.keys()].map((place) => [place, layer.tiles.tiles[place]]));
      for (const [place, tile] of last.tiles) layer.tiles.tiles[place] = unpack(tile);
      layer.tiles.paint(layer.context, now.keys());
      to.push({ kind: "tiles", layer, tiles: now });
    }
    this.version.value++;
    return true;
  }

  undo() {
    return this.step(this.past, this.future);
  }

  redo() {
    return this.step(this.future, this.past);
  }

  // all visible layers over the ground as ImageData; moved and turned ones by the nearest pixel, so no colour is new
  flatten() {
    const found = new ImageData(this.width, this.height);
    const pixels = new Uint32Array(found.data.buffer).fill(this.ground);
    for (const entry of this.stack) if (entry.visible) compose(pixels, this.width, this.height, entry);
    if (this.paint) pixels.forEach((pixel, at) => (pixels[at] = pixel === this.ground ? pixel : WHITE));
    return found;
  }

  load(pixels, layer = this.entry.layer) {
    if (this.paint) {
      const values = new Uint32Array(pixels.data.buffer);
      values.forEach((pixel, at) => (values[at] = (pixel & 255) > 127 ? this.paint : 0));
    }
    this.edit((tiles) => tiles.load(pixels), layer);
  }

  isEmpty() {
    return this.stack.every(({ layer }) => layer.tiles.tiles.every((tile) => tile === null));
  }
}

function compose(pixels, width, height, { layer, x: dx, y: dy, angle }) {
  const { tiles } = layer;
  if (!dx && !dy && !angle) return copyTiles(pixels, tiles);
  const turn = (-angle * Math.PI) / 180;
  const [cos, sin] = [Math.cos(turn), Math.sin(turn)];
  const [cx, cy] = [width / 2, height / 2];
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      const [px, py] = [x + 0.5 - dx - cx, y + 0.5 - dy - cy];
      const pixel = tiles.get(Math.floor(cx + px * cos - py * sin), Math.floor(cy + px * sin + py * cos));
      if (pixel) pixels[y * width + x] = pixel;
    }
  }
}

function copyTiles(pixels, { tiles, across, width, height }) {
  tiles.forEach((tile, place) => {
    if (!tile) return;
    const [left, top] = [(place % across) * TILE, Math.floor(place / across) * TILE];
    for (let y = top; y < Math.min(top + TILE, height); y++) {
      for (let x = left; x < Math.min(left + TILE, width); x++) {
        const pixel = tile[(y - top) * TILE + x - left];
        if (pixel) pixels[y * width + x] = pixel;
      }
    }
  });
}

const measure = (step) => (step.bytes = step.kind === "stack" ? 0 : [...step.tiles.values()].reduce((sum, tile) => sum + bytesOf(tile), 0));

// tile by tile, and then the tiles of the next strokes are made; a step that is undone meanwhile has its tiles in either form
function* packStep(step) {
  step.packed = true;
  for (const [place, tile] of step.tiles) {
    step.tiles.set(place, pack(tile));
    yield;
  }
  delete step.bytes;
  while (prepareTile()) yield;
}

// a point of the drawing in a layer's own pixels
export function intoLayer({ x: dx, y: dy, angle }, [x, y], width, height) {
  const turn = (-angle * Math.PI) / 180;
  const [px, py] = [x - dx - width / 2, y - dy - height / 2];
  return [width / 2 + px * Math.cos(turn) - py * Math.sin(turn), height / 2 + px * Math.sin(turn) + py * Math.cos(turn)];
}
