// Choosing what to paint with: nothing to choose for lines and masks, a grey, a colour, or a class by its name.
import { html, useState } from "../lib/html.js";
import { Slider } from "../lib/fields.js";
import { options } from "../state/store.js";
import { colourOf, parseColour } from "./tiles.js";
import { BLACK, WHITE } from "./kinds.js";

const FEW = 60; // classes shown until somebody searches

export function startInk(kind) {
  if (kind.ink === "palette") {
    const first = options.value.palette?.[0];
    return first ? { colour: parseColour(first.color), index: first.index, name: first.name } : { colour: WHITE };
  }
  if (kind.ink === "colour") return { colour: parseColour(kind.colour), css: kind.colour };
  return { colour: WHITE, grey: 255 };
}

export function InkPicker({ kind, ink, setInk }) {
  if (kind.ink === "palette") return html`<${Palette} ink=${ink} setInk=${setInk} />`;
  if (kind.ink === "grey") {
    return html`<div class="inks"><${Slider} label="Grey" value=${ink.grey} min=${0} max=${255} onInput=${(grey) => setInk({ grey, colour: colourOf(grey, grey, grey) })}
      note=${kind.hint} /></div>`;
  }
  if (kind.ink === "colour") {
    return html`<div class="inks field row"><label>Colour <input type="color" value=${ink.css} onInput=${(event) =>
      setInk({ css: event.target.value, colour: parseColour(event.target.value) })} /></label><small>${kind.hint}</small></div>`;
  }
  if (kind.ink !== "white") return html`<p class="small">${kind.hint}</p>`;
  return html`<div class="inks swatches" role="group" aria-label="Ink">
    <button type="button" aria-pressed=${ink.colour === WHITE} onClick=${() => setInk({ colour: WHITE })}><i class="white"></i>White</button>
    <button type="button" aria-pressed=${ink.colour === BLACK} onClick=${() => setInk({ colour: BLACK })}><i class="black"></i>Black</button>
    <small>${kind.hint}</small></div>`;
}

function Palette({ ink, setInk }) {
  const [sought, setSought] = useState("");
  const words = sought.trim().toLowerCase();
  const all = options.value.palette ?? [];
  const found = (words ? all.filter((one) => one.name.toLowerCase().includes(words)) : all).slice(0, FEW);
  return html`<div class="palette"><h2>Classes</h2>
    <input type="search" aria-label="Search classes" placeholder="Search ${all.length} classes" value=${sought} onInput=${(event) => setSought(event.target.value)} />
    <ul>${found.map((one) => html`<li key=${one.index}><button type="button" aria-pressed=${ink.index === one.index}
      onClick=${() => setInk({ colour: parseColour(one.color), index: one.index, name: one.name })}>
      <svg viewBox="0 0 1 1" aria-hidden="true"><rect width="1" height="1" fill=${one.color} /></svg>${one.name}</button></li>`)}</ul>
    ${found.length === 0 && html`<p class="small">No class is called so.</p>`}</div>`;
}
