// The middle of the page while a control is drawn.
import { html, useEffect, useState } from "../lib/html.js";
import { Icon } from "../lib/icons.js";
import { attempt, tellError } from "../lib/notices.js";
import { findControl, settings, size, stage, tab } from "../state/store.js";
import { openDrawing, openPose, save, saving, titleOf } from "./desk.js";
import { PoseEditor } from "./pose_editor.js";
import { RasterEditor } from "./raster_editor.js";
import { kindOf } from "./kinds.js";

export function startDrawing(control, what = "map") {
  stage.value = { kind: "draw", control, what };
  tab.value = "picture";
}

export function Editor() {
  const { control: id, what } = stage.value;
  const control = findControl(id);
  const [entry, setEntry] = useState(null);
  const [width, height] = size.value;
  const pose = what === "map" && kindOf(control?.condition).ink === "pose";

  useEffect(() => {
    let left = false;
    setEntry(null);
    if (what !== "inpaint" && !control) return void (stage.value = { kind: "result" });
    const opened = pose ? Promise.resolve(openPose(id)) : openDrawing(id, what, control?.condition);
    opened.then((found) => left || setEntry(found)).catch(tellError);
    return () => (left = true);
  }, [id, what, width, height, pose, control === undefined]);

  const done = attempt(async () => {
    if (entry) await save(entry);
    stage.value = { kind: "result" };
  });
  const underlay = what === "inpaint" ? settings.value.init_image : control?.image;
  return html`<section class="drawing" aria-label="Drawing">
    <header><h3>${titleOf(id, what)}</h3><small>${width} × ${height}${saving.value > 0 ? " · keeping…" : ""}</small>
      <button type="button" class="primary" onClick=${done}><${Icon} name="check" />Done</button></header>
    ${entry && (entry.pose ? html`<${PoseEditor} key="pose" entry=${entry} underlay=${underlay} />` : html`<${RasterEditor} key=${`${id} ${what}`} entry=${entry} underlay=${underlay} />`)}
  </section>`;
}
