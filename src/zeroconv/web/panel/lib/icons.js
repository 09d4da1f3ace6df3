// Line icons on a 20 x 20 grid.
import { html } from "./html.js";

const PATHS = {
  eye: "M2 10s3-5.5 8-5.5S18 10 18 10s-3 5.5-8 5.5S2 10 2 10ZM10 12.2a2.2 2.2 0 1 0 0-4.4 2.2 2.2 0 0 0 0 4.4Z",
  hidden: "M3 3l14 14M8 4.8A8.6 8.6 0 0 1 10 4.5c5 0 8 5.5 8 5.5a14 14 0 0 1-2.5 3M12 15.3a8 8 0 0 1-2 .2c-5 0-8-5.5-8-5.5a14 14 0 0 1 3-3.5",
  copy: "M7 7V4.5A1.5 1.5 0 0 1 8.5 3h7A1.5 1.5 0 0 1 17 4.5v7a1.5 1.5 0 0 1-1.5 1.5H13M4.5 7h7A1.5 1.5 0 0 1 13 8.5v7a1.5 1.5 0 0 1-1.5 1.5h-7A1.5 1.5 0 0 1 3 15.5v-7A1.5 1.5 0 0 1 4.5 7Z",
  bin: "M4 5.5h12M8 5.5V4a1 1 0 0 1 1-1h2a1 1 0 0 1 1 1v1.5M5.5 5.5l.7 10a1.5 1.5 0 0 0 1.5 1.5h4.6a1.5 1.5 0 0 0 1.5-1.5l.7-10",
  close: "M5 5l10 10M15 5L5 15",
  plus: "M10 4v12M4 10h12",
  dice: "M5 3h10a2 2 0 0 1 2 2v10a2 2 0 0 1-2 2H5a2 2 0 0 1-2-2V5a2 2 0 0 1 2-2ZM7 7h.01M13 7h.01M10 10h.01M7 13h.01M13 13h.01",
  lock: "M6 9V6.5a4 4 0 0 1 8 0V9M5 9h10a1 1 0 0 1 1 1v6a1 1 0 0 1-1 1H5a1 1 0 0 1-1-1v-6a1 1 0 0 1 1-1Z",
  unlock: "M6 9V6.5a4 4 0 0 1 7.7-1.5M5 9h10a1 1 0 0 1 1 1v6a1 1 0 0 1-1 1H5a1 1 0 0 1-1-1v-6a1 1 0 0 1 1-1Z",
  swap: "M4 7h11l-3-3M16 13H5l3 3",
  undo: "M7 4L3.5 7.5 7 11M4 7.5h8a4.5 4.5 0 0 1 0 9H8",
  redo: "M13 4l3.5 3.5L13 11M16 7.5H8a4.5 4.5 0 0 0 0 9h4",
  back: "M16 10H4.5M9 5.5L4.5 10 9 14.5",
  brush: "M16.5 3.5l-7 7M9.5 10.5c-2 0-3.5 1-3.5 3 0 1.5-1 2.5-2.5 3 4.5 1 8-.5 8-3.5",
  eraser: "M8 16.5h8.5M4 12.5l7.5-8a1.4 1.4 0 0 1 2 0l3 2.8a1.4 1.4 0 0 1 0 2l-6.5 7H7.5l-3.5-2.8a.8.8 0 0 1 0-1ZM8 8.5l4.8 4.6",
  line: "M4 16L16 4",
  fill: "M9 3l7 7-6 6a1.4 1.4 0 0 1-2 0L3.5 11.5a1.4 1.4 0 0 1 0-2ZM4 10.5h11.5M17.5 13.5s1 1.5 1 2.3a1 1 0 0 1-2 0c0-.8 1-2.3 1-2.3Z",
  hand: "M6.5 10.5V5.5a1.2 1.2 0 0 1 2.4 0V9M8.9 9V4a1.2 1.2 0 0 1 2.4 0v5M11.3 9V5a1.2 1.2 0 0 1 2.4 0v5.5M13.7 9a1.2 1.2 0 0 1 2.3 0v3.5a5 5 0 0 1-5 5h-.5a5 5 0 0 1-4-2L3.6 12a1.2 1.2 0 0 1 1.900-1.5l1 1",
  move: "M10 3v14M3 10h14M10 3L8 5M10 3l2 2M10 17l-2-2M10 17l2-2M3 10l2-2M3 10l2 2M17 10l-2-2M17 10l-2 2",
  download: "M10 3v9.5M6 9l4 4 4-4M4 16.5h12",
  upload: "M10 13V3.5M6 7l4-4 4 4M4 16.5h12",
  camera: "M3 7a1.5 1.5 0 0 1 1.5-1.5h2L8 3.5h4l1.5 2h2A1.5 1.5 0 0 1 17 7v8a1.5 1.5 0 0 1-1.5 1.5h-11A1.5 1.5 0 0 1 3 15ZM10 13.5a2.8 2.8 0 1 0 0-5.6 2.8 2.8 0 0 0 0 5.6Z",
  sun: "M10 13a3 3 0 1 0 0-6 3 3 0 0 0 0 6ZM10 2.5v1M10 16.5v1M2.5 10h1M16.5 10h1M4.7 4.7l.7.7M14.6 14.6l.7.7M4.7 15.3l.7-.7M14.6 5.4l.7-.7",
  moon: "M16 11.5A6.5 6.5 0 1 1 8.5 4a5.2 5.2 0 0 0 7.5 7.5Z",
  mirror: "M10 3v14M7 6L3 14h4ZM13 6l4 8h-4Z",
  person: "M10 6.5a2 2 0 1 0 0-4 2 2 0 0 0 0 4ZM10 8.5v4M5.5 9.5h9M10 12.5l-3 5M10 12.5l3 5",
  layers: "M10 3l7 3.5-7 3.5-7-3.5ZM3 10l7 3.5 7-3.5M3 13.5L10 17l7-3.5",
  search: "M9 14A5 5 0 1 0 9 4a5 5 0 0 0 0 10ZM13 13l3.5 3.5",
  grid: "M3.5 3.5h5v5h-5ZM11.5 3.5h5v5h-5ZM3.5 11.5h5v5h-5ZM11.5 11.5h5v5h-5Z",
  picture: "M4.5 4h11A1.5 1.5 0 0 1 17 5.5v9a1.5 1.5 0 0 1-1.5 1.5h-11A1.5 1.5 0 0 1 3 14.5v-9A1.5 1.5 0 0 1 4.5 4ZM3.5 14l4-4 3 3 2-2 4 4M13 8h.01",
  sliders: "M4 6h7M15 6h1M4 14h1M9 14h7M13 8a2 2 0 1 0 0-4 2 2 0 0 0 0 4ZM7 16a2 2 0 1 0 0-4 2 2 0 0 0 0 4Z",
  check: "M4 10.5l4 4 8-9",
  more: "M5 10h.01M10 10h.01M15 10h.01",
  enlarge: "M11.5 3.5h5v5M16.5 3.5l-6 6M8.5 16.5h-5v-5M3.5 16.5l6-6",
  rotate: "M15.5 6.5A6.5 6.5 0 1 0 16.5 11M16 3v4h-4",
  fit: "M3.5 7.5v-4h4M12.5 3.5h4v4M16.5 12.5v4h-4M7.5 16.5h-4v-4",
};

export const Icon = ({ name }) => html`<svg viewBox="0 0 20 20" width="18" height="18" aria-hidden="true" fill="none" stroke="currentColor"
  stroke-width="1.5" stroke-linecap="round" stroke-linejoin="round"><path d=${PATHS[name]} /></svg>`;

export const IconButton = ({ icon, label, keys, className = "", ...rest }) => html`<button type="button" class=${`icon plain ${className}`}
  aria-label=${label} title=${keys ? `${label}  (${keys})` : label} aria-keyshortcuts=${keys} ...${rest}><${Icon} name=${icon} /></button>`;
