// The curves of a run: how well its pictures obey their maps, and its loss.
import { html, useMemo, useState } from "../lib/html.js";
import { Chart, joinLines } from "./chart.js";
import { goesOn } from "./state.js";
import { exact, shareOf, whole } from "./words.js";

const column = (probes, name) => probes.filter((one) => one[name] !== null).map((one) => [one.step, one[name]]);

// the part of the losses that says something: single ones are wild
const quantile = (values, share) => values.toSorted((one, other) => one - other)[Math.min(values.length - 1, Math.floor(share * values.length))];

const Key = ({ kind, children }) => html`<li><i class=${`key ${kind}`} aria-hidden="true"></i>${children}</li>`;

export function Fidelity({ run }) {
  const { probes, jump, steps } = run;
  const [at, setAt] = useState(null);
  const data = useMemo(() => joinLines(["low", "high", "without_prompt", "fidelity"].map((name) => column(probes, name))), [probes]);
  const last = probes.at(-1);
  const marks = useMemo(() => (last ? [{ y: last.uncontrolled, name: "without control", below: true }, { y: last.ceiling, name: "best possible" }] : []).filter((one) => one.y !== null), [probes]);
  if (!last) return html`<section class="card panel"><h3>Fidelity</h3><p class="small">The first probe makes pictures of maps that are never trained on, and measures how well they obey. ${goesOn(run) ? "It is on its way." : "There was none."}</p></section>`;
  const looked = (at !== null && probes.find((one) => one.step === data[0][at])) || last;
  const share = shareOf(looked);
  const edge = marks.map((one) => one.y);
  const range = (low, high) => {
    const [from, to] = [Math.min(low ?? 0, ...edge), Math.max(high ?? 1, ...edge)];
    const room = (to - from) * 0.1 || 0.05;
    return [Math.max(0, from - room), Math.min(1.02, to + room)];
  };
  const said = `${exact(looked.fidelity)} at step ${whole(looked.step)}`;
  return html`<section class="card panel" aria-labelledby="fidelity-title"><header><h3 id="fidelity-title">Fidelity <small>${last.measure}</small></h3>
      <p class="readout"><strong>${exact(looked.fidelity)}</strong>${looked.low !== null && html`<small>95 % ${exact(looked.low)} to ${exact(looked.high)}</small>`}<small>step ${whole(looked.step)}</small></p></header>
    ${share !== null && html`<p class="small">${share} % of the way from pictures without control to the best possible ones.</p>`}
    <${Chart} label=${`Fidelity over ${whole(steps)} steps: ${said}; without control ${exact(last.uncontrolled)}, best possible ${exact(last.ceiling)}`}
      data=${data} steps=${steps} height=${270} marks=${marks} jump=${jump} range=${range} band=${[2, 1]} say=${setAt}
      series=${[{ color: "accent", hidden: true }, { color: "accent", hidden: true }, { color: "soft", width: 1.5, dash: [6, 4] }, { color: "accent", dots: true }]} />
    <ul class="keys"><${Key} kind="solid">with its prompt, 95 % interval<//><${Key} kind="dashed">with an empty prompt<//>${jump && html`<${Key} kind="jump">took hold<//>`}</ul>
    <details><summary>All probes</summary><div class="scroll"><table><thead><tr><th scope="col">Step</th><th scope="col">Fidelity</th><th scope="col">95 % interval</th><th scope="col">Empty prompt</th><th scope="col">Held-out loss</th></tr></thead>
      <tbody>${probes.toReversed().map((one) => html`<tr key=${one.step}><td>${whole(one.step)}</td><td>${exact(one.fidelity)}</td><td>${exact(one.low)} to ${exact(one.high)}</td><td>${exact(one.without_prompt)}</td><td>${one.held_out_loss === null ? "–" : one.held_out_loss.toPrecision(3)}</td></tr>`)}</tbody></table></div></details></section>`;
}

export function Loss({ run }) {
  const { losses, means, probes, steps } = run;
  const data = useMemo(() => joinLines([losses, means, column(probes, "held_out_loss")]), [run]);
  if (!losses.length) return null;
  const values = losses.map(([, value]) => value);
  const others = [...means, ...column(probes, "held_out_loss")].map(([, value]) => value);
  const [from, to] = [Math.min(quantile(values, 0.02), ...others), Math.max(quantile(values, 0.95), ...others)];
  const range = () => [Math.max(0, from - (to - from) * 0.1), to + (to - from) * 0.1 || 1];
  return html`<section class="card panel loss" aria-labelledby="loss-title"><header><h3 id="loss-title">Loss</h3></header>
    <p class="small">It hardly tells whether a control takes hold; fidelity does.</p>
    <${Chart} label=${`Loss over steps, smoothed: ${means.at(-1)?.[1].toPrecision(3)}`} data=${data} steps=${steps} height=${180} range=${range}
      series=${[{ color: "strong", width: 0.5 }, { color: "ink", width: 1.5 }, { color: "accent", width: 1.5, dots: true }]} />
    <ul class="keys"><${Key} kind="ink">training, smoothed<//><${Key} kind="solid">held out<//></ul></section>`;
}
