// How maps of a condition are drawn: on which ground, with which ink.
import { colourOf } from "./tiles.js";

export const BLACK = colourOf(0, 0, 0);
export const WHITE = colourOf(255, 255, 255);
const RED = colourOf(255, 90, 95); // how a mask is shown over its picture; it is sent as white
const LINES = { ink: "white", ground: BLACK, hint: "White lines on black." };
const KINDS = {
  depth: { ink: "grey", ground: BLACK, hint: "Near is white, far is black." },
  normal: { ink: "colour", ground: colourOf(128, 128, 255), colour: "#8080ff", hint: "Colours are directions; flat towards you is #8080ff." },
  segmentation: { ink: "palette", ground: BLACK, hint: "Each class has its own colour; pick one and paint." },
  pose: { ink: "pose" },
  shuffle: { ink: "colour", ground: WHITE, colour: "#3366aa", hint: "Colours in any place." },
  tile: { ink: "colour", ground: WHITE, colour: "#3366aa", hint: "A small or blurred picture." },
  inpaint: { ink: "hole", ground: 0, paint: RED, hint: "Paint what is to be filled." },
};
export const MASK = { ink: "mask", ground: BLACK, paint: RED, hint: "White acts, black does not." };

export const kindOf = (condition, what = "map") => (what === "map" ? KINDS[condition] ?? LINES : MASK);
