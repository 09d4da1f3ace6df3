// Pictures as exact pixels. Colour management and premultiplied alpha would change values, so both are switched off.
import { pictureBlob, sendPicture } from "./api.js";

const EXACT = { colorSpaceConversion: "none", premultiplyAlpha: "none" };
export const TYPES = ["image/png", "image/jpeg", "image/webp"];

export function canvasOf(width, height) {
  const canvas = document.createElement("canvas");
  Object.assign(canvas, { width, height });
  return canvas;
}

export const pen = (canvas) => canvas.getContext("2d", { willReadFrequently: true, colorSpace: "srgb" });

// the pixels of a picture as ImageData; fitted into a size when one is told
export async function pixelsOf(blob, width, height) {
  const bitmap = await createImageBitmap(blob, EXACT);
  const canvas = canvasOf(width ?? bitmap.width, height ?? bitmap.height);
  const context = pen(canvas);
  const same = canvas.width === bitmap.width && canvas.height === bitmap.height;
  if (!same) Object.assign(context, { imageSmoothingEnabled: true, imageSmoothingQuality: "high" });
  context.drawImage(bitmap, 0, 0, canvas.width, canvas.height);
  bitmap.close();
  return context.getImageData(0, 0, canvas.width, canvas.height);
}

export function pngOf(pixels) {
  const canvas = canvasOf(pixels.width, pixels.height);
  pen(canvas).putImageData(pixels, 0, 0);
  return new Promise((resolve, reject) => canvas.toBlob((blob) => (blob ? resolve(blob) : reject(new Error("the picture is too large"))), "image/png"));
}

export const readPicture = async (id, width, height) => pixelsOf(await pictureBlob(id), width, height);

// a picture cut into so many columns of one width, in their order
export async function cutPicture(id, count) {
  const { data, width, height } = await readPicture(id);
  const across = width / count;
  return Promise.all(Array.from({ length: count }, async (_, at) => {
    const part = new ImageData(across, height);
    for (let y = 0; y < height; y++) part.data.set(data.subarray(4 * (y * width + at * across), 4 * (y * width + (at + 1) * across)), 4 * y * across);
    return (await sendPicture(await pngOf(part))).id;
  }));
}

export async function invertPicture(id) {
  const pixels = await readPicture(id);
  const { data } = pixels;
  for (let at = 0; at < data.length; at += 4) {
    for (let channel = 0; channel < 3; channel++) data[at + channel] = 255 - data[at + channel];
  }
  return sendPicture(await pngOf(pixels));
}

// pictures among what was dropped or pasted
export const picturesIn = (transfer) => [...(transfer?.files ?? [])].filter((file) => TYPES.includes(file.type));

export function chooseFile(accept = TYPES.join(",")) {
  return new Promise((resolve) => {
    const input = Object.assign(document.createElement("input"), { type: "file", accept });
    input.addEventListener("change", () => resolve(input.files[0] ?? null));
    input.addEventListener("cancel", () => resolve(null));
    input.click();
  });
}

export function saveFile(blob, name) {
  const link = Object.assign(document.createElement("a"), { href: URL.createObjectURL(blob), download: name });
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}
