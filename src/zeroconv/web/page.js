"use strict";
// Follows a run: asks for its state every few seconds and draws it. Text of the run only ever becomes text nodes.
const $ = (id) => document.getElementById(id);
const SVG = "http://www.w3.org/2000/svg";
const token = document.querySelector("meta[name=token]").content;
let state = null;
let chosen = null; // name of the sheet that is looked at; null follows the newest one

function svg(name, attributes, parent, text) {
  const node = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
  if (text !== undefined) node.textContent = text;
  if (parent) parent.append(node);
  return node;
}

function element(name, text, className) {
  const node = document.createElement(name);
  if (text !== undefined) node.textContent = text;
  if (className) node.className = className;
  return node;
}

const whole = (value) => (Math.round(value) || 0).toLocaleString("en"); // and no minus before a zero

function short(value) {
  if (value === null || value === undefined) return "–";
  const size = Math.abs(value);
  return size >= 100 ? whole(value) : size >= 1 ? value.toFixed(size >= 10 ? 1 : 2) : size >= 0.1 || size === 0 ? value.toFixed(3) : value.toPrecision(3);
}

function duration(seconds) {
  const minutes = Math.round(seconds / 60);
  if (seconds < 60) return "less than a minute";
  if (minutes < 60) return `${minutes} min`;
  const hours = Math.floor(minutes / 60);
  return hours < 48 ? `${hours} h ${minutes % 60} min` : `${Math.floor(hours / 24)} days ${hours % 24} h`;
}

function ticks(low, high, count) {
  const raw = (high - low) / Math.max(count, 1);
  const power = 10 ** Math.floor(Math.log10(raw));
  const step = power * ([1, 2, 5, 10].find((factor) => factor * power >= raw) || 10);
  const found = [];
  for (let value = Math.ceil(low / step - 1e-9) * step; value <= high + step * 1e-9; value += step) found.push(value || 0);
  return { found, digits: Math.max(0, -Math.floor(Math.log10(step) + 1e-9)) };
}

function quantile(values, share) {
  const sorted = [...values].sort((one, other) => one - other);
  return sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))];
}

