// Keeping and using presets.
import { html, useState } from "../lib/html.js";
import { IconButton } from "../lib/icons.js";
import { tell } from "../lib/notices.js";
import { undo } from "../state/history.js";
import { dropPreset, keepPreset, presets, usePreset } from "../state/presets.js";

export function Presets() {
  const [name, setName] = useState("");
  const names = Object.keys(presets.value).sort();
  const keep = (event) => {
    event.preventDefault();
    if (!name.trim()) return;
    keepPreset(name.trim());
    tell(`Kept as “${name.trim()}” in this browser`);
    setName("");
  };
  const use = (one) => (usePreset(one), tell(`“${one}” is set`, { action: { title: "Undo", run: undo } }));
  return html`<div class="card fields presets"><h3>Presets</h3>
    ${names.length > 0 && html`<ul>${names.map((one) => html`<li key=${one}><button type="button" onClick=${() => use(one)}>${one}</button>
      <${IconButton} icon="close" label=${`Remove preset ${one}`} onClick=${() => dropPreset(one)} /></li>`)}</ul>`}
    <form onSubmit=${keep}><input type="text" aria-label="Name of a preset" placeholder="Keep these settings as…" maxlength="40" value=${name} onInput=${(event) => setName(event.target.value)} />
      <button type="submit" disabled=${!name.trim()}>Keep</button></form></div>`;
}
