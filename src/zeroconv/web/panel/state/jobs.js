// Jobs of this tab: sent, followed by server-sent events, cancelled. The page is never locked while one runs.
import { computed, signal } from "../lib/html.js";
import { cancelGeneration, eventsOf, generate, readGeneration } from "../lib/api.js";
import { tell, tellError } from "../lib/notices.js";

export const jobs = signal([]); // {id, state, position, step, steps, began, request, results, error, grid}
export const previews = signal({}); // by job: canvases by number of picture
export const results = signal([]); // pictures of this tab, newest first
export const chosen = signal(null); // the picture that is looked at
const ENDED = new Set(["done", "failed", "cancelled"]);
const PLACE = "zeroconv.jobs";
const sources = new Map();

export const active = computed(() => jobs.value.filter((one) => !ENDED.has(one.state)));
export const running = computed(() => active.value.find((one) => one.state === "running") ?? active.value[0] ?? null);

export const change = (id, more) => (jobs.value = jobs.value.map((one) => (one.id === id ? { ...one, ...more } : one)));
const keep = () => sessionStorage.setItem(PLACE, JSON.stringify(active.value.map((one) => one.id)));
const jobOf = (id) => jobs.value.find((one) => one.id === id);

export async function send(request, more = {}) {
  const said = await generate(request);
  follow({ id: said.id, state: "queued", position: said.position ?? 0, step: 0, steps: request.num_inference_steps, request, results: [], ...more });
  return said.id;
}

export function follow(job) {
  jobs.value = [...jobs.value.slice(-199), job];
  keep();
  listen(job.id);
}

function listen(id) {
  const source = eventsOf(id);
  sources.set(id, source);
  const on = (name, act) => source.addEventListener(name, (event) => act(event.data ? JSON.parse(event.data) : {}));
  on("queued", ({ position }) => change(id, { position }));
  on("started", () => change(id, { state: "running", began: performance.now() }));
  on("step", ({ step, steps }) => change(id, { state: "running", step, steps, began: jobOf(id)?.began ?? performance.now() }));
  on("preview", (said) => showPreview(id, said));
  on("message", ({ text, level }) => tell(text, { level }));
  on("result", (result) => keepResult(id, result));
  on("done", () => end(id, "done"));
  on("cancelled", () => end(id, "cancelled"));
  on("failed", ({ error }) => (end(id, "failed", error), tellError(error ?? new Error("the job failed"))));
  source.onerror = () => source.readyState === EventSource.CLOSED && lookUp(id);
}

// pictures come as text, and a strict page loads none from there: they are decoded and drawn
async function showPreview(id, { picture = 0, image }) {
  const bytes = Uint8Array.from(atob(image.slice(image.indexOf(",") + 1)), (letter) => letter.charCodeAt(0));
  const bitmap = await createImageBitmap(new Blob([bytes]));
  if (ENDED.has(jobOf(id)?.state)) return bitmap.close();
  previews.value[id]?.[picture]?.close();
  previews.value = { ...previews.value, [id]: { ...previews.value[id], [picture]: bitmap } };
}

function keepResult(id, result) {
  const job = jobOf(id);
  if (!job || job.results.some((one) => one.picture === result.picture && one.seed === result.seed)) return; // after a reconnection
  const entry = { ...result, id: result.id ?? result.picture, job: id, prompt: job.request?.prompt ?? "", request: job.request };
  change(id, { results: [...job.results, entry] });
  results.value = [entry, ...results.value];
  if (!job.grid && (job.results.length === 0 || !chosen.value)) chosen.value = entry;
}

function end(id, state, error = null) {
  sources.get(id)?.close();
  sources.delete(id);
  Object.values(previews.value[id] ?? {}).forEach((bitmap) => bitmap.close());
  const { [id]: _, ...rest } = previews.value;
  previews.value = rest;
  change(id, { state, error });
  keep();
}

// the stream ended without a last word: the server knows, or will when its database answers again
async function lookUp(id, isKnown = false) {
  const later = (act, seconds) => setTimeout(() => ENDED.has(jobOf(id)?.state) || act(), 1000 * seconds);
  try {
    const found = await readGeneration(id);
    found.results?.forEach((one) => keepResult(id, one));
    if (ENDED.has(found.state)) end(id, found.state, found.error);
    else later(() => listen(id), 1);
  } catch (error) {
    if (error.status === 503 || error.status === 0) {
      if (!isKnown) tellError(error);
      return later(() => lookUp(id, true), error.wait || 2);
    }
    end(id, "failed", error);
    tellError(error);
  }
}

export async function cancel(id) {
  change(id, { cancelling: true });
  try {
    await cancelGeneration(id);
  } catch (error) {
    if (error.status !== 404 && error.status !== 409) {
      change(id, { cancelling: false });
      return tellError(error);
    }
  }
  if (!ENDED.has(jobOf(id)?.state)) end(id, "cancelled");
}

export const cancelAll = () => Promise.all(active.value.map((one) => cancel(one.id)));

// seconds that a job still takes, from the steps done; null before anything is known
export function timeLeft(job) {
  if (!job?.began || job.step < 2) return null;
  return ((performance.now() - job.began) / job.step) * (job.steps - job.step) / 1000;
}

// a reloaded page follows what it had asked for
export async function resume() {
  const ids = JSON.parse(sessionStorage.getItem(PLACE) ?? "[]");
  for (const id of ids) {
    try {
      const { results: _, ...found } = await readGeneration(id);
      follow({ step: 0, steps: 0, position: 0, ...found, results: [], state: ENDED.has(found.state) ? "running" : found.state });
    } catch {
      // the server was started anew and knows nothing of it
    }
  }
}