// lines: [{name, points: [[x, y], …], kind, dots, band: [[x, low, high], …], silent}]; marks: [{y, name}]; jump: {at, earliest, latest}
function draw(id, { lines, marks = [], jump = null, range = null, label, format = short, steps = 0 }) {
  const box = $(id);
  const shown = lines.filter((line) => line.points.length);
  box.replaceChildren();
  if (!shown.length) {
    box.append(element("div", "No numbers yet", "empty"));
    return;
  }
  const width = box.clientWidth, height = box.clientHeight, left = 44, right = 10, top = 10, bottom = 24;
  const xs = shown.flatMap((line) => line.points.map((point) => point[0]));
  const x1 = Math.max(...xs, steps, 1);
  const ys = range || shown.flatMap((line) => [...line.points.map((point) => point[1]), ...(line.band || []).flatMap((b) => [b[1], b[2]])]);
  let low = Math.min(...ys, ...marks.map((mark) => mark.y)), high = Math.max(...ys, ...marks.map((mark) => mark.y));
  const room = (high - low) * 0.08 || Math.abs(high) * 0.1 || 1;
  low = low >= 0 ? Math.max(0, low - room) : low - room;
  high += room;
  const x = (value) => left + ((width - left - right) * value) / x1;
  const y = (value) => height - bottom - ((height - top - bottom) * (Math.min(Math.max(value, low), high) - low)) / (high - low);
  const root = svg("svg", { viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": label }, box);
  const vertical = ticks(low, high, Math.max(2, Math.floor((height - top - bottom) / 48)));
  for (const value of vertical.found) {
    svg("line", { class: "grid", x1: left, x2: width - right, y1: y(value), y2: y(value) }, root);
    svg("text", { x: left - 7, y: y(value) + 4, "text-anchor": "end" }, root, value.toFixed(vertical.digits));
  }
  for (const value of ticks(0, x1, Math.max(2, Math.floor((width - left) / 90))).found) {
    const anchor = value === 0 ? "start" : x(value) > width - right - 20 ? "end" : "middle";
    svg("text", { x: x(value), y: height - 6, "text-anchor": anchor }, root, whole(value));
  }
  svg("line", { class: "axis", x1: left, x2: width - right, y1: height - bottom, y2: height - bottom }, root);
  if (jump && jump.at !== null) {
    const from = x(jump.earliest), to = x(jump.latest);
    svg("rect", { class: "jump-range", x: from, y: top, width: Math.max(to - from, 1), height: height - top - bottom }, root);
    svg("line", { class: "jump", x1: x(jump.at), x2: x(jump.at), y1: top, y2: height - bottom }, root);
  }
  for (const mark of marks) {
    svg("line", { class: "mark", x1: left, x2: width - right, y1: y(mark.y), y2: y(mark.y) }, root);
    svg("text", { x: width - right, y: y(mark.y) - 5, "text-anchor": "end" }, root, `${mark.name} ${format(mark.y)}`);
  }
  for (const line of shown) {
    if (line.band && line.band.length > 1) {
      const upper = line.band.map((b) => `${x(b[0])},${y(b[2])}`);
      const lower = line.band.map((b) => `${x(b[0])},${y(b[1])}`).reverse();
      svg("polygon", { class: "band", points: [...upper, ...lower].join(" ") }, root);
    }
    svg("polyline", { class: `line ${line.kind}`, points: line.points.map((point) => `${x(point[0])},${y(point[1])}`).join(" ") }, root);
    if (line.dots && line.points.length <= 60) {
      for (const point of line.points) svg("circle", { class: `dot ${line.kind}`, cx: x(point[0]), cy: y(point[1]), r: 3.5 }, root);
    }
  }
  if (jump && jump.at !== null) {
    const anchor = x(jump.at) > width * 0.7 ? "end" : "start";
    const at = x(jump.at) + (anchor === "end" ? -6 : 6);
    svg("text", { class: "jump-text", x: at, y: height - bottom - 8, "text-anchor": anchor }, root, `took hold at about ${whole(jump.at)}`);
  }
  follow(box, root, { shown, x, left, right, top, bottom, width, height, format });
}

function follow(box, root, { shown, x, left, right, top, bottom, width, height, format }) {
  const tip = element("div", "", "tip");
  const cursor = svg("line", { class: "cursor", y1: top, y2: height - bottom, visibility: "hidden" }, root);
  tip.hidden = true;
  box.append(tip);
  root.addEventListener("pointermove", (event) => {
    const at = event.clientX - root.getBoundingClientRect().left;
    const nearest = (points) => points.reduce((best, point) => (Math.abs(x(point[0]) - at) < Math.abs(x(best[0]) - at) ? point : best));
    const found = shown.filter((line) => !line.silent).map((line) => [line, nearest(line.points)]);
    const step = nearest(found.map((pair) => pair[1]))[0];
    tip.textContent = [`step ${whole(step)}`, ...found.map(([line, point]) => `${line.name} ${format(point[1])}`)].join("\n");
    cursor.setAttribute("x1", x(step));
    cursor.setAttribute("x2", x(step));
    cursor.setAttribute("visibility", "visible");
    tip.hidden = false;
    tip.style.top = `${top + 4}px`;
    tip.style.left = `${x(step) > width / 2 ? Math.max(x(step) - tip.offsetWidth - 10, left) : Math.min(x(step) + 10, width - right)}px`;
  });
  root.addEventListener("pointerleave", () => {
    tip.hidden = true;
    cursor.setAttribute("visibility", "hidden");
  });
}

function showHead() {
  const { settings } = state;
  const data = settings.data || {}, model = settings.model || {};
  $("what").textContent = data.condition ? `${data.condition} on ${model.base || "?"}, from ${data.source}` : "";
  $("status").textContent = { running: "running", finished: "finished", stopped: "not running" }[state.status];
  $("status").className = `status ${state.status}`;
  $("progress").value = state.steps ? state.step / state.steps : 0;
  const saved = state.saved === null ? "" : `, saved at ${whole(state.saved)}`;
  $("steps").textContent = `step ${whole(state.step)}${state.steps ? ` of ${whole(state.steps)}` : ""}${saved}`;
  const resumes = state.status === "stopped" ? "the same command resumes it" : "";
  $("left").textContent = state.status === "running" && state.seconds_left !== null ? `${duration(state.seconds_left)} left` : resumes;
  $("path").textContent = state.path;
  const names = { probe: ["Sample now", "Sampling…"], save: ["Save now", "Saving…"], stop: ["Stop", "Stopping…"] };
  $("buttons").hidden = state.read_only || state.status !== "running";
  for (const button of document.querySelectorAll("[data-ask]")) {
    const waits = state.asked.includes(button.dataset.ask);
    button.disabled = waits;
    button.textContent = names[button.dataset.ask][Number(waits)];
  }
}

function showCurves() {
  const { probes } = state;
  const last = probes[probes.length - 1];
  const column = (name) => probes.filter((probe) => probe[name] !== null).map((probe) => [probe.step, probe[name]]);
  const band = probes.filter((probe) => probe.low !== null && probe.high !== null).map((probe) => [probe.step, probe.low, probe.high]);
  const marks = last ? [{ y: last.uncontrolled, name: "without control" }, { y: last.ceiling, name: "ceiling" }] : [];
  const steps = state.steps || 0;
  $("measure").textContent = last ? last.measure : "";
  $("legend-jump").hidden = !state.jump;
  if (last) {
    const share = (last.fidelity - last.uncontrolled) / (last.ceiling - last.uncontrolled);
    const sure = last.low === null ? "" : ` [${last.low.toFixed(3)}, ${last.high.toFixed(3)}]`;
    const made = `${last.pictures} held-out pictures, strength ${last.strength}, guidance ${last.guidance} (none without prompts), ${last.denoising_steps} steps`;
    const closed = Number.isFinite(share) ? `, ${Math.round(100 * share)} % of the gap` : "";
    $("lead").textContent = `${last.fidelity.toFixed(3)}${sure} at step ${whole(last.step)}${closed}`;
    $("made").textContent = last.pictures === null ? "" : made;
  }
  draw("chart-fidelity", {
    lines: [
      { name: "without prompts", points: column("without_prompt"), kind: "unprompted" },
      { name: "fidelity", points: column("fidelity"), kind: "fidelity", dots: true, band },
    ],
    marks: marks.filter((mark) => mark.y !== null), jump: state.jump, steps, format: (value) => value.toFixed(3),
    label: last ? `Fidelity of ${probes.length} probes; the newest is ${$("lead").textContent}. A table below has them all.` : "",
  });
  const smooth = state.means.map((point) => point[1]);
  const held = column("held_out_loss");
  const raw = state.losses.map((point) => point[1]);
  draw("chart-loss", {
    lines: [
      { name: "", points: state.losses, kind: "raw", silent: true },
      { name: "training", points: state.means, kind: "loss" },
      { name: "held out", points: held, kind: "held", dots: true },
    ],
    range: raw.length ? [...smooth, ...held.map((point) => point[1]), quantile(raw, 0.02), quantile(raw, 0.95)] : null,
    steps, label: `Training loss ${short(smooth[smooth.length - 1])}, held-out loss ${short(held.length ? held[held.length - 1][1] : null)}`,
  });
  const zero = (points) => (points.length ? [0, Math.max(...points.map((point) => point[1]))] : null);
  draw("chart-speed", { lines: [{ name: "samples/s", points: state.speeds, kind: "loss" }], range: zero(state.speeds), steps, label: `Throughput ${short(state.speeds.length ? state.speeds[state.speeds.length - 1][1] : null)} samples per second` });
  const gib = (points) => points.map((point) => [point[0], point[1] / 2 ** 30]);
  const memory = gib(state.memory), device = gib(state.device_memory);
  $("legend-memory").hidden = !device.length;
  draw("chart-memory", { lines: [{ name: "process", points: memory, kind: "loss" }, { name: "GPU", points: device, kind: "held" }], range: zero([...memory, ...device]), steps, label: `Memory ${short(memory.length ? memory[memory.length - 1][1] : null)} GiB` });
}

function showSheet() {
  const { sheets } = state;
  const place = chosen === null || !sheets.includes(chosen) ? sheets.length - 1 : sheets.indexOf(chosen);
  const name = sheets[place];
  $("no-sheet").hidden = Boolean(name);
  $("sheet-link").hidden = !name;
  $("slider-row").hidden = sheets.length < 2;
  if (!name) return;
  const step = whole(Number(name.slice(5, -4)));
  const address = `/samples/${name}`;
  if ($("sheet").getAttribute("src") !== address) {
    $("sheet").src = $("sheet-link").href = address;
    $("sheet").alt = `Sheet of the probe at step ${step}: true pictures, their maps, and pictures made without and with the control`;
  }
  $("sheet-step").textContent = `step ${step}${place === sheets.length - 1 ? ", the newest" : ""}`;
  $("slider").max = sheets.length - 1;
  $("slider").value = place;
  $("slider").setAttribute("aria-valuetext", `step ${step}`);
  $("earlier").disabled = place === 0;
  $("later").disabled = $("newest").disabled = place === sheets.length - 1;
}

function choose(place) {
  const last = state.sheets.length - 1;
  chosen = place >= last ? null : state.sheets[Math.max(place, 0)];
  showSheet();
}

function showMessages() {
  $("no-messages").hidden = state.messages.length > 0;
  const known = JSON.stringify(state.messages);
  if ($("messages").dataset.known === known) return; // what is being read or scrolled stays
  $("messages").dataset.known = known;
  $("messages").replaceChildren(...[...state.messages].reverse().map((message) => {
    const item = element("li", undefined, message.level === "warning" ? "warning" : "");
    item.append(element("span", `step ${whole(message.step)}`, "step"), message.text);
    return item;
  }));
}

function showDetails() {
  const columns = ["step", "fidelity", "low", "high", "without_prompt", "uncontrolled", "ceiling", "held_out_loss"];
  const row = (cells, kind) => {
    const line = element("tr");
    line.append(...cells.map((cell) => element(kind, cell)));
    return line;
  };
  const head = ["step", "fidelity", "95 % from", "to", "without prompts", "without control", "ceiling", "held-out loss"];
  $("table").replaceChildren(row(head, "th"), ...[...state.probes].reverse().map((probe) => row(columns.map((name) => (name === "step" ? whole(probe.step) : short(probe[name]))), "td")));
  const known = JSON.stringify(state.settings);
  if ($("settings").dataset.known === known) return;
  $("settings").dataset.known = known;
  $("settings").replaceChildren(...Object.entries(state.settings).filter(([, group]) => group && typeof group === "object").map(([name, group]) => {
    const part = element("div"), list = element("dl");
    for (const [key, value] of Object.entries(group)) list.append(element("dt", key), element("dd", typeof value === "object" ? JSON.stringify(value) : String(value)));
    part.append(element("h3", name), list);
    return part;
  }));
}

function show() {
  showHead();
  showCurves();
  showSheet();
  showMessages();
  showDetails();
}

async function look() {
  try {
    const answer = await fetch("/api/run", { cache: "no-store" });
    if (!answer.ok) throw new Error((await answer.json()).error);
    state = await answer.json();
    show();
  } catch (error) {
    $("status").textContent = "zeroconv watch has ended";
    $("status").className = "status lost";
    $("buttons").hidden = true;
  }
  setTimeout(look, state && state.status === "running" && !document.hidden ? 2000 : 8000);
}

async function ask(name) {
  if (name === "stop" && !window.confirm("Stop the run after this step? Its state is saved, and the same command resumes it.")) return;
  const said = { probe: "Sampling after this step.", save: "Saving after this step.", stop: "Stopping after this step." };
  let text = said[name], bad = false;
  try {
    const answer = await fetch(`/api/${name}`, { method: "POST", headers: { "X-Zeroconv-Token": token } });
    if (!answer.ok) [text, bad] = [(await answer.json()).error, true];
  } catch (error) {
    [text, bad] = ["The page's server does not answer.", true];
  }
  $("answer").textContent = text;
  $("answer").className = bad ? "bad" : "";
  setTimeout(() => ($("answer").textContent = ""), 8000);
}

for (const button of document.querySelectorAll("[data-ask]")) button.addEventListener("click", () => ask(button.dataset.ask));
$("slider").addEventListener("input", () => choose(Number($("slider").value)));
$("earlier").addEventListener("click", () => choose(Number($("slider").value) - 1));
$("later").addEventListener("click", () => choose(Number($("slider").value) + 1));
$("newest").addEventListener("click", () => choose(Infinity));
let resized = 0;
new ResizeObserver(() => {
  clearTimeout(resized);
  resized = setTimeout(() => state && showCurves(), 60);
}).observe(document.querySelector("main"));
look();
