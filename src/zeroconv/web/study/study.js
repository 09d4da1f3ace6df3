"use strict";
// One rater's page: asks the server what comes next, shows it, sends a vote, and goes on when the server says that it is kept.
const $ = (id) => document.getElementById(id);
const token = location.pathname.split("/").pop();
const api = `/api/study/${encodeURIComponent(token)}`;
const LETTERS = "ABCDEFGHIJ";
const REST = 350; // milliseconds after a new question in which no choice is taken: it was meant for the one before
let state = null;
let answer = null; // of the question on the page: ranks by name of picture, or a letter
let sending = false;
let since = 0;

function element(name, text, className) {
  const node = document.createElement(name);
  if (text !== undefined) node.textContent = text;
  if (className) node.className = className;
  return node;
}

function button(text, className, action) {
  const node = element("button", text, className);
  node.type = "button";
  node.addEventListener("click", action);
  return node;
}

const wait = (milliseconds) => new Promise((resolve) => setTimeout(resolve, milliseconds));
const address = (name) => `${api}/pictures/${encodeURIComponent(name)}`;

// Asks until there is an answer; what the server has kept already it recognizes when it is sent again.
async function ask(path, body) {
  for (let tries = 0; ; tries += 1) {
    try {
      const options = body === undefined ? {} : { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) };
      const reply = await fetch(api + path, { ...options, signal: AbortSignal.timeout(20000) });
      if (reply.status < 500) {
        $("notice").textContent = "";
        return { status: reply.status, json: await reply.json() };
      }
    } catch {
      // not reachable now
    }
    $("notice").textContent = body === undefined ? "The study does not answer. Trying again…" : "Your answer is not kept yet. Sending it again…";
    await wait(Math.min(5000, 300 * 2 ** tries));
  }
}

async function load() {
  const reply = await ask("");
  if (reply.status === 200) show(reply.json);
  else showAlone("This link leads to no study", "Open the link exactly as you were given it, or ask who sent it to you.");
}

async function send(path, body) {
  if (sending) return;
  sending = true;
  updateBar();
  const reply = await ask(path, body);
  sending = false;
  if (reply.status === 200) {
    show(reply.json);
  } else {
    await load(); // answered in another window, perhaps: show what is next
    $("notice").textContent = reply.status === 409 ? "That question was answered already; this is the next one." : reply.json.error.message;
    setTimeout(() => ($("notice").textContent = ""), 6000);
  }
}

function show(next) {
  state = next;
  answer = state.question && state.question.aspect !== "model" ? new Map() : null;
  since = performance.now();
  document.title = state.title;
  $("title").textContent = state.title;
  $("progress").max = state.total;
  $("progress").value = state.done;
  $("count").textContent = state.question ? `Question ${state.done + 1} of ${state.total}` : "";
  showTop(state.begun);
  if (state.done === state.total) showEnd();
  else if (!state.begun) state.kind === "ranking" ? showStart() : showTeaching();
  else if (state.question.aspect === "model") showTrial(state.question);
  else showRanking(state.question);
  for (const name of state.soon) new Image().src = address(name);
  updateBar();
  scrollTo(0, 0);
}

// where it is not seen it is still the heading that a screen reader finds
function showTop(seen) {
  $("top").classList.toggle("unseen", !seen);
  $("count").hidden = $("progress").hidden = !seen;
}

function showAlone(title, ...texts) {
  const box = element("section", undefined, "alone");
  box.append(element("h2", title), ...texts.map((text) => element("p", text)));
  $("main").replaceChildren(box);
  showTop(false);
  $("bar").hidden = true;
  return box;
}

function showEnd() {
  const many = state.total === 1 ? "Your answer is" : `All ${state.total} of your answers are`;
  showAlone("Thank you!", `${many} kept. You can close this page.`);
}

function showStart() {
  const box = showAlone(
    state.title,
    `You will see ${state.methods} pictures at a time and rank them, from ${state.methods} for the best to 1 for the worst.`,
    "There is no right answer: we want to know what you see. Pictures open large when you tap them.",
  );
  box.append(element("p", `${state.total} questions. Every answer is kept at once, so you can stop at any time and go on later at the same link.`, "soft"));
  box.append(button("Begin", "primary", () => send("/begin", {})));
}

