// What a scene is for: its exact maps as controls, and its caption as the prompt.
import { html, useState } from "../lib/html.js";
import { renderScene } from "../lib/api.js";
import { attempt, tell } from "../lib/notices.js";
import { addControl } from "../controls/controls_panel.js";
import { checkControl } from "../controls/checks.js";
import { set, setControl } from "../state/history.js";
import { conditionOf, controls, networks, settings, size } from "../state/store.js";
import { layer, scene, shot } from "./model.js";
import { LAYERS } from "./preview.js";

const MOST = 1024; // pixels a side that the server renders
const USES = [["depth", "Depth"], ["normal", "Normals"], ["segmentation", "Segmentation"], ["pose", "Pose"]];
const EDGES = ["canny", "lineart", "soft-edge", "scribble", "lines"];
const reads = (network, condition) => (network.conditions?.length ? network.conditions : [network.condition]).includes(condition);
const networkOf = (condition) => {
  const found = networks.value.filter((one) => reads(one, condition));
  return found.find((one) => !(one.conditions?.length > 1)) ?? found[0];
};

// the size of the base's pictures, or the largest of their shape that can be rendered
function largestSize() {
  const [width, height] = size.value;
  const scale = Math.min(1, MOST / Math.max(width, height));
  return [Math.round(width * scale), Math.round(height * scale)];
}

async function useAsControl(condition, back) {
  const [width, height] = largestSize();
  const found = await renderScene({ stage: scene.value, width, height, conditions: [condition] });
  const map = found.maps[condition];
  const network = networkOf(condition);
  const before = controls.value.find((one) => one.network === network.name && (one.fromScene || one.lead) && one.condition === condition);
  const id = before?.id ?? addControl(network, { condition, ready: true, map, fromScene: true });
  if (before) setControl(id, { map, ready: true, people: null, on: true, fromScene: true });
  attempt(checkControl)(id);
  const named = settings.value.prompt === "";
  if (named) set("prompt", found.caption);
  tell(`${conditionOf(condition)?.title ?? condition} of this scene is a control now${named ? ", its caption the prompt" : ""}`, { action: { title: "Go to it", run: back } });
}

export function Uses({ back }) {
  const [busy, setBusy] = useState(null);
  const people = scene.value.things.some((one) => one.kind === "person");
  const edges = EDGES.find((name) => networkOf(name));
  const all = [...USES.filter(([name]) => networkOf(name) && (name !== "pose" || people)), ...(edges ? [[edges, "Edges"]] : [])];
  const [width, height] = largestSize();
  const use = attempt(async (condition) => {
    setBusy(condition);
    await useAsControl(condition, back).finally(() => setBusy(null));
  });
  if (all.length === 0) return html`<p class="small">The server lists no ControlNet for this base that follows a scene.</p>`;
  return html`<div class="uses" role="group" aria-label=${`Use as a control, ${width} by ${height}`}><span>Use as control <small>${width} × ${height}</small></span>
    ${all.map(([condition, title]) => html`<button key=${condition} type="button" class=${condition === (LAYERS[layer.value] ?? "depth") ? "primary" : ""} disabled=${busy !== null} aria-busy=${busy === condition}
      onClick=${() => use(condition)}>${busy === condition ? "Rendering…" : title}</button>`)}</div>`;
}

export function Caption() {
  const text = shot.value?.caption;
  if (!text) return null;
  const same = settings.value.prompt === text;
  return html`<div class="caption"><p>${text}</p><button type="button" class="link" disabled=${same} onClick=${() => set("prompt", text)}>${same ? "Is the prompt" : "Use as prompt"}</button></div>`;
}
