// One picture for each pair of values of up to two parameters, side by side.
import { html, signal, useState } from "../lib/html.js";
import { Dialog, Select, useId } from "../lib/fields.js";
import { pictureUrl } from "../lib/api.js";
import { attempt, tell } from "../lib/notices.js";
import { saveAll } from "../editor/desk.js";
import { cancel, jobs, send } from "../state/jobs.js";
import { acting, buildRequest, whatIsMissing } from "../state/request.js";
import { conditionOf, options } from "../state/store.js";
import { look } from "./gallery.js";
import { Badge } from "./scores.js";

export const gridOpen = signal(false);
const grids = signal([]); // {id, x: {title, values}, y}
const MOST = 64;

const numbers = (text) => text.split(/[\s,;]+/).filter(Boolean).map(Number);
const words = (text) => text.split(",").map((one) => one.trim()).filter(Boolean);
const setter = (key) => (request, value) => ({ ...request, [key]: value });
const perControl = (key, at) => (request, value) => ({ ...request, controls: request.controls.map((one, place) => (place === at ? { ...one, [key]: value } : one)) });

// what can vary: how its values are read and put into a request
function parameters() {
  const own = acting().flatMap((one, at) => {
    const title = conditionOf(one.condition)?.title ?? one.network;
    return [["scale", "strength", "0.5, 1, 1.5"], ["start", "start", "0, 0.2, 0.4"], ["end", "end", "0.4, 0.7, 1"]].map(([key, name, usual]) =>
      ({ key: `${key} ${at}`, title: `${title}: ${name}`, usual, read: numbers, put: perControl(key, at) }));
  });
  const all = (list) => (list ?? []).map((one) => one.name).join(", ");
  return [
    ...own,
    { key: "seed", title: "Seed", usual: "1, 2, 3, 4", read: numbers, put: setter("seed") },
    { key: "num_inference_steps", title: "Steps", usual: "5, 10, 20", read: numbers, put: setter("num_inference_steps") },
    { key: "guidance_scale", title: "Guidance", usual: "1, 3, 5, 8", read: numbers, put: setter("guidance_scale") },
    { key: "weighting", title: "Weighting", usual: all(options.value?.weightings), read: words, put: setter("weighting") },
    { key: "sampler", title: "Sampler", usual: "ddim, euler, dpm++2m", read: words, put: setter("sampler") },
    { key: "prompt", title: "Prompt ( | between)", usual: "", read: (text) => text.split("|").map((one) => one.trim()).filter(Boolean), put: setter("prompt") },
  ];
}

async function queue(x, y, xs, ys) {
  await saveAll();
  if (whatIsMissing()) return tell(whatIsMissing(), { level: "warning" });
  const request = { ...buildRequest(), num_images: 1 };
  const cells = ys.flatMap((row) => xs.map((column) => [column, row]));
  const grid = { id: `grid${Date.now()}`, x: { title: x.title, values: xs }, y: y && { title: y.title, values: ys }, cells: {} };
  grids.value = [grid, ...grids.value];
  for (const [column, row] of cells) {
    const asked = y ? y.put(x.put(request, column), row) : x.put(request, column);
    const id = await sendPatiently(asked, grid.id);
    grids.value = grids.value.map((one) => (one.id === grid.id ? { ...one, cells: { ...one.cells, [`${column} ${row}`]: id } } : one));
  }
  return undefined;
}

// a full queue is waited for
async function sendPatiently(request, grid) {
  for (;;) {
    try {
      return await send(request, { grid });
    } catch (error) {
      if (error.status !== 429) throw error;
      await new Promise((resolve) => setTimeout(resolve, 1000 * Math.min(10, error.wait || 1)));
    }
  }
}

function Axis({ label, all, value, onInput, optional }) {
  const id = useId();
  return html`<div class="axis"><${Select} label=${label} value=${value.key} choices=${[...(optional ? [["", "Nothing"]] : []), ...all.map((one) => [one.key, one.title])]}
      onInput=${(key) => onInput({ key, text: all.find((one) => one.key === key)?.usual ?? "" })} />
    ${value.key && html`<label for=${id} class="visually-hidden">Values of ${label}</label><input id=${id} type="text" value=${value.text} onInput=${(event) => onInput({ ...value, text: event.target.value })} />`}</div>`;
}

export function GridDialog() {
  const all = parameters();
  const [x, setX] = useState({ key: all[0].key, text: all[0].usual });
  const [y, setY] = useState({ key: "", text: "" });
  if (!gridOpen.value) return null;
  const [across, down] = [all.find((one) => one.key === x.key), all.find((one) => one.key === y.key)];
  const xs = across?.read(x.text) ?? [];
  const ys = down ? down.read(y.text) : [""];
  const count = xs.length * ys.length;
  const wrong = [...xs, ...ys].some((one) => Number.isNaN(one)) ? "some values are no numbers" : count > MOST ? `${count} pictures are more than ${MOST}` : count ? null : "give some values";
  const start = attempt(() => queue(across, down, xs, ys));
  return html`<${Dialog} title="Grid" wide=${grids.value.length > 0} onClose=${() => (gridOpen.value = false)}>
    <p class="small">One picture for each value, everything else as it is set now.</p>
    <div class="axes"><${Axis} label="Across" all=${all} value=${x} onInput=${setX} /><${Axis} label="Down" all=${all.filter((one) => one.key !== x.key)} value=${y} onInput=${setY} optional /></div>
    <footer><small role="status">${wrong ?? `${count} ${count === 1 ? "picture" : "pictures"}`}</small><button type="button" class="primary" disabled=${Boolean(wrong)} onClick=${start}>Make the grid</button></footer>
    ${grids.value.map((one) => html`<${Grid} key=${one.id} grid=${one} />`)}<//>`;
}

function Grid({ grid }) {
  const mine = jobs.value.filter((one) => one.grid === grid.id);
  const waiting = mine.filter((one) => ["queued", "running"].includes(one.state));
  const rows = grid.y?.values ?? [""];
  const cell = (column, row) => {
    const job = mine.find((one) => one.id === grid.cells[`${column} ${row}`]);
    const picture = job?.results[0];
    if (!picture) return html`<span class="waiting">${{ failed: "failed", cancelled: "cancelled", running: "…" }[job?.state] ?? ""}</span>`;
    return html`<button type="button" class="tile" onClick=${() => ((gridOpen.value = false), look(picture))}><img src=${pictureUrl(picture.picture ?? picture.id, 256)} alt=${`${grid.x.title} ${column}${grid.y ? `, ${grid.y.title} ${row}` : ""}`} /><${Badge} picture=${picture} /></button>`;
  };
  return html`<div class="xyz" tabindex="0" role="region" aria-label="Grid of pictures"><table><caption>${grid.x.title}${grid.y ? ` across, ${grid.y.title} down` : ""}
      ${waiting.length > 0 && html` <button type="button" class="link" onClick=${() => waiting.forEach((one) => cancel(one.id))}>Cancel the ${waiting.length} left</button>`}</caption>
    <thead><tr>${grid.y && html`<td></td>`}${grid.x.values.map((one) => html`<th key=${one} scope="col">${one}</th>`)}</tr></thead>
    <tbody>${rows.map((row) => html`<tr key=${row}>${grid.y && html`<th scope="row">${row}</th>`}${grid.x.values.map((column) => html`<td key=${column}>${cell(column, row)}</td>`)}</tr>`)}</tbody></table></div>`;
}
