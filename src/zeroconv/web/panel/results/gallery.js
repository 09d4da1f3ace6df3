// All pictures that the server keeps, newest first, found by their prompts.
import { html, signal, useEffect, useRef, useState } from "../lib/html.js";
import { Icon, IconButton } from "../lib/icons.js";
import { forgetPicture, pictureUrl, readGallery } from "../lib/api.js";
import { attempt, tellError } from "../lib/notices.js";
import { chosen, results } from "../state/jobs.js";
import { stage, tab } from "../state/store.js";
import { Badge } from "./scores.js";

const PAUSE = 250; // milliseconds after the last letter
const PAGE = 40; // pictures; who has read on keeps the place
const kept = signal({ query: "", pictures: [], next: null, loaded: false });
let asked = 0;

async function load(query, before = null) {
  const number = ++asked;
  const said = await readGallery(query, before);
  if (number !== asked) return; // somebody typed on
  kept.value = { query, pictures: before ? [...kept.value.pictures, ...said.pictures] : said.pictures, next: said.next, loaded: true };
}

const forget = attempt(async (picture) => {
  await forgetPicture(picture.id);
  kept.value = { ...kept.value, pictures: kept.value.pictures.filter((one) => one.id !== picture.id) };
  results.value = results.value.filter((one) => one.id !== picture.id);
  if (chosen.value?.id === picture.id) chosen.value = null;
});

export function look(picture) {
  chosen.value = picture;
  stage.value = { kind: "result" };
  tab.value = "picture";
}

export function Gallery() {
  const [query, setQuery] = useState("");
  const timer = useRef(null);
  const newest = results.value[0]?.id;
  useEffect(() => {
    load(query).catch(tellError);
  }, [newest]);
  useEffect(() => {
    const look = () => document.visibilityState === "visible" && kept.value.pictures.length <= PAGE && load(kept.value.query).catch(tellError);
    document.addEventListener("visibilitychange", look); // another tab made pictures, or deleted some
    return () => document.removeEventListener("visibilitychange", look);
  }, []);
  const seek = (event) => {
    setQuery(event.target.value);
    clearTimeout(timer.current);
    timer.current = setTimeout(() => load(event.target.value.trim()).catch(tellError), PAUSE);
  };
  const { pictures, next, loaded } = kept.value;
  return html`<section class="gallery" aria-labelledby="gallery-title"><header class="section"><h2 id="gallery-title">Gallery</h2></header>
    <div class="seek"><${Icon} name="search" /><input type="search" aria-label="Search prompts" placeholder="Search prompts" value=${query} onInput=${seek} /></div>
    <ul class="tiles">${pictures.map((one) => html`<li key=${one.id} class=${chosen.value?.id === one.id ? "chosen" : ""}>
      <button type="button" class="tile" onClick=${() => look(one)} aria-label=${`${one.prompt || "Picture"}, seed ${one.seed}`}>
        <img src=${pictureUrl(one.picture ?? one.id, 256)} alt="" loading="lazy" width="1" height="1" /><${Badge} picture=${one} /></button>
      <${IconButton} icon="bin" label=${`Delete ${one.prompt || "picture"}, seed ${one.seed}`} className="delete" onClick=${() => forget(one)} /></li>`)}</ul>
    ${loaded && pictures.length === 0 && html`<p class="small">${query ? "No prompt has these words." : "Pictures that you make are kept here."}</p>`}
    ${next && html`<button type="button" class="add" onClick=${() => load(query.trim(), next).catch(tellError)}>Show more</button>`}</section>`;
}
