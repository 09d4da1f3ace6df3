// What can be done with a picture that is there.
import { html, useState } from "../lib/html.js";
import { Icon } from "../lib/icons.js";
import { Dialog } from "../lib/fields.js";
import { fileUrl } from "../lib/api.js";
import { tell } from "../lib/notices.js";
import { addControl } from "../controls/controls_panel.js";
import { set, undo } from "../state/history.js";
import { applyRequest } from "../state/request.js";
import { conditionOf, networks, requestFields, stage, tab } from "../state/store.js";
import { startDrawing } from "../editor/editor.js";

export function PictureActions({ picture }) {
  const [choosing, setChoosing] = useState(false);
  const id = picture.picture ?? picture.id;
  const fields = requestFields.value;
  const begin = (inpaint) => {
    set("init_image", id);
    set("mask_image", null);
    tab.value = "settings";
    if (inpaint) startDrawing("page", "inpaint");
    else tell("The next picture begins from this one", { action: { title: "Undo", run: undo } });
  };
  const again = () => {
    applyRequest(picture.request);
    tell("All settings of this picture are back", { action: { title: "Undo", run: undo } });
  };
  return html`<div class="actions">
    <a class="button" href=${fileUrl(picture.id)} download=${`zeroconv-${picture.seed}.png`}><${Icon} name="download" />Download</a>
    <button type="button" onClick=${() => setChoosing(true)}><${Icon} name="layers" />Use as control</button>
    ${picture.request && html`<button type="button" onClick=${again}><${Icon} name="undo" />Recall</button>`}
    ${"init_image" in fields && html`<button type="button" onClick=${() => begin(false)}><${Icon} name="picture" />Image to image</button>`}
    ${"mask_image" in fields && html`<button type="button" onClick=${() => begin(true)}><${Icon} name="brush" />Inpaint</button>`}
    ${choosing && html`<${UseAsControl} id=${id} onClose=${() => setChoosing(false)} />`}</div>`;
}

function UseAsControl({ id, onClose }) {
  const use = (network) => {
    addControl(network, { image: id });
    Object.assign(stage, { value: { kind: "result" } });
    tab.value = "controls";
    onClose();
  };
  return html`<${Dialog} title="Use as control" onClose=${onClose}><p class="small">Its map is read from this picture.</p><ul class="choices">
    ${networks.value.map((one) => html`<li key=${one.name}><button type="button" onClick=${() => use(one)}>${conditionOf(one.condition ?? one.conditions?.[0])?.title ?? one.name}</button></li>`)}</ul><//>`;
}
