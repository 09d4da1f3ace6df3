// What the first strokes would pay for: code that has not run yet, and memory that was never touched. Done while nobody draws.
import { canvasOf } from "../lib/pictures.js";
import { fillPolygon, outline } from "./raster.js";
import { prepareTile, TILE, Tiles } from "./tiles.js";

const STROKES = 12; // after which a browser has compiled what a stroke runs

export function* warmUp(drawing) {
  for (const { layer } of drawing.stack) layer.context.putImageData(new ImageData(1, 1), 0, 0), yield; // its canvas gets its memory
  while (prepareTile()) yield;
  const { width, height } = drawing;
  const context = canvasOf(TILE, TILE).getContext("2d");
  for (let stroke = 0; stroke < STROKES; stroke++) {
    const points = Array.from({ length: 24 }, (_, at) => [(width * at) / 24, (height * ((at * (stroke + 1)) % 24)) / 24, 0.5]);
    const shape = outline(points, Math.max(2, width / 128), stroke % 2 === 1);
    yield;
    const tiles = new Tiles(TILE, TILE);
    tiles.begin();
    fillPolygon(shape, (y, from, to) => tiles.span(y % TILE, from % TILE, (from % TILE) + to - from, 0xffffffff));
    tiles.paint(context, tiles.commit().keys());
    yield;
  }
}
