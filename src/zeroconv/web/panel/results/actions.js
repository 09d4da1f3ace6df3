// What can be done with a picture that is there.
import { html, useState } from "../lib/html.js";
import { Icon } from "../lib/icons.js";
import { Dialog } from "../lib/fields.js";
import { fileUrl } from "../lib/api.js";
import { tell } from "../lib/notices.js";
import { addControl, NetworkName } from "../controls/controls_panel.js";
import { setAll, undo } from "../state/history.js";
import { applyRequest } from "../state/request.js";
import { base, controls, networks, options, requestFields, settings, stage, tab } from "../state/store.js";
import { startDrawing } from "../editor/editor.js";
import { Upscale } from "./upscale.js";

// the next picture is as large as the one it begins from, if the server makes such ones
function sizeOf({ width, height }) {
  const { longest_side: most = Infinity, longest_tiled: tiled = most } = options.value.limits ?? {};
  if (Math.max(width, height) > (settings.value.tile ? tiled : most)) return settings.value.size;
  return width === base.value?.width && height === base.value?.height ? null : [width, height];
}

export function PictureActions({ picture }) {
  const [choosing, setChoosing] = useState(false);
  const [enlarging, setEnlarging] = useState(false);
  const id = picture.picture ?? picture.id;
  const fields = requestFields.value;
  const begin = (inpaint) => {
    setAll({ init_image: id, mask_image: null, size: sizeOf(picture) }, controls.value);
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
    ${"tile" in fields && html`<button type="button" onClick=${() => setEnlarging(true)}><${Icon} name="enlarge" />Upscale</button>`}
    ${enlarging && html`<${Upscale} picture=${picture} onClose=${() => setEnlarging(false)} />`}
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
    ${networks.value.map((one) => html`<li key=${one.name}><button type="button" onClick=${() => use(one)}><span><${NetworkName} network=${one} /></span></button></li>`)}</ul><//>`;
}