function showTeaching() {
  const head = element("section");
  head.append(element("h2", "Two models made these pictures"));
  head.append(element("p", `Look for what sets them apart, for as long as you like. Then you will see ${state.total} other pictures, one at a time, and say which model made each.`, "lead"));
  const box = element("section", undefined, "teaching");
  const heads = element("div", undefined, "heads");
  const list = element("ol");
  heads.append(element("span", "Model A"), element("span", "Model B"));
  for (const [index, pair] of state.teaching.entries()) {
    const row = element("li");
    row.append(...pair.map((name, place) => picture(name, `Example ${index + 1} of model ${LETTERS[place]}`, [name])));
    list.append(row);
  }
  box.append(heads, list);
  $("main").replaceChildren(head, box);
  $("main").focus();
}

function question(title, lead, prompt) {
  const head = element("section");
  const line = element("p", undefined, "lead");
  line.append(...lead);
  head.append(element("h2", title), line);
  if (prompt) head.append(element("p", prompt, "prompt"));
  return head;
}

function picture(name, label, beside) {
  const image = element("img");
  const node = button(undefined, "picture", () => zoom(beside, label));
  image.src = address(name);
  image.alt = label;
  image.draggable = false;
  node.setAttribute("aria-label", `${label}: enlarge`);
  node.append(image);
  return node;
}

function showRanking({ aspect, pictures, map, prompt }) {
  const best = element("b", String(pictures.length)), worst = element("b", "1");
  const fidelity = aspect === "fidelity";
  const lead = [best, fidelity ? " follows the map best, " : " is the best picture, ", worst, fidelity ? " least. " : " the worst. ", "Each number goes to one picture."];
  const head = question(fidelity ? "How well does each picture follow the map?" : "How good does each picture look?", lead, prompt);
  const board = element("section", undefined, map ? "board with-map" : "board");
  if (map) {
    const figure = element("figure", undefined, "map");
    figure.append(picture(map, "The map", [map]), element("figcaption", "The map that every picture should follow"));
    board.append(figure);
  }
  const cards = element("ol", undefined, "cards");
  const most = map ? 3 : 5; // in a row; more are halved
  const columns = pictures.length > most ? Math.ceil(pictures.length / 2) : pictures.length;
  cards.style.setProperty("--columns", columns);
  cards.style.setProperty("--rows", Math.ceil(pictures.length / columns));
  for (const [index, name] of pictures.entries()) {
    const label = `Picture ${index + 1}`;
    const card = element("li", undefined, "card");
    const ranks = element("div", undefined, "ranks");
    ranks.setAttribute("role", "group");
    ranks.setAttribute("aria-label", `Rank of picture ${index + 1}`);
    for (let rank = 1; rank <= pictures.length; rank += 1) {
      const node = button(String(rank), "", () => give(name, rank));
      node.setAttribute("aria-label", `Rank ${rank}`);
      ranks.append(node);
    }
    card.dataset.picture = name;
    card.append(picture(name, label, map ? [map, name] : [name]), ranks);
    cards.append(card);
  }
  board.append(cards);
  $("main").replaceChildren(head, board);
  markRanks();
  cards.querySelector("button").focus({ preventScroll: true, focusVisible: false });
}

// A rank belongs to one picture: whoever had it gets the rank that is left, or none.
function give(name, rank) {
  if (sending || performance.now() - since < REST) return;
  const before = answer.get(name);
  const other = [...answer].find(([one, its]) => its === rank && one !== name);
  if (before === rank) answer.delete(name);
  else {
    if (other && before !== undefined) answer.set(other[0], before);
    else if (other) answer.delete(other[0]);
    answer.set(name, rank);
  }
  markRanks();
  updateBar();
}

function markRanks() {
  const taken = new Set(answer.values());
  for (const card of document.querySelectorAll(".card")) {
    const own = answer.get(card.dataset.picture);
    card.classList.toggle("ranked", own !== undefined);
    for (const [index, node] of card.querySelectorAll(".ranks button").entries()) {
      node.setAttribute("aria-pressed", String(own === index + 1));
      node.classList.toggle("taken", own !== index + 1 && taken.has(index + 1));
    }
  }
}

function showTrial({ pictures }) {
  const head = question("Which model made this picture?", ["Go by what you saw in the examples."]);
  const box = element("section", undefined, "trial");
  const models = element("div", undefined, "models");
  for (const letter of LETTERS.slice(0, state.methods)) {
    const node = button(`Model ${letter}`, "", () => choose(letter));
    node.dataset.letter = letter;
    node.setAttribute("aria-pressed", "false");
    models.append(node);
  }
  box.append(picture(pictures[0], "The picture", [pictures[0]]), models);
  $("main").replaceChildren(head, box);
  $("main").focus({ preventScroll: true });
}

