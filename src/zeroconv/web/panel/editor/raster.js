// Shapes as spans of whole pixels, by the non-zero rule: a pixel is in when its middle is. No antialiasing, so that a mask
// has two values and a class one colour.
import { getStroke } from "../vendor/perfect-freehand.js";

// points: [[x, y], …], closed; span(y, x0, x1) for each run of pixels
export function fillPolygon(points, span) {
  const edges = [];
  let top = Infinity;
  let bottom = -Infinity;
  for (let at = 0; at < points.length; at++) {
    const [x0, y0] = points[at];
    const [x1, y1] = points[(at + 1) % points.length];
    if (y0 === y1) continue;
    edges.push(y0 < y1 ? [y0, y1, x0, (x1 - x0) / (y1 - y0), 1] : [y1, y0, x1, (x0 - x1) / (y0 - y1), -1]);
    top = Math.min(top, y0, y1);
    bottom = Math.max(bottom, y0, y1);
  }
  edges.sort((one, other) => one[0] - other[0]);
  let next = 0;
  let live = [];
  for (let y = Math.ceil(top - 0.5); y + 0.5 < bottom; y++) {
    const middle = y + 0.5;
    while (next < edges.length && edges[next][0] <= middle) live.push(edges[next++]);
    live = live.filter((edge) => edge[1] > middle);
    const crossings = live.map((edge) => [edge[2] + (middle - edge[0]) * edge[3], edge[4]]).sort((one, other) => one[0] - other[0]);
    let turns = 0;
    for (let at = 0; at < crossings.length; at++) {
      const before = turns;
      turns += crossings[at][1];
      if (before === 0) crossings.start = crossings[at][0];
      else if (turns === 0) span(y, Math.ceil(crossings.start - 0.5), Math.ceil(crossings[at][0] - 0.5));
    }
  }
}

// the outline of a stroke through [[x, y, pressure], …]
export function outline(points, width, pressed, done = true) {
  if (points.length === 1 || points.every(([x, y]) => x === points[0][0] && y === points[0][1])) return circle(points[0], width / 2);
  return getStroke(points, {
    size: width, thinning: pressed ? 0.6 : 0, smoothing: 0.4, streamline: 0.2, simulatePressure: false, last: done,
    start: { cap: true }, end: { cap: true },
  });
}

export function circle([x, y], radius, sides = 32) {
  return Array.from({ length: sides }, (_, at) => {
    const angle = (2 * Math.PI * at) / sides;
    return [x + radius * Math.cos(angle), y + radius * Math.sin(angle)];
  });
}

// a straight line with round ends
export function thickLine(from, to, width) {
  const angle = Math.atan2(to[1] - from[1], to[0] - from[0]);
  const half = (middle, turn) => Array.from({ length: 17 }, (_, at) => {
    const here = turn + (Math.PI * at) / 16;
    return [middle[0] + (width / 2) * Math.cos(here), middle[1] + (width / 2) * Math.sin(here)];
  });
  return [...half(from, angle + Math.PI / 2), ...half(to, angle - Math.PI / 2)];
}

// every pixel that is joined to one and has its colour
export function floodFill(tiles, x, y, span) {
  const old = tiles.get(x, y);
  const { width, height } = tiles;
  const seen = new Uint8Array(width * height);
  const open = [[x, y]];
  while (open.length) {
    const [px, py] = open.pop();
    if (seen[py * width + px]) continue;
    let left = px;
    let right = px + 1;
    while (left > 0 && !seen[py * width + left - 1] && tiles.get(left - 1, py) === old) left--;
    while (right < width && !seen[py * width + right] && tiles.get(right, py) === old) right++;
    seen.fill(1, py * width + left, py * width + right);
    for (const row of [py - 1, py + 1]) {
      if (row < 0 || row >= height) continue;
      for (let at = left, inside = false; at < right; at++) {
        const same = !seen[row * width + at] && tiles.get(at, row) === old;
        if (same && !inside) open.push([at, row]);
        inside = same;
      }
    }
    span(py, left, right);
  }
}
