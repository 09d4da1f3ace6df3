// The service's routes. A refusal becomes a Refusal with the server's own words and the field that they are about.
const ROOT = "/api/v1";

export class Refusal extends Error {
  constructor(status, { code = "", message = "", field = null, hint = null } = {}, wait = 0) {
    super(message || `the server answered ${status}`);
    Object.assign(this, { status, code, field, hint, wait });
  }
}

async function ask(path, init = {}) {
  let reply;
  try {
    reply = await fetch(ROOT + path, init);
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Refusal(0, { code: "network", message: "the server does not answer", hint: "is `zeroconv serve` still running?" });
  }
  if (reply.ok) return reply;
  const said = await reply.json().catch(() => ({}));
  throw new Refusal(reply.status, said.error ?? {}, Number(reply.headers.get("Retry-After")) || 0);
}

const json = (path, method, body, more = {}) =>
  ask(path, { method, headers: { "Content-Type": "application/json" }, body: JSON.stringify(body), ...more }).then((reply) => reply.json());
const bytes = (path, blob, type) =>
  ask(path, { method: "POST", headers: { "Content-Type": type ?? blob.type }, body: blob }).then((reply) => reply.json());

export const readOptions = () => ask("/options").then((reply) => reply.json());
export const sendPicture = (blob) => bytes("/pictures", blob);
export const extractMap = (body) => json("/extract", "POST", body);
export const checkMap = (condition, map) => json("/check", "POST", { condition, map: named(map) }).then((said) => said.warnings);
export const readSceneChoices = () => ask("/scene").then((reply) => reply.json());
export const randomScene = (kind) => ask(`/scene/random${kind ? `?kind=${kind}` : ""}`).then((reply) => reply.json());
export const renderScene = (body, signal) => json("/scene", "POST", body, { signal });
export const generate = (request) => json("/generations", "POST", request);
export const readGeneration = (id) => ask(`/generations/${id}`).then((reply) => reply.json());
export const cancelGeneration = (id) => ask(`/generations/${id}`, { method: "DELETE" }).then((reply) => reply.json());
export const recall = (blob) => bytes("/recall", blob, "image/png").then((said) => said.request);
export const forgetPicture = (id) => ask(`/gallery/${id}`, { method: "DELETE" });
export const readGallery = (query, before) => {
  const asked = new URLSearchParams({ limit: "40" });
  if (query) asked.set("query", query);
  if (before) asked.set("before", before);
  return ask(`/gallery?${asked}`).then((reply) => reply.json());
};

export const readRuns = () => ask("/runs").then((reply) => reply.json());
export const startRun = (request) => json("/runs", "POST", request);
export const readRun = (id) => ask(`/runs/${id}`).then((reply) => reply.json());
export const askRun = (id, action) => json(`/runs/${id}/${action}`, "POST", {});
export const forgetRun = (id) => ask(`/runs/${id}`, { method: "DELETE" });
export const sheetUrl = (id, name) => `${ROOT}/runs/${id}/samples/${name}`;

export const eventsOf = (id) => new EventSource(`${ROOT}/generations/${id}/events`);
export const pictureUrl = (id, width = 0) => `${ROOT}/pictures/${id}${width ? `?width=${width}` : ""}`;
export const fileUrl = (id) => `${ROOT}/gallery/${id}/file`;
export const pictureBlob = (id) => ask(`/pictures/${id}`).then((reply) => reply.blob());

// "picture:ID" in requests, ID on the page
export const named = (id) => (id ? `picture:${id}` : null);
export const unnamed = (text) => (text?.startsWith("picture:") ? text.slice(8) : null);
