// Where a control's picture comes from: drop, paste, a file, the camera, or drawing.
import { html, useState } from "../lib/html.js";
import { Icon } from "../lib/icons.js";
import { pictureUrl, sendPicture } from "../lib/api.js";
import { attempt } from "../lib/notices.js";
import { chooseFile, picturesIn } from "../lib/pictures.js";
import { setControl } from "../state/history.js";
import { changeControl, findControl, mapOf } from "../state/store.js";
import { startDrawing } from "../editor/editor.js";
import { Camera } from "./camera.js";
import { checkControl } from "./checks.js";

// gives a control a picture, as a picture to extract from or as a ready map
export const givePicture = attempt(async (id, blob) => {
  const found = await sendPicture(blob);
  givePictureId(id, found.id);
});

export function givePictureId(id, picture) {
  const control = findControl(id);
  if (!control) return;
  setControl(id, control.ready ? { map: picture, people: null } : { image: picture });
  if (control.ready) attempt(checkControl)(id);
}

export function setReady(id, ready) {
  const control = findControl(id);
  setControl(id, { ready, ...(ready && !control.map && control.extracted?.map && { map: control.extracted.map }) });
  attempt(checkControl)(id);
}

// draws on what is there: an extracted map becomes a ready one
export function drawOn(id) {
  const control = findControl(id);
  if (!control.ready) changeControl(id, { map: control.extracted?.map ?? control.map });
  startDrawing(id);
}

export function PictureInput({ control }) {
  const [over, setOver] = useState(false);
  const [camera, setCamera] = useState(false);
  const { id, ready } = control;
  const map = mapOf(control);
  const choose = async () => {
    const file = await chooseFile();
    if (file) givePicture(id, file);
  };
  const drop = (event) => {
    const [file] = picturesIn(event.dataTransfer);
    setOver(false);
    if (!file) return;
    event.preventDefault();
    event.stopPropagation();
    givePicture(id, file);
  };
  const drag = (event) => (event.preventDefault(), event.stopPropagation(), setOver(true));
  const shown = ready ? [[map, "Map"]] : [[control.image, "Picture"], [map, "Map"]];
  return html`<div class=${`input${over ? " over" : ""}`} onDragOver=${drag} onDragLeave=${() => setOver(false)} onDrop=${drop}>
    ${shown.some(([picture]) => picture) ? html`<div class="pair">${shown.map(([picture, title]) => html`<figure key=${title} class=${title === "Map" && control.extracting ? "busy" : ""}>
        ${picture ? html`<img src=${pictureUrl(picture)} alt=${`${title} of this control`} />` : html`<span class="nothing"></span>`}<figcaption>${title}</figcaption></figure>`)}</div>`
    : html`<p class="invite"><strong>Drop or paste a picture</strong><small>${ready ? "a ready map" : "its map is extracted"}, or draw one</small></p>`}
    <div class="ways"><button type="button" onClick=${choose}><${Icon} name="upload" />File</button>
      <button type="button" onClick=${() => setCamera(true)}><${Icon} name="camera" />Camera</button>
      <button type="button" onClick=${() => drawOn(id)}><${Icon} name="brush" />${map ? "Edit" : "Draw"}</button></div>
    ${camera && html`<${Camera} onPicture=${(blob) => givePicture(id, blob)} onClose=${() => setCamera(false)} />`}
  </div>`;
}
