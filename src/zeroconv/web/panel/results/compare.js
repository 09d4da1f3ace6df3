// Before and after, with a line to drag between them.
import { html, useRef, useState } from "../lib/html.js";
import { within } from "../lib/fields.js";

export function Compare({ before, after, name }) {
  const [at, setAt] = useState(50);
  const box = useRef(null);
  const move = (event) => {
    if (event.type === "pointerdown") event.currentTarget.setPointerCapture(event.pointerId);
    else if (!event.buttons) return;
    const { left, width } = box.current.getBoundingClientRect();
    setAt(within(((event.clientX - left) / width) * 100, 0, 100));
  };
  return html`<div class="compare" ref=${box} onPointerDown=${move} onPointerMove=${move}>
    <img class="main" src=${after} alt="The picture" draggable="false" />
    <img class="main" src=${before} alt=${name} draggable="false" style=${{ clipPath: `inset(0 ${100 - at}% 0 0)` }} />
    <span class="divider" style=${{ left: `${at}%` }}></span>
    <input type="range" class="visually-hidden" aria-label="How much of what was before is shown" min="0" max="100" value=${at} onInput=${(event) => setAt(Number(event.target.value))} />
  </div>`;
}