function choose(letter) {
  if (sending || performance.now() - since < REST) return;
  answer = letter;
  for (const node of document.querySelectorAll(".models button")) node.setAttribute("aria-pressed", String(node.dataset.letter === letter));
  updateBar();
}

const isTeaching = () => state && !state.begun && state.kind === "discrimination";

function updateBar() {
  const { question: asked } = state;
  $("bar").hidden = state.done === state.total || !(asked || isTeaching());
  if ($("bar").hidden) return;
  const missing = !asked ? 0 : asked.aspect === "model" ? Number(answer === null) : asked.pictures.length - answer.size;
  $("next").disabled = sending || missing > 0;
  $("next").textContent = isTeaching() ? "I am ready" : sending ? "Keeping…" : state.done + 1 === state.total ? "Finish" : "Next";
  const hint = $("hint");
  hint.replaceChildren();
  if (!asked) return;
  if (asked.aspect !== "model") hint.append(missing ? `${answer.size} of ${asked.pictures.length} ranked` : "All ranked");
  const keys = element("span", undefined, "keys");
  const key = (text) => element("kbd", text);
  if (asked.aspect === "model") keys.append(key("A"), " ", key("B"), " choose, ", key("Enter"), " goes on");
  else keys.append(" · ", key("1"), "–", key(String(asked.pictures.length)), " rank, ", key("←"), " ", key("→"), " move, ", key("Enter"), " goes on");
  hint.append(keys);
}

function goOn() {
  if ($("bar").hidden || $("next").disabled) return;
  if (isTeaching()) send("/begin", {});
  else if (state.question.aspect === "model") send("/votes", { place: state.question.place, choice: answer });
  else send("/votes", { place: state.question.place, ranks: Object.fromEntries(answer) });
}

// In the enlarged view the arrow keys put the next picture in the place of this one, so that differences jump to the eye.
function turn(step) {
  const { pictures, map } = state.question;
  const shown = [...$("zoomed").children].at(-1).dataset.picture;
  const at = pictures.indexOf(shown);
  if (at < 0) return;
  const place = (at + step + pictures.length) % pictures.length;
  enlarge(map ? [map, pictures[place]] : [pictures[place]], `Picture ${place + 1}`);
}

function zoom(names, label) {
  enlarge(names, label);
  $("zoom").showModal();
}

function enlarge(names, label) {
  $("zoomed").replaceChildren(
    ...names.map((name) => {
      const image = element("img");
      image.src = address(name);
      image.alt = label;
      image.dataset.picture = name;
      return image;
    }),
  );
}

function onKey(event) {
  if (event.ctrlKey || event.metaKey || event.altKey || !state || !state.question) return;
  if ($("zoom").open) {
    if (event.key === "ArrowRight" || event.key === "ArrowLeft") turn(event.key === "ArrowRight" ? 1 : -1);
    return;
  }
  const cards = [...document.querySelectorAll(".card")];
  const at = cards.findIndex((card) => card.contains(document.activeElement));
  const focus = (place) => cards[(place + cards.length) % cards.length].querySelector("button").focus();
  if (event.key === "Enter" && !$("next").disabled && !event.repeat) {
    event.preventDefault();
    goOn();
  } else if (state.question.aspect === "model") {
    const letter = event.key.toUpperCase();
    if (LETTERS.slice(0, state.methods).includes(letter)) choose(letter);
  } else if (event.key === "ArrowRight" || event.key === "ArrowLeft") {
    event.preventDefault();
    focus(at + (event.key === "ArrowRight" ? 1 : -1));
  } else if (/^\d$/.test(event.key) && at >= 0) {
    const rank = event.key === "0" ? 10 : Number(event.key);
    if (rank > cards.length) return;
    give(cards[at].dataset.picture, rank);
    const next = cards.findIndex((_, index) => !answer.has(cards[(at + index) % cards.length].dataset.picture));
    focus(next < 0 ? at : at + next);
  }
}

$("next").addEventListener("click", goOn);
$("zoomed").addEventListener("click", () => $("zoom").close());
$("close").addEventListener("click", () => $("zoom").close());
document.addEventListener("keydown", onKey);
addEventListener("pageshow", (event) => event.persisted && load()); // the browser's "back" to a page it remembers
load();
