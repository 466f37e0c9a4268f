// The page: shows and plays a groove, and connects the controls to the model.
//
// A groove is what the model needs to decode it, and its name; see segments.js.

import { FilePanel } from "./files.js";
import { BAR_STEPS, DRUMS, LANES, SHORT_NAMES, describeHits } from "./groove.js";
import { writeMidi } from "./midi.js";
import { Model, reason } from "./model.js";
import { Player } from "./player.js";
import { decodeAll, interpolateAll, varyAll } from "./segments.js";

const $ = (id) => document.getElementById(id);
const reducedMotion = matchMedia("(prefers-reduced-motion: reduce)");
const percent = (share) => `${Math.round(100 * share)} %`;

// Upper limits in 16ths late, and the colour class; as in groovae's reports.
const TIMINGS = [
  [-1 / 6, "early"], [-1 / 16, "a-bit-early"], [1 / 16, "on-grid"], [1 / 6, "a-bit-late"],
  [Infinity, "late"],
];
const [MIN_STEM, MAX_STEM] = [0.12, 0.88]; // in lanes, for velocities 0 and 127

// The effect of the temperature, by the model's task.
const TEMPERATURES = {
  null: "Randomness of the hits",
  humanize: "Randomness of the hits of a new groove, and of the feel of a file",
  transfer: "Randomness of the feel of a file",
};

let model, player, files;
let shown = []; // the hits on display
let current, home; // grooves: on display, and the one that variations start from
let [count, variation] = [0, 0];
const ends = {}; // the grooves A and B
let switchPoints; // by step and drum, the share at which a cell switches from A to B
let controls; // for a model with hits as controls: { windows, steps }

// Display

let pending = null; // set while a redraw is scheduled, which shows the latest groove only
let job = 0; // the number of the last task that takes a while

// Ends the task before. Returns a function that the new one calls now and then with the bar it works
// on, to let the browser draw; it returns whether to proceed.
function begin() {
  const number = ++job;
  return async (place) => {
    $("summary").textContent = `Processing bar ${place}`;
    await new Promise((wake) => setTimeout(wake));
    return number === job;
  };
}

function show(groove, isFinal = true) {
  begin();
  const isScheduled = pending !== null;
  current = groove;
  pending = { isFinal: isFinal || (pending?.isFinal ?? false) };
  if (!isScheduled) requestAnimationFrame(draw);
}

async function draw() {
  const [groove, { isFinal }] = [current, pending];
  pending = null;
  let hits;
  try {
    hits = groove.hits ?? await decodeAll(model, groove, Number($("temperature").value), begin());
  } catch (error) {
    showStatus(`The model failed: ${reason(error)}.`);
    return;
  }
  if (!hits || groove !== current) return; // replaced while the model was decoding
  shown = hits;
  player.setHits(hits, groove.steps);
  $("name").textContent = groove.name;
  const text = describeHits(shown, groove.steps);
  $("summary").textContent = text;
  drawRoll($("roll"), shown, groove.steps);
  drawBars(groove.steps);
  $("roll").setAttribute("aria-label", text);
  $("locked").textContent = home === groove ? "this groove" : home.name;
  $("back").setAttribute("aria-disabled", String(groove === home));
  $("temperature-note").textContent = groove.hits
    ? "No effect while the original file is shown"
    : TEMPERATURES[model.task] ?? TEMPERATURES.null;
  files.markVersion(groove);
  showStatus("");
  if (isFinal) $("live").textContent = `${groove.name}. ${text}`;
}

// Shows a groove and starts variations from it.
function showAsHome(groove, isFinal = true) {
  home = groove;
  variation = 0;
  show(groove, isFinal);
}

function showFile(groove, windows) {
  if (model.needsHits) controls = { windows, steps: groove.steps };
  showAsHome(groove);
}

// Numbers the bars, and makes the field as wide as they need.
function drawBars(steps) {
  $("field").style.setProperty("--windows", steps / model.steps);
  const bars = steps / BAR_STEPS;
  if ($("bars").childElementCount === bars) return;
  $("bars").innerHTML = Array.from({ length: bars }, (_, bar) => `<span>${bar + 1}</span>`).join("");
}

