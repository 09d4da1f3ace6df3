// The stack of controls, and adding one.
import { html, useState } from "../lib/html.js";
import { Icon } from "../lib/icons.js";
import { setControls } from "../state/history.js";
import { conditionOf, controls, mapsOf, networks, networkTitle, newControls, tab, wholes } from "../state/store.js";
import { ControlCard } from "./control_card.js";
import { givePicture } from "./picture_input.js";

// adds a network's control; answers which control has the map that is meant
export function addControl(network, more) {
  const all = newControls(network, more);
  setControls([...controls.value, ...all]);
  return (all.find((one) => one.lead && one.condition === more?.condition) ?? all[0]).id;
}

const isEmpty = (one) => !one.joined && !(one.ready ? one.map : one.image);

// the control that a pasted picture is for: the one with the focus, or the last without a picture, or a new one
export function giveToSomeControl(blob) {
  const focused = document.activeElement?.closest("[data-control]")?.dataset.control;
  const found = controls.value.find((one) => one.id === focused) ?? controls.value.findLast(isEmpty);
  const maps = found && mapsOf(found);
  const id = maps ? (maps.find(isEmpty) ?? maps[0]).id : networks.value[0] && addControl(networks.value[0]);
  if (id) givePicture(id, blob);
  tab.value = "controls";
}

export function ControlsPanel() {
  const list = wholes();
  return html`<section class="controls" aria-labelledby="controls-title"><header class="section"><h2 id="controls-title">Controls</h2>
      ${list.length > 0 && html`<small>${list.filter((one) => one.on).length} of ${list.length} on</small>`}</header>
    ${list.map((one) => html`<${ControlCard} key=${one.id} control=${one} />`)}
    <${AddControl} first=${list.length === 0} /></section>`;
}

const short = (summary) => summary?.replace(/ \(.*\)$/, ""); // without the extractors' names

// a network's title, with its name where others have the same title
export function NetworkName({ network }) {
  const title = networkTitle(network);
  const alike = networks.value.filter((one) => networkTitle(one) === title).length > 1;
  const name = network.name.startsWith("run:") ? network.name.slice(4) : network.name.split("#")[0].split("/").at(-1);
  return html`${title}${(alike || network.name.startsWith("run:")) && html` <small>${name}</small>`}`;
}

const summaryOf = (network) => (network.conditions?.length > 1 ? "Several maps at a time; each can be left out" : short(conditionOf(network.condition ?? network.conditions?.[0])?.summary) ?? network.name);

function AddControl({ first }) {
  const [open, setOpen] = useState(false);
  const add = (network) => (addControl(network), setOpen(false));
  if (!open && !first) return html`<button type="button" class="add" onClick=${() => setOpen(true)}><${Icon} name="plus" />Add a control</button>`;
  return html`<div class="card chooser"><h3>${first ? "What should the picture follow?" : "Add a control"}</h3>
    <ul>${networks.value.map((one) => html`<li key=${one.name}><button type="button" class="plain" onClick=${() => add(one)}><strong><${NetworkName} network=${one} /></strong>
      <small>${summaryOf(one)}</small></button></li>`)}</ul>
    ${networks.value.length === 0 && html`<p class="small">The server lists no ControlNet for this base.</p>`}
    ${!first && html`<button type="button" class="plain" onClick=${() => setOpen(false)}>Cancel</button>`}</div>`;
}
