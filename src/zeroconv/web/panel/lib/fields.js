// Form fields: each has a label, its value beside it, and one sentence where a name does not say enough.
import { html, useLayoutEffect, useRef } from "./html.js";

let count = 0;
export const useId = (start = "field") => {
  const id = useRef(null);
  id.current ??= `${start}-${++count}`;
  return id.current;
};

export const within = (value, low, high) => Math.min(high, Math.max(low, value));
const decimals = (step) => (String(step).split(".")[1] ?? "").length;

// a slider with its number; the number may go beyond the slider
export function Slider({ label, value, onInput, min, max, step = 1, hard = [min, max], note, unit = "", disabled }) {
  const id = useId();
  const put = (text) => {
    const number = Number(text);
    if (text !== "" && Number.isFinite(number)) onInput(within(number, hard[0], hard[1]));
  };
  return html`<div class="field slider">
    <label for=${id}>${label}</label>
    <input class="number" type="number" aria-label=${`${label}, exact`} value=${Number(value).toFixed(decimals(step))} min=${hard[0]} max=${hard[1]}
      step=${step} disabled=${disabled} onChange=${(event) => put(event.target.value)} />${unit && html`<span class="unit">${unit}</span>`}
    <input id=${id} type="range" min=${min} max=${max} step=${step} value=${value} disabled=${disabled} onInput=${(event) => put(event.target.value)} />
    ${note && html`<small>${note}</small>`}
  </div>`;
}

export function NumberField({ label, value, onInput, min, max, step = 1, note, placeholder, optional }) {
  const id = useId();
  const put = (event) => {
    const text = event.target.value.trim();
    if (text === "" && optional) return onInput(null);
    const number = Number(text);
    if (text !== "" && Number.isFinite(number)) onInput(within(number, min ?? -Infinity, max ?? Infinity));
    else event.target.value = value ?? "";
  };
  return html`<div class="field row"><label for=${id}>${label}</label>
    <input id=${id} class="number" type="number" value=${value ?? ""} min=${min} max=${max} step=${step} placeholder=${placeholder}
      onChange=${put} />
    ${note && html`<small>${note}</small>`}</div>`;
}

// choices of networks: of a path, whose end a narrow field would cut off, its last part where that says enough
const lastPart = (name) => (/^([/.~]|[A-Za-z]:)|[/\\].*[/\\]/.test(name) ? name.split(/[/\\]/).at(-1) : name);
export const nameChoices = (names) => names.map((name) => [name, names.filter((one) => lastPart(one) === lastPart(name)).length > 1 ? name : lastPart(name)]);

export function Select({ label, value, onInput, choices, note, hideLabel, title = null }) {
  const id = useId();
  const known = choices.some(([key]) => key === value);
  return html`<div class="field"><label for=${id} class=${hideLabel ? "visually-hidden" : ""}>${label}</label>
    <span class="select"><select id=${id} title=${title} onChange=${(event) => onInput(event.target.value)}>
      ${(known ? choices : [[value, String(value)], ...choices]).map(([key, words]) => html`<option key=${key} value=${key}
        selected=${key === value}>${words}</option>`)}
    </select></span>
    ${note && html`<small>${note}</small>`}</div>`;
}

export function Switch({ label, value, onInput, note, hideLabel }) {
  return html`<label class=${`switch${hideLabel ? " bare" : ""}`}><input type="checkbox" role="switch" checked=${value}
    onChange=${(event) => onInput(event.target.checked)} /><span class="track" aria-hidden="true"></span>
    <span class=${hideLabel ? "visually-hidden" : ""}>${label}${note && html`<small>${note}</small>`}</span></label>`;
}

export function Segments({ label, value, onInput, choices }) {
  const move = (event) => {
    const step = { ArrowLeft: -1, ArrowUp: -1, ArrowRight: 1, ArrowDown: 1 }[event.key];
    if (!step) return;
    event.preventDefault();
    const at = choices.findIndex(([key]) => key === value);
    const next = (at + step + choices.length) % choices.length;
    onInput(choices[next][0]);
    event.currentTarget.children[next].focus();
  };
  return html`<div class="segments" role="radiogroup" aria-label=${label} onKeyDown=${move}>
    ${choices.map(([key, title]) => html`<button key=${key} type="button" role="radio" aria-checked=${key === value}
      tabindex=${key === value ? 0 : -1} onClick=${() => onInput(key)}>${title}</button>`)}</div>`;
}

// a dialog of the browser's own: traps focus, closes with Escape; shown in the same frame as it is made, so that no key comes between
export function Dialog({ title, onClose, children, wide }) {
  const box = useRef(null);
  const id = useId("dialog");
  useLayoutEffect(() => {
    if (!box.current.open) box.current.showModal();
  }, []);
  return html`<dialog ref=${box} class=${wide ? "wide" : ""} aria-labelledby=${id} onClose=${onClose}
    onClick=${(event) => event.target === box.current && onClose()}>
    <div class="dialog"><header><h3 id=${id}>${title}</h3><button type="button" class="plain" onClick=${onClose}>Close</button></header>
    ${children}</div></dialog>`;
}
