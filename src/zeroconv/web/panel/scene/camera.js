// The camera's geometry, as the server's renderer has it: x right, y up, z away; metres and degrees.
const RADIANS = Math.PI / 180;
const NEAR = 0.05;
const FARTHEST = 60; // metres a thing can be dragged away

const dot = (a, b) => a[0] * b[0] + a[1] * b[1] + a[2] * b[2];
const cross = (a, b) => [a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]];
const unit = (a) => a.map((one) => one / Math.hypot(...a));

export function eyeOf({ x, z, distance, angle, height }) {
  return [x + distance * Math.sin(angle * RADIANS), height, z - distance * Math.cos(angle * RADIANS)];
}

// a view of a picture `width` by `height`: points to places in it, 0 to 1 from its top left, and back to the ground
export function viewOf(camera, width, height) {
  const eye = eyeOf(camera);
  const forward = unit([camera.x - eye[0], camera.aim - eye[1], camera.z - eye[2]]);
  const right = unit(cross([0, 1, 0], forward));
  const up = cross(forward, right);
  const focal = 1 / Math.tan((camera.field_of_view * RADIANS) / 2);
  const [across, down] = [width / Math.min(width, height), height / Math.min(width, height)];
  return {
    project(point) {
      const from = point.map((one, axis) => one - eye[axis]);
      const far = dot(from, forward);
      if (far < NEAR) return null;
      return [((dot(from, right) / far) * focal / across + 1) / 2, (1 - (dot(from, up) / far) * focal / down) / 2];
    },
    // where the ray through a place of the picture meets the level `y`; null above the horizon
    ground(u, v, y = 0) {
      const [a, b] = [((u * 2 - 1) * across) / focal, ((1 - v * 2) * down) / focal];
      const ray = forward.map((one, axis) => one + right[axis] * a + up[axis] * b);
      const far = (y - eye[1]) / ray[1];
      if (!(far > 0) || far * Math.hypot(...ray) > FARTHEST) return null;
      return [eye[0] + ray[0] * far, eye[2] + ray[2] * far];
    },
  };
}

// a point given along a thing's own axes, on the ground
export function toGround(one, x, z) {
  const [c, s] = [Math.cos((one.turn ?? 0) * RADIANS), Math.sin((one.turn ?? 0) * RADIANS)];
  return [one.x + c * x + s * z, one.z - s * x + c * z];
}

// the four corners of the ground that a thing covers
export function corners(one, { half, offset }) {
  return [[-1, -1], [1, -1], [1, 1], [-1, 1]].map(([a, b]) => toGround(one, offset[0] + a * half[0], offset[1] + b * half[1]));
}

export const turned = (degrees) => ((Math.round(degrees) + 540) % 360) - 180;
export const angleOf = (x, z) => Math.atan2(x, z) / RADIANS;
// the turn with which a thing looks from one place to another
export const facing = (from, to) => turned(angleOf(from[0] - to[0], from[1] - to[1]));
export const RAD = RADIANS;
