// Skeletons: 18 points a person as [x, y, visible], drawn as `zeroconv.conditions.openpose.drawing` draws them.
import { canvasOf, pen } from "../lib/pictures.js";
import { options } from "../state/store.js";

export const JOINTS = [
  "nose", "neck", "right shoulder", "right elbow", "right wrist", "left shoulder", "left elbow", "left wrist",
  "right hip", "right knee", "right ankle", "left hip", "left knee", "left ankle", "right eye", "left eye", "right ear", "left ear",
];
const LIMBS = [
  [1, 2], [1, 5], [2, 3], [3, 4], [5, 6], [6, 7], [1, 8], [8, 9], [9, 10],
  [1, 11], [11, 12], [12, 13], [1, 0], [0, 14], [14, 16], [0, 15], [15, 17],
];
const COLOURS = [
  "#ff0000", "#ff5500", "#ffaa00", "#ffff00", "#aaff00", "#55ff00", "#00ff00", "#00ff55", "#00ffaa",
  "#00ffff", "#00aaff", "#0055ff", "#0000ff", "#5500ff", "#aa00ff", "#ff00ff", "#ff00aa", "#ff0055",
];
const BRIGHTNESS = 0.6; // of a limb's colour against its joint's
const SOFT = 1; // pixels that OpenCV's smooth edges add to a width
const SMALL = 256; // pixels of the shorter side up to which limbs are straight and thin

// right and left of a person, exchanged by a mirror
export const SWAPPED = [0, 1, 5, 6, 7, 2, 3, 4, 11, 12, 13, 8, 9, 10, 15, 14, 17, 16];
const STANDING = [
  [0.5, 0.16], [0.5, 0.27], [0.42, 0.27], [0.38, 0.41], [0.37, 0.54], [0.58, 0.27], [0.62, 0.41], [0.63, 0.54],
  [0.45, 0.54], [0.44, 0.73], [0.43, 0.92], [0.55, 0.54], [0.56, 0.73], [0.57, 0.92], [0.48, 0.14], [0.52, 0.14], [0.455, 0.155], [0.545, 0.155],
];

export const limbs = () => options.value?.skeleton?.limbs ?? LIMBS;
export const colours = () => options.value?.skeleton?.colors ?? COLOURS;
export const dim = (colour) => `rgb(${[1, 3, 5].map((at) => Math.floor(parseInt(colour.slice(at, at + 2), 16) * BRIGHTNESS)).join(" ")})`;

// a person on the middle of the picture, or beside it
export function standing(width, height, shift = 0) {
  const tall = Math.min(height, width * 1.3);
  return STANDING.map(([x, y]) => [width * (0.5 + shift) + (x - 0.5) * tall, (height - tall) / 2 + y * tall, 1]);
}

export function mirrored(person) {
  const seen = person.filter((joint) => joint[2]);
  const middle = seen.reduce((sum, joint) => sum + joint[0], 0) / Math.max(1, seen.length);
  return SWAPPED.map((at) => [2 * middle - person[at][0], person[at][1], person[at][2]]);
}

export function limbWidth(width, height) {
  const side = Math.min(width, height);
  return side <= SMALL ? Math.max(1, Math.round(side / 64)) : 8;
}

// the pose map as ImageData
export function drawPose(people, width, height) {
  const context = pen(canvasOf(width, height));
  const thin = Math.min(width, height) <= SMALL;
  const thick = limbWidth(width, height);
  context.fillStyle = "#000000";
  context.fillRect(0, 0, width, height);
  for (const person of people) {
    limbs().forEach(([a, b], at) => drawLimb(context, person[a], person[b], dim(colours()[at]), thick, thin));
    person.forEach(([x, y, visible], at) => visible && disc(context, x, y, (thin ? 0.8 * thick : thick / 2) + SOFT / 2, colours()[at]));
  }
  return context.getImageData(0, 0, width, height);
}

function drawLimb(context, [ax, ay, a], [bx, by, b], colour, thick, thin) {
  if (!a || !b) return;
  context.beginPath();
  if (thin) {
    Object.assign(context, { strokeStyle: colour, lineWidth: thick + SOFT, lineCap: "round" });
    context.moveTo(ax + 0.5, ay + 0.5);
    context.lineTo(bx + 0.5, by + 0.5);
    context.stroke();
  } else {
    context.fillStyle = colour;
    context.ellipse((ax + bx) / 2, (ay + by) / 2, Math.hypot(bx - ax, by - ay) / 2, thick / 2, Math.atan2(by - ay, bx - ax), 0, 2 * Math.PI);
    context.fill();
  }
}

function disc(context, x, y, radius, colour) {
  context.beginPath();
  context.fillStyle = colour;
  context.arc(x + 0.5, y + 0.5, radius, 0, 2 * Math.PI);
  context.fill();
}

// OpenPose JSON, as its own program and most tools write it
export const toJson = (people, width, height) => ({
  version: 1.3, canvas_width: width, canvas_height: height,
  people: people.map((person) => ({ pose_keypoints_2d: person.flatMap(([x, y, visible]) => (visible ? [x, y, 1] : [0, 0, 0])) })),
});

// fits another size; several documents in a list are read as one
export function fromJson(document, width, height) {
  const found = Array.isArray(document) ? document[0] : document;
  if (!Array.isArray(found?.people)) throw new Error("this is no OpenPose JSON: it has no list of people");
  const [across, down] = [found.canvas_width ?? width, found.canvas_height ?? height];
  const people = found.people.map(({ pose_keypoints_2d: numbers }) => {
    if (!Array.isArray(numbers) || numbers.length % 3 || numbers.length < 54) throw new Error("expected 18 points a person, each x, y and confidence");
    const points = Array.from({ length: numbers.length / 3 }, (_, at) => numbers.slice(3 * at, 3 * at + 3));
    const body = points.length === 25 ? [...points.slice(0, 8), ...points.slice(9, 15), ...points.slice(15, 19)] : points.slice(0, 18);
    const share = body.every(([x, y]) => x <= 1 && y <= 1); // some tools write parts of the picture
    return body.map(([x, y, sure]) => [share ? x * width : (x * width) / across, share ? y * height : (y * height) / down, sure > 0 ? 1 : 0]);
  });
  if (!people.length) throw new Error("there is nobody in this file");
  return people;
}
