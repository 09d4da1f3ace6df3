// The page as a whole: three columns at a desk, tabs on a phone, and what works from anywhere.
import { html, signal, useEffect } from "./lib/html.js";
import { Icon, IconButton } from "./lib/icons.js";
import { Dialog } from "./lib/fields.js";
import { recall } from "./lib/api.js";
import { later } from "./lib/later.js";
import { Notices, tell, tellError } from "./lib/notices.js";
import { picturesIn } from "./lib/pictures.js";
import { ControlsPanel, giveToSomeControl } from "./controls/controls_panel.js";
import { Editor } from "./editor/editor.js";
import { passToDrawing } from "./editor/keys.js";
import { Gallery } from "./results/gallery.js";
import { GridDialog, gridOpen } from "./results/grid.js";
import { Stage } from "./results/stage.js";
import { SceneView } from "./scene/scene.js";
import { PromptDock, generateNow } from "./settings/prompt.js";
import { dice, SettingsPanel } from "./settings/settings_panel.js";
import { redo, undo } from "./state/history.js";
import { cancel, running } from "./state/jobs.js";
import { applyRequest } from "./state/request.js";
import { options, stage, tab } from "./state/store.js";
import { isDark, switchTheme } from "./state/theme.js";

const help = signal(false);
const dropping = signal(false);
const TABS = [["controls", "Controls", "layers"], ["picture", "Picture", "picture"], ["settings", "Settings", "sliders"], ["gallery", "Gallery", "grid"]];
// Places of the page. With more than one, the header shows them.
const PLACES = [{ name: "create", title: "Create", view: Create }, { name: "scene", title: "Scene", view: SceneView },
  { name: "runs", title: "Runs", view: later(() => import("./runs/runs.js").then((one) => one.Runs)) }];
const place = signal(PLACES[0]);
const SHORTCUTS = [
  ["Generate", "Ctrl Enter"], ["Cancel", "Esc"], ["Undo, redo", "Ctrl Z, Ctrl Shift Z"], ["Paste a picture", "Ctrl V"], ["Another seed", "Alt R"], ["This list", "?"],
  ["Brush, eraser, line", "B, E, L"], ["Fill, move layer, hand", "G, V, H"], ["Brush size", "[ ]"], ["Zoom", "Wheel, pinch"], ["Pan", "Space and drag"], ["Fit", "0"],
];

const writes = (target) => target.matches?.("textarea, select, input:not([type=range]):not([type=checkbox])");

function onKey(event) {
  const command = event.ctrlKey || event.metaKey;
  const letter = event.key.toLowerCase();
  if (event.defaultPrevented || document.querySelector("dialog[open]") || passToDrawing(event)) return;
  if (command && event.key === "Enter") generateNow();
  else if (event.key === "Escape" && running.value) cancel(running.value.id);
  else if (writes(event.target)) return; // the browser's own undo is for texts
  else if (command && letter === "z") event.shiftKey ? redo() : undo();
  else if (command && letter === "y") redo();
  else if (event.altKey && letter === "r") dice();
  else if (event.key === "?") help.value = true;
  else return;
  event.preventDefault();
}

function onPaste(event) {
  const [file] = picturesIn(event.clipboardData);
  if (!file) return;
  event.preventDefault();
  giveToSomeControl(file);
}

// a picture made here brings its settings back; any other becomes a control's
async function onDrop(event) {
  dropping.value = false;
  const [file] = picturesIn(event.dataTransfer);
  if (event.defaultPrevented || !file) return event.preventDefault();
  event.preventDefault();
  try {
    if (file.type !== "image/png") return giveToSomeControl(file);
    applyRequest(await recall(file));
    tell("All settings of this picture are back", { action: { title: "Undo", run: undo } });
  } catch (error) {
    if (error.status >= 400 && error.status < 500) giveToSomeControl(file);
    else tellError(error);
  }
  return undefined;
}

function onDrag(event) {
  const leaves = event.type === "dragleave" && event.relatedTarget === null;
  if (event.dataTransfer?.types.includes("Files")) dropping.value = !leaves;
  event.preventDefault();
}

export function App() {
  useEffect(() => {
    const all = [["keydown", onKey], ["paste", onPaste], ["drop", onDrop], ["dragover", onDrag], ["dragleave", onDrag]];
    all.forEach(([name, act]) => addEventListener(name, act));
    return () => all.forEach(([name, act]) => removeEventListener(name, act));
  }, []);
  const View = place.value.view;
  return html`<${Header} /><${View} back=${() => (place.value = PLACES[0])} /><${Notices} />${help.value && html`<${Shortcuts} />`}
    ${dropping.value && html`<div class="drop-sign" aria-hidden="true"><p>Drop on a control, or anywhere to recall a picture's settings</p></div>`}`;
}

const Header = () => html`<header class="bar"><h1><svg viewBox="0 0 32 32" width="22" height="22" aria-hidden="true"><path d="M7 8h18L7 24h18" fill="none" stroke="currentColor" stroke-width="3.5" stroke-linecap="round" stroke-linejoin="round" /></svg>zeroconv</h1>
  ${PLACES.length > 1 && html`<nav aria-label="Places">${PLACES.map((one) => html`<button key=${one.name} type="button" class="plain" aria-current=${one === place.value ? "page" : null} onClick=${() => (place.value = one)}>${one.title}</button>`)}</nav>`}
  <span class="spring"></span>
  <button type="button" class="plain" hidden=${place.value !== PLACES[0]} onClick=${() => (gridOpen.value = true)}><${Icon} name="grid" />Grid</button>
  <button type="button" class="plain wide-only" aria-keyshortcuts="?" onClick=${() => (help.value = true)}>Shortcuts <kbd>?</kbd></button>
  <${IconButton} icon=${isDark() ? "sun" : "moon"} label=${isDark() ? "Light colours" : "Dark colours"} onClick=${switchTheme} /></header>`;

function Create() {
  if (!options.value) return html`<main class="loading" aria-busy="true"><p class="small">Asking the server…</p></main>`;
  return html`<main class="columns" data-tab=${tab.value}>
    <div class="column left" data-part="controls"><${ControlsPanel} /></div>
    <div class="column middle" data-part="picture">${stage.value.kind === "draw" ? html`<${Editor} />` : html`<${Stage} />`}<${PromptDock} /></div>
    <div class="column right"><div data-part="settings"><${SettingsPanel} /></div><div data-part="gallery"><${Gallery} /></div></div>
    ${gridOpen.value && html`<${GridDialog} />`}</main>
  <nav class="tabs" aria-label="Parts of the page">${TABS.map(([name, title, icon]) => html`<button key=${name} type="button" class="plain" aria-current=${tab.value === name ? "true" : null} onClick=${() => (tab.value = name)}><${Icon} name=${icon} />${title}</button>`)}</nav>`;
}

const Shortcuts = () => html`<${Dialog} title="Shortcuts" onClose=${() => (help.value = false)}><dl class="shortcuts">
  ${SHORTCUTS.map(([what, keys]) => html`<div key=${what}><dt>${what}</dt><dd>${keys.split(", ").map((one, at) => html`${at > 0 && " "}<kbd key=${one}>${one}</kbd>`)}</dd></div>`)}</dl><//>`;
