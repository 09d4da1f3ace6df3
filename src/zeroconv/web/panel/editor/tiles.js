// A layer's pixels in tiles that are copied when they are written: the history keeps the old ones, and nothing else.
export const TILE = 128;
export const AREA = TILE * TILE;

const uniform = new Map(); // tiles of one colour are shared
export function uniformTile(colour) {
  if (!colour) return null;
  if (!uniform.has(colour)) {
    const tile = new Uint32Array(AREA).fill(colour);
    tile.shared = true;
    uniform.set(colour, tile);
  }
  return uniform.get(colour);
}

// tiles made while nobody draws, their memory touched: a stroke has none to ask for
const SPARE = 64;
const spare = [];
export function prepareTile() {
  if (spare.length >= SPARE) return false;
  spare.push(new Uint32Array(AREA).fill(0));
  return true;
}

function tileLike(old) {
  const tile = spare.pop() ?? new Uint32Array(AREA);
  if (old) tile.set(old);
  return tile;
}

// 0xAABBGGRR as ImageData holds it on every machine that browsers run on
export const colourOf = (red, green, blue) => (0xff000000 | (blue << 16) | (green << 8) | red) >>> 0;
export const parseColour = (text) => colourOf(...[1, 3, 5].map((at) => parseInt(text.slice(at, at + 2), 16)));

export class Tiles {
  constructor(width, height) {
    Object.assign(this, { width, height, across: Math.ceil(width / TILE), down: Math.ceil(height / TILE) });
    this.tiles = new Array(this.across * this.down).fill(null); // null: transparent
    this.kept = null; // tiles as they were before the change in progress, by place
  }

  begin() {
    this.kept = new Map();
  }

  // the tiles that a change replaced
  commit() {
    const kept = this.kept ?? new Map();
    this.kept = null;
    return kept;
  }

  // a tile that may be written
  writable(place) {
    if (!this.kept.has(place)) {
      const old = this.tiles[place];
      this.kept.set(place, old);
      this.tiles[place] = tileLike(old);
    }
    return this.tiles[place];
  }

  put(place, tile) {
    if (this.kept && !this.kept.has(place)) this.kept.set(place, this.tiles[place]);
    this.tiles[place] = tile;
  }

  // pixels from x0 up to x1 of a row
  span(y, x0, x1, colour) {
    if (y < 0 || y >= this.height) return;
    let x = Math.max(0, x0);
    const end = Math.min(this.width, x1);
    const row = Math.floor(y / TILE) * this.across;
    const start = (y % TILE) * TILE;
    while (x < end) {
      const column = Math.floor(x / TILE);
      const stop = Math.min(end, (column + 1) * TILE);
      const tile = this.tiles[row + column];
      if (tile || colour) this.writable(row + column).fill(colour, start + x - column * TILE, start + stop - column * TILE);
      x = stop;
    }
  }

  get(x, y) {
    if (x < 0 || y < 0 || x >= this.width || y >= this.height) return 0;
    const tile = this.tiles[Math.floor(y / TILE) * this.across + Math.floor(x / TILE)];
    return tile ? tile[(y % TILE) * TILE + (x % TILE)] : 0;
  }

  fillAll(colour) {
    for (let place = 0; place < this.tiles.length; place++) this.put(place, uniformTile(colour));
  }

  // from ImageData of the same size; what is less than half opaque is left out
  load({ data }) {
    const pixels = new Uint32Array(data.buffer, data.byteOffset, this.width * this.height);
    for (let place = 0; place < this.tiles.length; place++) this.put(place, this.cut(pixels, place));
  }

  cut(pixels, place) {
    const [left, top] = this.corner(place);
    const tile = new Uint32Array(AREA);
    let first;
    let same = true;
    for (let y = top; y < Math.min(top + TILE, this.height); y++) {
      for (let x = left; x < Math.min(left + TILE, this.width); x++) {
        const pixel = pixels[y * this.width + x];
        const value = pixel >>> 24 >= 128 ? (pixel | 0xff000000) >>> 0 : 0;
        first ??= value;
        same &&= value === first;
        tile[(y - top) * TILE + x - left] = value;
      }
    }
    return same ? uniformTile(first) : tile;
  }

  corner(place) {
    return [(place % this.across) * TILE, Math.floor(place / this.across) * TILE];
  }

  // draws places (all without a list) on a canvas of the layer's size
  paint(context, places = this.tiles.keys()) {
    for (const place of places) {
      const [x, y] = this.corner(place);
      const tile = this.tiles[place];
      if (tile) context.putImageData(new ImageData(new Uint8ClampedArray(tile.buffer), TILE, TILE), x, y);
      else context.clearRect(x, y, TILE, TILE);
    }
  }
}

// a tile in runs of one colour, [count, colour, …], where that is at most half as long; lines and areas are
export function pack(tile) {
  if (!tile || tile.shared || tile instanceof Packed) return tile;
  const runs = [];
  for (let at = 0; at < AREA;) {
    const colour = tile[at];
    let end = at + 1;
    while (end < AREA && tile[end] === colour) end++;
    runs.push(end - at, colour);
    at = end;
    if (runs.length > AREA / 2) return tile;
  }
  return new Packed(Uint32Array.from(runs));
}

class Packed {
  constructor(runs) {
    this.runs = runs;
  }
}

export function unpack(tile) {
  if (!(tile instanceof Packed)) return tile;
  const found = new Uint32Array(AREA);
  for (let run = 0, at = 0; run < tile.runs.length; run += 2) {
    found.fill(tile.runs[run + 1], at, at + tile.runs[run]);
    at += tile.runs[run];
  }
  return found;
}

export const bytesOf = (tile) => (!tile || tile.shared ? 0 : tile instanceof Packed ? tile.runs.byteLength : tile.byteLength);
