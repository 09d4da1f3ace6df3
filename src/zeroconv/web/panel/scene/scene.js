// The scene: a small stage in three dimensions whose exact depth, normals, classes, pose and edges become controls.
import { html, signal, useEffect } from "../lib/html.js";
import { readSceneChoices, randomScene } from "../lib/api.js";
import { IconButton } from "../lib/icons.js";
import { Segments, Select } from "../lib/fields.js";
import { attempt, tellError } from "../lib/notices.js";
import { options, tab } from "../state/store.js";
import { choices, layer, redo, replace, scene, selected, steps, undo } from "./model.js";
import { follow, LAYERS } from "./preview.js";
import { PictureView } from "./picture_view.js";
import { Plan } from "./plan.js";
import { Surroundings } from "./surroundings.js";
import { Chosen, Things } from "./things.js";
import { Caption, Uses } from "./uses.js";

const TITLES = { picture: "Picture", depth: "Depth", normals: "Normals", classes: "Classes", pose: "Pose", edges: "Edges" };
const KINDS = [["", "Any scene"], ["house", "House"], ["car", "Car"], ["tree", "Tree"], ["person", "Person"], ["room", "Room"], ["person-indoors", "Person in a room"], ["still-life", "Still life"]];
const kind = signal("");

const another = attempt(async () => {
  const found = await randomScene(kind.value);
  replace(found.stage);
  selected.value = null;
});

const writes = (target) => target.matches?.("textarea, select, input:not([type=range]):not([type=checkbox])");

// before the page's own undo, which is for settings
function onUndo(event) {
  const letter = event.key.toLowerCase();
  if (!(event.ctrlKey || event.metaKey) || writes(event.target) || document.querySelector("dialog[open]")) return;
  if (letter === "z") event.shiftKey ? redo() : undo();
  else if (letter === "y") redo();
  else return;
  event.preventDefault();
  event.stopImmediatePropagation();
}

export function SceneView({ back }) {
  useEffect(() => {
    if (!choices.value) readSceneChoices().then((found) => (choices.value = found)).catch(tellError);
    addEventListener("keydown", onUndo, true);
    return () => removeEventListener("keydown", onUndo, true);
  }, []);
  useEffect(() => (options.value ? follow() : undefined), [options.value === null]);
  if (!options.value) return html`<main class="loading" aria-busy="true"><p class="small">Asking the server…</p></main>`;
  const home = () => ((tab.value = "controls"), back());
  return html`<main class="columns scene">
    <div class="column left"><${Start} /><${Things} /><${Chosen} /></div>
    <div class="column middle"><section class="stage" aria-label="Scene"><${PictureView} />
      <footer class="below"><${Segments} label="What is shown" value=${layer.value} onInput=${(name) => (layer.value = name)} choices=${Object.keys(LAYERS).map((name) => [name, TITLES[name]])} />
        <${Caption} /><${Uses} back=${home} /></footer></section></div>
    <div class="column right"><section aria-label="From above"><${Plan} /></section><${Surroundings} /></div></main>`;
}

const Start = () => html`<div class="start"><${Select} label="Kind of scene" hideLabel value=${kind.value} onInput=${(name) => (kind.value = name)} choices=${KINDS} />
    <button type="button" onClick=${another}>Random scene</button>
    <${IconButton} icon="undo" label="Undo" keys="Control+Z" disabled=${steps.value.past === 0} onClick=${undo} /><${IconButton} icon="redo" label="Redo" keys="Control+Shift+Z" disabled=${steps.value.future === 0} onClick=${redo} /></div>`;