function drawRoll(roll, hits, steps) {
  const paths = new Map(TIMINGS.map(([, name]) => [name, ""]));
  for (const { step, drum, velocity, late } of hits) {
    const [, name] = TIMINGS.find(([limit]) => late < limit);
    const height = MIN_STEM + ((MAX_STEM - MIN_STEM) * velocity) / 127;
    const bottom = LANES.indexOf(drum) + 0.94;
    paths.set(name, `${paths.get(name)}M${step + late} ${bottom}v${-height}`);
  }
  roll.setAttribute("viewBox", `0 0 ${steps} ${DRUMS}`);
  const stems = [...paths].map(([name, d]) => `<path class="${name}" d="${d}"/>`).join("");
  roll.innerHTML = gridLines(steps) + stems;
}

function gridLines(steps) {
  const each = (count, path) => Array.from({ length: count }, (_, i) => path(i)).join("");
  const lanes = each(DRUMS + 1, (lane) => `M0 ${lane}h${steps}`);
  const beats = each(steps / 4, (beat) => `M${4 * beat} 0v${DRUMS}`);
  const bars = each(steps / BAR_STEPS + 1, (bar) => `M${BAR_STEPS * bar} 0v${DRUMS}`);
  return `<path class="lane" d="${lanes}"/><path class="beat" d="${beats}"/>` +
    `<path class="bar" d="${bars}"/>`;
}

// Playback

function togglePlayback() {
  if (player.isPlaying) player.stop();
  else player.start().catch((error) => showStatus(`Playback failed: ${error.message}`));
  const { isPlaying } = player;
  $("play").setAttribute("aria-pressed", String(isPlaying));
  $("field").classList.toggle("playing", isPlaying);
  if (isPlaying) animate();
}

// Moves the playhead, keeps it in view and highlights the drums being hit.
function animate() {
  const { position } = player;
  $("field").style.setProperty("--at", position / player.steps);
  [...$("lanes").children].forEach((lane, i) => {
    const isStruck = player.isPlaying && shown.some(({ step, late, drum }) => {
      const since = position - step - late;
      return drum === LANES[i] && since >= 0 && since < 0.8;
    });
    lane.classList.toggle("struck", isStruck);
  });
  keepInView(position);
  if (!player.isPlaying) return;
  if (reducedMotion.matches) setTimeout(animate, 250);
  else requestAnimationFrame(animate);
}

function keepInView(position) {
  const { scrollWidth, clientWidth, scrollLeft } = $("viewport");
  if (scrollWidth <= clientWidth || !player.isPlaying) return;
  const x = (position / player.steps) * scrollWidth;
  if (reducedMotion.matches) {
    if (x < scrollLeft || x > scrollLeft + clientWidth) $("viewport").scrollLeft = x;
  } else {
    $("viewport").scrollLeft = x - clientWidth / 3;
  }
}

// Controls

const newGroove = () => ({
  segments: controls.windows.map((hits) => hits && model.sample(hits)),
  steps: controls.steps,
  name: `Groove ${++count}`,
});

function vary() {
  const from = $("lock").checked ? home : current;
  variation++;
  show({
    ...varyAll(from, model.randomZ(), Number($("amount").value)),
    name: `Variation ${variation} of ${home.name}`,
  });
}

function keep(side, groove, hits) {
  ends[side] = groove;
  drawRoll($(`roll-${side}`), hits, groove.steps);
  $(`about-${side}`).textContent = groove.name;
}

function showBetween(share, isFinal) {
  const name = { 0: "A", 1: "B" }[share] ?? `${percent(share)} of the way from A to B`;
  showAsHome({ ...interpolateAll(ends.a, ends.b, share, switchPoints), name }, isFinal);
}

