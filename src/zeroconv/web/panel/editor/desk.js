// The drawings of this tab by control, and their way to the server: what is drawn is sent before it is used.
import { sendPicture } from "../lib/api.js";
import { signal } from "../lib/html.js";
import { attempt } from "../lib/notices.js";
import { pngOf, readPicture } from "../lib/pictures.js";
import { conditionOf, controls, findControl, changeControl, settings, size } from "../state/store.js";
import { checkControl } from "../controls/checks.js";
import { Drawing } from "./drawing.js";
import { kindOf } from "./kinds.js";
import { drawPose, standing } from "./pose_drawing.js";

const desk = new Map(); // "control what": {drawing | pose, sent: version that the server has, source}
export const saving = signal(0);
const keyOf = (control, what) => `${control} ${what}`;

// a drawing for a control, begun from the picture it has; made anew when the size changed
export async function openDrawing(control, what, condition) {
  const key = keyOf(control, what);
  const [width, height] = size.value;
  const id = what === "inpaint" ? settings.value.mask_image : findControl(control)?.[what === "mask" ? "mask" : "map"];
  const found = desk.get(key);
  if (found && found.drawing.width === width && found.drawing.height === height && found.source === id) return found;
  const kind = kindOf(condition, what);
  const drawing = new Drawing(width, height, kind.ground, kind.paint);
  const entry = { drawing, kind, what, control, source: id, sent: 0 };
  if (id && kind.ink !== "hole") {
    drawing.load(await readPicture(id, width, height));
    drawing.past = []; // opening is no step
  }
  entry.sent = drawing.version.value; // nothing is sent until something is drawn
  desk.set(key, entry);
  return entry;
}

export function openPose(control) {
  const key = keyOf(control, "pose");
  const [width, height] = size.value;
  const known = findControl(control)?.people;
  const found = desk.get(key);
  if (found && found.width === width && found.height === height && found.people.value === known) return found;
  const people = signal(known ?? [standing(width, height)]);
  const entry = { people, width, height, what: "map", control, sent: null, pose: true };
  desk.set(key, entry);
  return entry;
}

export const openEntry = (control, what) => desk.get(keyOf(control, what));
const stale = (entry) => (entry.pose ? entry.people.value !== entry.sent : entry.drawing.version.value !== entry.sent);
const gone = (entry) => entry.what !== "inpaint" && !findControl(entry.control);

// sends what is newer than what the server has, one at a time
export async function save(entry) {
  await entry.sending?.catch(() => {});
  if (!stale(entry) || gone(entry)) return;
  entry.sending = send(entry);
  await entry.sending;
}

async function send(entry) {
  saving.value++;
  try {
    const version = entry.pose ? entry.people.value : entry.drawing.version.value;
    const pixels = entry.pose ? drawPose(entry.people.value, entry.width, entry.height) : await pixelsToSend(entry);
    const { id } = await sendPicture(await pngOf(pixels));
    entry.sent = version;
    entry.source = id;
    if (entry.what === "inpaint") settings.value = { ...settings.value, mask_image: id };
    else if (entry.what === "mask") changeControl(entry.control, { mask: id });
    else {
      changeControl(entry.control, { map: id, ready: true, ...(entry.pose && { people: entry.people.value }) });
      attempt(checkControl)(entry.control); // nobody waits for it
    }
  } finally {
    saving.value--;
  }
}

// a hole is transparent in the picture that is to be filled
async function pixelsToSend({ drawing, kind, control }) {
  if (kind.ink !== "hole") return drawing.flatten();
  const { image } = findControl(control);
  const found = image ? await readPicture(image, drawing.width, drawing.height) : new ImageData(drawing.width, drawing.height);
  const hole = new Uint32Array(drawing.flatten().data.buffer);
  hole.forEach((pixel, at) => (found.data[4 * at + 3] = pixel ? 0 : 255));
  return found;
}

export const saveAll = async () => {
  for (const [key, entry] of desk) {
    if (gone(entry)) desk.delete(key);
    else if (!entry.pose || controls.value.some((one) => one.id === entry.control && one.ready)) await save(entry);
  }
};

export const historyBytes = () => [...desk.values()].reduce((sum, { drawing }) => sum + (drawing?.bytes() ?? 0), 0);
export const titleOf = (control, what) => {
  const found = findControl(control);
  if (what === "inpaint") return "What to paint anew";
  const title = conditionOf(found?.condition)?.title ?? found?.network ?? "Drawing";
  return what === "mask" ? `Where “${title}” acts` : title;
};
