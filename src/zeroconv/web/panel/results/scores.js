// How well a picture obeys each of its maps: the condition is read from the picture again and compared.
import { html } from "../lib/html.js";
import { conditionOf } from "../state/store.js";

export const worst = (picture) => {
  const found = (picture.controls ?? []).map((one) => one.adherence).filter((one) => typeof one === "number");
  return found.length ? Math.min(...found) : null;
};

export const Scores = ({ picture, which, setWhich }) => html`<ul class="scores" aria-label="How well it obeys">
  ${(picture.controls ?? []).map((one, at) => {
    const known = typeof one.adherence === "number";
    const title = conditionOf(one.condition)?.title ?? one.condition;
    return html`<li key=${at}><button type="button" class="score" aria-pressed=${at === which} onClick=${() => setWhich(at)}
      title=${`${one.measure ?? "adherence"}: the condition is read from the picture again and compared; 1 obeys exactly`}>
      <span class="name">${title}</span><span class="bar" aria-hidden="true"><i style=${{ width: `${100 * (one.adherence ?? 0)}%` }}></i></span>
      <span class="value">${known ? one.adherence.toFixed(2) : "–"}</span><span class="measure">${one.measure ?? ""}</span></button></li>`;
  })}</ul>`;

export const Badge = ({ picture }) => {
  const score = worst(picture);
  return score !== null && html`<span class="badge" title="How well it obeys its map">${score.toFixed(2)}</span>`;
};
