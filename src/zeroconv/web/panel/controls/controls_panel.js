// The stack of controls, and adding one.
import { html, useState } from "../lib/html.js";
import { Icon } from "../lib/icons.js";
import { setControls } from "../state/history.js";
import { conditionOf, controls, networks, newControl, tab } from "../state/store.js";
import { ControlCard } from "./control_card.js";
import { givePicture } from "./picture_input.js";

export function addControl(network, more) {
  const control = newControl(network, more);
  setControls([...controls.value, control]);
  return control.id;
}

// the control that a pasted picture is for: the one with the focus, or the last without a picture, or a new one
export function giveToSomeControl(blob) {
  const focused = document.activeElement?.closest("[data-control]")?.dataset.control;
  const empty = controls.value.findLast((one) => (one.ready ? !one.map : !one.image))?.id;
  const id = focused ?? empty ?? (networks.value[0] && addControl(networks.value[0]));
  if (id) givePicture(id, blob);
  tab.value = "controls";
}

export function ControlsPanel() {
  const list = controls.value;
  return html`<section class="controls" aria-labelledby="controls-title"><header class="section"><h2 id="controls-title">Controls</h2>
      ${list.length > 0 && html`<small>${list.filter((one) => one.on).length} of ${list.length} on</small>`}</header>
    ${list.map((one) => html`<${ControlCard} key=${one.id} control=${one} />`)}
    <${AddControl} first=${list.length === 0} /></section>`;
}

const short = (summary) => summary.replace(/ \(.*\)$/, ""); // without the extractors' names

const ofRun = (name) => (name.startsWith("run:") ? `, of ${name.slice(4)}` : "");

function AddControl({ first }) {
  const [open, setOpen] = useState(false);
  const add = (network) => (addControl(network), setOpen(false));
  if (!open && !first) return html`<button type="button" class="add" onClick=${() => setOpen(true)}><${Icon} name="plus" />Add a control</button>`;
  return html`<div class="card chooser"><h3>${first ? "What should the picture follow?" : "Add a control"}</h3>
    <ul>${networks.value.map((one) => {
      const condition = conditionOf(one.condition ?? one.conditions?.[0]);
      return html`<li key=${one.name}><button type="button" class="plain" onClick=${() => add(one)}><strong>${condition?.title ?? one.name}${ofRun(one.name)}</strong>
        <small>${short(condition?.summary ?? one.name)}</small></button></li>`;
    })}</ul>
    ${networks.value.length === 0 && html`<p class="small">The server lists no ControlNet for this base.</p>`}
    ${!first && html`<button type="button" class="plain" onClick=${() => setOpen(false)}>Cancel</button>`}</div>`;
}
