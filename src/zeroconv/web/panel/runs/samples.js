// The sheets of a run's probes: the newest, or an earlier one.
import { html, useState } from "../lib/html.js";
import { sheetUrl } from "../lib/api.js";
import { Slider } from "../lib/fields.js";
import { whole } from "./words.js";

const stepOf = (name) => Number(name.slice(5, -4));

export function Samples({ run }) {
  const { sheets } = run;
  const [kept, setKept] = useState(null); // null follows the newest
  if (!sheets.length) return null;
  const at = kept === null || kept >= sheets.length ? sheets.length - 1 : kept;
  const step = whole(stepOf(sheets[at]));
  const address = sheetUrl(run.id, sheets[at]);
  return html`<section class="card panel samples" aria-labelledby="samples-title"><header><h3 id="samples-title">Samples</h3>
      <p class="readout"><small>step ${step}${at === sheets.length - 1 ? ", the newest" : ""}</small></p></header>
    <a href=${address} target="_blank" rel="noopener"><img src=${address} alt=${`Samples at step ${step}: true pictures, their maps, and what is made without and with the control`} /></a>
    ${sheets.length > 1 && html`<${Slider} label="Probe" value=${at + 1} min=${1} max=${sheets.length} onInput=${(number) => setKept(number === sheets.length ? null : number - 1)} />`}
    <p class="small">True pictures, their maps, and pictures made without and with the control. None of them is trained on.</p></section>`;
}
