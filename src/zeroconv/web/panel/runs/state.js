// Runs as the server has them: the list, the one that is looked at, and what is asked of it.
import { computed, signal, useEffect } from "../lib/html.js";
import { askRun, forgetRun, readOptions, readRun, readRuns, startRun } from "../lib/api.js";
import { tell, tellError } from "../lib/notices.js";
import { addControl } from "../controls/controls_panel.js";
import { set } from "../state/history.js";
import { controls, networks, options, settings, stage, tab } from "../state/store.js";

const OFTEN = 2000; // milliseconds between looks at a run that goes on
const SELDOM = 8000;
export const NEW = "new";
export const list = signal(null); // {runs, data}
export const chosen = signal(null); // a run's id, or NEW; null shows the newest where there is room
export const run = signal(null); // all of the one that is looked at
export const goesOn = (one) => one.status === "running" || one.status === "starting";
export const shown = computed(() => chosen.value ?? list.value?.runs[0]?.id ?? NEW);

let failed = false;
async function look() {
  try {
    list.value = await readRuns();
    const id = shown.value;
    if (id !== NEW) {
      const found = await readRun(id);
      if (id === shown.value) run.value = found;
    }
    failed = false;
  } catch (error) {
    if (!failed) tellError(error); // once, until the server answers again
    failed = true;
    if (error.status === 404) chosen.value = null;
  }
}

// looks again and again while the place is open
export function useRuns() {
  useEffect(() => {
    let timer = null;
    let open = true;
    const again = async () => {
      await look();
      if (open) timer = setTimeout(again, !document.hidden && list.value?.runs.some(goesOn) ? OFTEN : SELDOM);
    };
    again();
    return () => {
      open = false;
      clearTimeout(timer);
    };
  }, []);
}

export function choose(id) {
  chosen.value = id;
  if (id !== run.value?.id) run.value = null;
  if (id !== null && id !== NEW) look();
}

export async function begin(request) {
  const made = await startRun(request);
  run.value = made;
  chosen.value = made.id;
  await look();
}

const SAID = { stop: "Stopping after this step; what is learnt is kept", probe: "Sampling after this step", save: "Saving after this step", resume: "Going on" };

export async function act(id, action) {
  const found = await askRun(id, action);
  if (found.id === shown.value) run.value = found;
  tell(SAID[action]);
}

export async function remove(id) {
  await forgetRun(id);
  list.value = { ...list.value, runs: list.value.runs.filter((one) => one.id !== id) };
  chosen.value = run.value = null;
  await look();
  tell(`${id} is deleted`);
}

// the run's network as it is now, among the controls of the first place
export async function tryControl(one, back) {
  options.value = await readOptions();
  if (settings.value.base !== one.request.base) set("base", one.request.base);
  const network = networks.value.find((known) => known.name === one.control);
  if (!network) throw new Error("the server does not list the control of this run");
  if (!controls.value.some((known) => known.network === network.name)) addControl(network);
  stage.value = { kind: "result" };
  tab.value = "controls";
  back();
  tell(`The control of ${one.id}, as of now, is among your controls`);
}
