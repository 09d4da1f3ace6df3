// A curve over steps, drawn by uPlot in the colours of the page.
import uPlot from "../vendor/uplot.js";
import { html, useEffect, useRef } from "../lib/html.js";
import { isDark } from "../state/theme.js";
import { whole } from "./words.js";

const FONT = "12px Inter, system-ui, sans-serif";
const colourOf = (name) => getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();

// numbers that follow each other by step: [x, [y, …]]; where a line has none at a step there is null
export function joinLines(lines) {
  const steps = [...new Set(lines.flatMap((line) => line.map(([x]) => x)))].sort((one, other) => one - other);
  const tables = lines.map((line) => new Map(line));
  return [steps, ...tables.map((table) => steps.map((step) => table.get(step) ?? null))];
}

// lines across at `y` with their names, and a stretch of steps
function drawMarks(plot, marks, jump) {
  const { ctx, bbox } = plot;
  const scale = devicePixelRatio;
  ctx.save();
  ctx.font = `${12 * scale}px Inter, system-ui, sans-serif`;
  if (jump?.at != null) {
    const [from, to, at] = [jump.earliest, jump.latest, jump.at].map((step) => plot.valToPos(step, "x", true));
    ctx.fillStyle = colourOf("tint");
    ctx.fillRect(from, bbox.top, Math.max(to - from, 2 * scale), bbox.height);
    ctx.fillStyle = colourOf("accent");
    ctx.fillRect(at - scale / 2, bbox.top, scale, bbox.height);
  }
  for (const { y, name, below } of marks) {
    const at = plot.valToPos(y, "y", true);
    ctx.strokeStyle = colourOf("strong");
    ctx.lineWidth = scale;
    ctx.setLineDash([2 * scale, 4 * scale]);
    ctx.beginPath();
    ctx.moveTo(bbox.left, at);
    ctx.lineTo(bbox.left + bbox.width, at);
    ctx.stroke();
    ctx.fillStyle = colourOf("soft");
    ctx.textAlign = "right";
    ctx.textBaseline = below ? "top" : "bottom";
    ctx.fillText(name, bbox.left + bbox.width - 4 * scale, at + (below ? 5 : -4) * scale);
  }
  ctx.restore();
}

const axis = (more) => ({
  stroke: () => colourOf("soft"), font: FONT, grid: { stroke: () => colourOf("line"), width: 1 }, ticks: { show: false }, ...more,
});

// series: [{name, color, width, dash, dots, hidden}] of `data` after its steps; band: the numbers of two of them
export function Chart({ label, data, series, band = null, marks = [], jump = null, steps, height, range, say }) {
  const box = useRef(null);
  const held = useRef({});
  Object.assign(held.current, { marks, jump, steps, range, say });
  const dark = isDark();
  useEffect(() => {
    const now = held.current;
    const place = box.current;
    const lines = series.map((one) => ({
      stroke: one.hidden ? "transparent" : colourOf(one.color), width: one.width ?? 2, dash: one.dash, spanGaps: true,
      points: { show: Boolean(one.dots), size: 7, fill: colourOf("card"), stroke: colourOf(one.color), width: 2 },
    }));
    const plot = new uPlot({
      width: place.clientWidth, height, legend: { show: false }, padding: [12, 16, 0, 0],
      cursor: { y: false, drag: { x: false, y: false }, points: { show: (_, at) => (series[at - 1].hidden ? null : undefined), size: 8 } },
      scales: { x: { time: false, range: () => [0, Math.max(now.steps, 1)] }, y: { range: (_, low, high) => now.range(low, high) } },
      axes: [axis({ size: 28, space: 70, values: (_, found) => found.map(whole) }), axis({ size: 46, space: 40, values: (_, found) => found.map((one) => String(Number(one.toPrecision(3)))) })],
      series: [{}, ...lines],
      bands: band ? [{ series: band, fill: `${colourOf("accent")}26` }] : [],
      hooks: { drawAxes: [(one) => drawMarks(one, now.marks, now.jump)], setCursor: [(one) => now.say?.(one.cursor.idx ?? null)] },
    }, data, place);
    now.plot = plot;
    const watch = new ResizeObserver(() => plot.setSize({ width: place.clientWidth, height }));
    watch.observe(place);
    return () => {
      watch.disconnect();
      plot.destroy();
    };
  }, [dark, height]);
  useEffect(() => held.current.plot.setData(data), [data, steps, marks, jump]);
  return html`<div class="chart" ref=${box} role="img" aria-label=${label}></div>`;
}