function download() {
  const pitches = model.arguments.pitchClasses.map(([pitch]) => pitch);
  const bytes = writeMidi(shown, current.steps, player.qpm, pitches);
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([bytes], { type: "audio/midi" }));
  link.download = `${current.name.replace(/[^\w]+/g, "-").toLowerCase()}.mid`;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}

function showStatus(text) {
  $("status").textContent = text;
  $("status").hidden = !text;
}

// Sets the tempo of a file, which may lie outside the slider's range and then extends it.
function setFileTempo(qpm) {
  const { min, max } = $("tempo");
  $("tempo").min = Math.min(min, Math.round(qpm));
  $("tempo").max = Math.max(max, Math.round(qpm));
  setTempo(qpm);
}

function setTempo(qpm) {
  $("tempo").value = qpm;
  $("tempo-value").textContent = `${Math.round(qpm)} bpm`;
  $("tempo").setAttribute("aria-valuetext", `${Math.round(qpm)} bpm`);
  player.setTempo(qpm);
}

function onSlider(id, format, change) {
  const update = () => {
    const text = format(Number($(id).value));
    $(`${id}-value`).textContent = text;
    $(id).setAttribute("aria-valuetext", text);
  };
  update();
  $(id).addEventListener("input", () => {
    update();
    change(Number($(id).value), false);
  });
  $(id).addEventListener("change", () => change(Number($(id).value), true));
}

function listen() {
  const onClick = (id, action) => $(id).addEventListener("click", action);
  onClick("play", togglePlayback);
  onClick("generate", () => showAsHome(newGroove()));
  onClick("download", download);
  onClick("vary", vary);
  onClick("back", () => show(home));
  onClick("keep-a", () => keep("a", current, shown));
  onClick("keep-b", () => keep("b", current, shown));
  $("lock").addEventListener("change", () => {
    if ($("lock").checked) showAsHome(current);
  });
  onSlider("temperature", (value) => value.toFixed(2), (_, isFinal) => show(current, isFinal));
  onSlider("amount", percent, () => {});
  onSlider("share", percent, showBetween);
  onSlider("tempo", (value) => `${value} bpm`, setTempo);
}

// Set-up

// Returns eighths on the hi-hat with kick and snare, until a file provides other hits.
function simpleBeat(steps) {
  const hits = [];
  for (let step = 0; step < steps; step += 2) {
    const hit = { step, velocity: 90, late: 0 };
    hits.push({ ...hit, drum: 2 });
    if (step % 8 === 0) hits.push({ ...hit, drum: 0 });
    if (step % 8 === 4) hits.push({ ...hit, drum: 1 });
  }
  return hits;
}

async function start() {
  try {
    model = await Model.load(new URL(".", document.baseURI).href.replace(/\/$/, ""));
    controls = { windows: [simpleBeat(model.steps)], steps: model.steps };
    const [first, second] = [newGroove(), newGroove()];
    const decode = ({ segments: [segment] }) => model.decode(segment, Number($("temperature").value));
    const hits = await decode(first);
    setUp();
    showAsHome(first);
    keep("a", first, hits);
    keep("b", second, await decode(second));
  } catch (error) {
    showStatus(`The model could not be loaded: ${reason(error)}; ${advice()}.`);
  }
}

function setUp() {
  player = new Player(model.steps);
  files = new FilePanel(model, { setTempo: setFileTempo, begin, show: showFile });
  const { about } = model;
  if (about.step) {
    $("trained").before(", ");
    $("trained").textContent = `step ${about.step.toLocaleString("en")}`;
  }
  $("licence").textContent = about.licence ? `Licence of the model: ${about.licence}.` : "";
  $("lanes").innerHTML = LANES.map((drum) => `<span>${SHORT_NAMES[drum]}</span>`).join("");
  switchPoints = Float32Array.from({ length: model.steps * DRUMS }, Math.random);
  showStatus("");
  $("app").hidden = false;
  listen();
}

function advice() {
  if (globalThis.mm) return "export it again";
  const { src } = document.querySelector("script[src]");
  return `it comes from ${src}; export with --magenta_js=PATH to use a local copy`;
}

start();
