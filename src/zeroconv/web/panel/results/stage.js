// The middle of the page: the picture that is made or looked at.
import { html, useEffect, useLayoutEffect, useRef, useState } from "../lib/html.js";
import { Segments } from "../lib/fields.js";
import { pictureUrl, unnamed } from "../lib/api.js";
import { chosen, jobs, previews, running } from "../state/jobs.js";
import { controls, isOn, mapOf, size, tab } from "../state/store.js";
import { Compare } from "./compare.js";
import { PictureActions } from "./actions.js";
import { Scores } from "./scores.js";

export function Stage() {
  const job = running.value;
  const shown = job && previews.value[job.id];
  const picture = chosen.value;
  const live = shown && (!picture || picture.job !== job.id);
  if (live) return html`<section class="stage" aria-label="Picture"><div class="view"><${Previews} shown=${shown} /></div></section>`;
  if (!picture) return html`<${Nothing} />`;
  return html`<${Looking} key=${picture.id} picture=${picture} />`;
}

const Previews = ({ shown }) => html`<div class=${`previews n${Math.min(4, Object.keys(shown).length)}`}>
  ${Object.entries(shown).map(([at, bitmap]) => html`<${Preview} key=${at} bitmap=${bitmap} number=${Number(at) + 1} />`)}</div>`;

function Preview({ bitmap, number }) {
  const canvas = useRef(null);
  useLayoutEffect(() => canvas.current.getContext("2d").drawImage(bitmap, 0, 0), [bitmap]); // at once: the next preview closes this one
  return html`<canvas ref=${canvas} class="preview" role="img" aria-label=${`Preview of picture ${number}`} width=${bitmap.width} height=${bitmap.height}></canvas>`;
}

function Nothing() {
  const shown = controls.value.filter((one) => mapOf(one) && isOn(one));
  const [width, height] = size.value;
  return html`<section class="stage" aria-label="Picture"><div class="view">
    <div class="frame" style=${{ aspectRatio: `${width} / ${height}`, "--ratio": width / height }}>${shown.length > 0 ? shown.map((one) => html`<img key=${one.id} class="blended" src=${pictureUrl(mapOf(one))} alt=${`Map of ${one.network}`} />`)
    : html`<div class="empty"><p>Your picture appears here.</p><small>Choose a control and draw, or drop a picture. Drop a picture made here to have all its settings again.</small>
      <button type="button" class="phone-only" onClick=${() => (tab.value = "controls")}>Choose a control</button></div>`}</div></div></section>`;
}

const WAYS = [["picture", "Picture"], ["compare", "Compare"], ["overlay", "Overlay"]];

function Looking({ picture }) {
  const [way, setWay] = useState("picture");
  const [which, setWhich] = useState(0);
  const control = picture.controls?.[which] ?? null;
  const overlaid = controls.value.filter((one) => one.shown && mapOf(one));
  const before = control ? [control.map, `Its map, ${control.condition}`] : [unnamed(picture.request?.init_image), "The picture it began from"];
  const url = pictureUrl(picture.picture ?? picture.id);
  const ratio = picture.width / picture.height;
  return html`<section class="stage" aria-label="Picture">
    <div class="view"><div class=${`frame${picture.width <= 256 ? " small" : ""}`} style=${{ aspectRatio: ratio, "--ratio": ratio }}>
      ${way === "compare" && before[0] ? html`<${Compare} before=${pictureUrl(before[0])} after=${url} name=${before[1]} />`
    : html`<img class="main" src=${url} alt=${picture.prompt || "The picture"} />`}
      ${way === "overlay" && control?.overlay && html`<img class="main over" src=${pictureUrl(control.overlay)} alt=${`${control.condition} read from the picture again, over it`} />`}
      ${overlaid.map((one) => html`<img key=${one.id} class="main laid" src=${pictureUrl(mapOf(one))} alt=${`Map of ${one.network}, over the picture`} />`)}
    </div></div>
    <footer class="below">
      ${before[0] && html`<${Segments} label="What is shown" value=${way} onInput=${setWay} choices=${WAYS.filter(([key]) => key !== "overlay" || control?.overlay)} />`}
      <${Scores} picture=${picture} which=${which} setWhich=${setWhich} />
      <${PictureActions} picture=${picture} />
    </footer>
    <${Siblings} picture=${picture} />
  </section>`;
}

// the other pictures of the same job
function Siblings({ picture }) {
  const job = jobs.value.find((one) => one.id === picture.job);
  if (!job || job.results.length < 2) return null;
  return html`<ul class="siblings" aria-label="Pictures of this request">${job.results.map((one, at) => html`<li key=${one.id}><button type="button" aria-pressed=${one.id === picture.id}
    onClick=${() => (chosen.value = one)}><img src=${pictureUrl(one.picture ?? one.id, 160)} alt=${`Picture ${at + 1}, seed ${one.seed}`} /></button></li>`)}</ul>`;
}
