// What a pointer does on a drawing. A gesture is begun, moved and ended; only its end changes the drawing.
import { fillPolygon, floodFill, outline, thickLine } from "./raster.js";
import { intoLayer } from "./drawing.js";

export const TOOLS = [
  { name: "brush", title: "Brush", key: "B" },
  { name: "eraser", title: "Eraser", key: "E" },
  { name: "line", title: "Line", key: "L" },
  { name: "fill", title: "Fill an area", key: "G" },
  { name: "move", title: "Move the layer", key: "V" },
  { name: "hand", title: "Move the view", key: "H" },
];

const whole = (points) => new Path2D(points.map(([x, y], at) => `${at ? "L" : "M"}${x} ${y}`).join("") + "Z");

export class Gesture {
  // ink: {colour (of a pixel), css, width}; trail: the context that shows what is not in the drawing yet
  constructor(drawing, tool, ink, trail, event, point) {
    Object.assign(this, { drawing, tool, ink, trail, pressed: event.pointerType === "pen", points: [[...point, event.pressure || 0.5]] });
    this.entry = drawing.entry;
    this.from = point;
    this.began = { x: this.entry.x, y: this.entry.y };
    this.dirty = null;
    this.show();
  }

  add(point, event) {
    this.points.push([...point, event.pressure || 0.5]);
    if (this.tool === "line" && event.shiftKey) this.points[this.points.length - 1] = snapped(this.from, point);
  }

  move() {
    if (this.tool !== "move") return this.show();
    const [x, y] = this.points.at(-1);
    const change = { x: Math.round(this.began.x + x - this.from[0]), y: Math.round(this.began.y + y - this.from[1]) };
    this.drawing.changeEntry(this.entry.layer.id, change, this.moved);
    this.moved = true;
    return undefined;
  }

  shape(done) {
    if (this.tool === "line") return thickLine(this.from, this.points.at(-1), this.ink.width);
    return outline(this.points, this.ink.width, this.pressed, done);
  }

  show() {
    if (this.tool === "fill" || this.tool === "move") return;
    this.clear();
    const shape = this.shape(false);
    const xs = shape.map(([x]) => x);
    const ys = shape.map(([, y]) => y);
    const [left, top] = [Math.min(...xs) - 2, Math.min(...ys) - 2];
    this.dirty = [left, top, Math.max(...xs) + 2 - left, Math.max(...ys) + 2 - top];
    this.trail.fillStyle = this.ink.css;
    this.trail.fill(whole(shape));
  }

  clear() {
    if (this.dirty) this.trail.clearRect(...this.dirty);
    this.dirty = null;
  }

  end() {
    this.clear();
    const { drawing, entry, ink } = this;
    if (this.tool === "move") return;
    const colour = this.tool === "eraser" ? 0 : ink.colour;
    const inside = (point) => intoLayer(entry, point, drawing.width, drawing.height);
    drawing.edit((tiles) => {
      const span = (y, x0, x1) => tiles.span(y, x0, x1, colour);
      if (this.tool === "fill") {
        const [x, y] = inside(this.from).map(Math.floor);
        if (x >= 0 && y >= 0 && x < tiles.width && y < tiles.height) floodFill(tiles, x, y, span);
      } else fillPolygon(this.shape(true).map(inside), span);
    }, entry.layer);
  }
}

// to the nearest eighth of a turn
function snapped([x, y], [toX, toY]) {
  const far = Math.hypot(toX - x, toY - y);
  const angle = (Math.round(Math.atan2(toY - y, toX - x) / (Math.PI / 4)) * Math.PI) / 4;
  return [x + far * Math.cos(angle), y + far * Math.sin(angle), 0.5];
}
