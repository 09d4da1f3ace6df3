// A part of the page whose modules are fetched when it is first shown.
import { html, signal, useEffect } from "./html.js";
import { tellError } from "./notices.js";

export function later(load) {
  const found = signal(null); // {View}
  return (given) => {
    useEffect(() => {
      if (!found.value) load().then((View) => (found.value = { View }), tellError);
    }, []);
    if (found.value) return html`<${found.value.View} ...${given} />`;
    return html`<main class="loading" aria-busy="true"><p class="small">Opening…</p></main>`;
  };
}
