// The page: a groove on the stage, and what the controls make of it.
//
// A groove is what the model needs to play it again (see model.js), and its name. One that is shown
// as in a file has `hits`, which are shown as they are.

import { FilePanel } from "./files.js";
import { BAR_STEPS, DRUMS, LANES, SHORT_NAMES, describe } from "./groove.js";
import { writeMidi } from "./midi.js";
import { Model, between, neighbour, reason } from "./model.js";
import { Player } from "./player.js";

const $ = (id) => document.getElementById(id);
const calm = matchMedia("(prefers-reduced-motion: reduce)");
const percent = (share) => `${Math.round(100 * share)} %`;

// In 16ths late; the colours are those of groovae's reports.
const FEELS = [
  [-1 / 6, "early"], [-1 / 16, "a-bit-early"], [1 / 16, "on-grid"], [1 / 6, "a-bit-late"],
  [Infinity, "late"],
];
const [SOFTEST, LOUDEST] = [0.12, 0.88]; // the heights of stems, in lanes

// What the temperature does, by the model's task.
const TEMPERATURES = {
  null: "What is left to chance",
  humanize: "What is left to chance: the hits of a new groove, the feel of a file",
  transfer: "What is left to chance in the feel of a file",
};

let model, player, files;
let shown = []; // the hits on the stage
let current, home; // grooves: on the stage, and the one that variations start from
let [count, variation] = [0, 0];
const ends = {};
let mix; // for each step and drum, how far from A to B it changes sides
let beat = []; // hits to play, for a model that needs some

// The stage

let wanted = null; // what is to be shown next, as only the last of many changes counts

function show(groove, settled = true) {
  const isFirst = wanted === null;
  current = groove;
  wanted = { settled: settled || (wanted?.settled ?? false) };
  if (isFirst) requestAnimationFrame(draw);
}

async function draw() {
  const [groove, { settled }] = [current, wanted];
  wanted = null;
  let hits;
  try {
    hits = groove.hits ?? await model.decode(groove, Number($("temperature").value));
  } catch (error) {
    tell(`The model failed: ${reason(error)}.`);
    return;
  }
  if (groove !== current) return; // another one has come meanwhile
  player.hits = shown = hits;
  $("name").textContent = groove.name;
  const text = describe(shown, model.steps);
  $("summary").textContent = text;
  drawRoll($("roll"), shown);
  $("roll").setAttribute("aria-label", text);
  $("locked").textContent = home === groove ? "this groove" : home.name;
  $("back").setAttribute("aria-disabled", String(groove === home));
  $("temperature-note").textContent = groove.hits
    ? "Of no effect while a groove is shown as in its file"
    : TEMPERATURES[model.task] ?? TEMPERATURES.null;
  files.follow(groove);
  tell("");
  if (settled) $("live").textContent = `${groove.name}. ${text}`;
}

// Shows a groove that variations start from.
function stage(groove, settled = true) {
  home = groove;
  variation = 0;
  show(groove, settled);
}

function drawRoll(roll, hits) {
  const paths = new Map(FEELS.map(([, name]) => [name, ""]));
  for (const { step, drum, velocity, late } of hits) {
    const [, name] = FEELS.find(([limit]) => late < limit);
    const height = SOFTEST + ((LOUDEST - SOFTEST) * velocity) / 127;
    const bottom = LANES.indexOf(drum) + 0.94;
    paths.set(name, `${paths.get(name)}M${step + late} ${bottom}v${-height}`);
  }
  roll.setAttribute("viewBox", `0 0 ${model.steps} ${DRUMS}`);
  const drawn = [...paths].map(([name, d]) => `<path class="${name}" d="${d}"/>`).join("");
  roll.innerHTML = grid(model.steps) + drawn;
}

function grid(steps) {
  const each = (count, path) => Array.from({ length: count }, (_, i) => path(i)).join("");
  const lanes = each(DRUMS + 1, (lane) => `M0 ${lane}h${steps}`);
  const beats = each(steps / 4, (beat) => `M${4 * beat} 0v${DRUMS}`);
  const bars = each(steps / BAR_STEPS + 1, (bar) => `M${BAR_STEPS * bar} 0v${DRUMS}`);
  return `<path class="lane" d="${lanes}"/><path class="beat" d="${beats}"/>` +
    `<path class="bar" d="${bars}"/>`;
}

// Playing

function togglePlaying() {
  if (player.isPlaying) player.stop();
  else player.start().catch((error) => tell(`This browser cannot play: ${error.message}`));
  const { isPlaying } = player;
  $("play").setAttribute("aria-pressed", String(isPlaying));
  $("field").classList.toggle("playing", isPlaying);
  if (isPlaying) follow();
}

// Moves the playhead, keeps it in view, and lights up what is being struck.
function follow() {
  const { position } = player;
  $("field").style.setProperty("--at", position / model.steps);
  [...$("lanes").children].forEach((lane, i) => {
    const isStruck = player.isPlaying && shown.some(({ step, late, drum }) => {
      const since = position - step - late;
      return drum === LANES[i] && since >= 0 && since < 0.8;
    });
    lane.classList.toggle("struck", isStruck);
  });
  keepInView(position);
  if (!player.isPlaying) return;
  if (calm.matches) setTimeout(follow, 250);
  else requestAnimationFrame(follow);
}

function keepInView(position) {
  const { scrollWidth, clientWidth, scrollLeft } = $("viewport");
  if (scrollWidth <= clientWidth || !player.isPlaying) return;
  const x = (position / model.steps) * scrollWidth;
  if (calm.matches) {
    if (x < scrollLeft || x > scrollLeft + clientWidth) $("viewport").scrollLeft = x;
  } else {
    $("viewport").scrollLeft = x - clientWidth / 3;
  }
}

// What the buttons do

const drawn = () => ({ ...model.sample(beat), name: `Groove ${++count}` });

function vary() {
  const from = $("lock").checked ? home : current;
  variation++;
  show({
    ...neighbour(from, model.randomZ(), Number($("amount").value)),
    name: `Variation ${variation} of ${home.name}`,
  });
}

function keep(side, groove, hits) {
  ends[side] = groove;
  drawRoll($(`roll-${side}`), hits);
  $(`about-${side}`).textContent = groove.name;
}

function onTheWay(share) {
  const name = { 0: "A", 1: "B" }[share] ?? `${percent(share)} of the way from A to B`;
  return { ...between(ends.a, ends.b, share, mix), name };
}

function download() {
  const pitches = model.arguments.pitchClasses.map(([pitch]) => pitch);
  const bytes = writeMidi(shown, model.steps, player.qpm, pitches);
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([bytes], { type: "audio/midi" }));
  link.download = `${current.name.replace(/[^\w]+/g, "-").toLowerCase()}.mid`;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}

// Setting up

function tell(text) {
  $("status").textContent = text;
  $("status").hidden = !text;
}

// A file may be slower or faster than the slider goes; then it goes as far.
function takeTempo(qpm) {
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
    change(false);
  });
  $(id).addEventListener("change", () => change(true));
}

function listen() {
  $("play").addEventListener("click", togglePlaying);
  $("generate").addEventListener("click", () => stage(drawn()));
  $("download").addEventListener("click", download);
  $("vary").addEventListener("click", vary);
  $("back").addEventListener("click", () => show(home));
  $("lock").addEventListener("change", () => {
    if ($("lock").checked) stage(current);
  });
  $("keep-a").addEventListener("click", () => keep("a", current, shown));
  $("keep-b").addEventListener("click", () => keep("b", current, shown));
  onSlider("temperature", (value) => value.toFixed(2), (settled) => show(current, settled));
  onSlider("amount", percent, () => {});
  onSlider("share", percent, (settled) => stage(onTheWay(Number($("share").value)), settled));
  onSlider("tempo", (value) => `${value} bpm`, () => setTempo(Number($("tempo").value)));
}

// Eighths on the hi-hat, for a model that needs a beat, until it gets one.
function plainBeat(steps) {
  const hits = [];
  for (let step = 0; step < steps; step += 2) {
    const hit = { step, velocity: 90, late: 0 };
    hits.push({ ...hit, drum: 2 });
    if (step % 8 === 0) hits.push({ ...hit, drum: 0 });
    if (step % 8 === 4) hits.push({ ...hit, drum: 1 });
  }
  return hits;
}

async function begin() {
  try {
    model = await Model.load(new URL(".", document.baseURI).href.replace(/\/$/, ""));
    beat = plainBeat(model.steps);
    const [first, second] = [drawn(), drawn()];
    const hits = await model.decode(first, Number($("temperature").value));
    setUp();
    stage(first);
    keep("a", first, hits);
    keep("b", second, await model.decode(second, Number($("temperature").value)));
  } catch (error) {
    tell(`The model could not be loaded: ${reason(error)}; ${advice()}.`);
  }
}

function setUp() {
  player = new Player(model.steps);
  files = new FilePanel(model, takeTempo, (groove, hits) => {
    beat = hits;
    stage(groove);
  });
  const { about } = model;
  if (about.step) {
    $("trained").before(", ");
    $("trained").textContent = `step ${about.step.toLocaleString("en")}`;
  }
  $("licence").textContent = about.licence ? `Licence of the model: ${about.licence}.` : "";
  $("lanes").innerHTML = LANES.map((drum) => `<span>${SHORT_NAMES[drum]}</span>`).join("");
  $("bars").innerHTML = Array.from(
    { length: model.steps / BAR_STEPS }, (_, bar) => `<span>${bar + 1}</span>`).join("");
  mix = Float32Array.from({ length: model.steps * DRUMS }, Math.random);
  tell("");
  $("app").hidden = false;
  listen();
}

function advice() {
  if (globalThis.mm) return "export it again";
  const { src } = document.querySelector("script[src]");
  return `it comes from ${src}; export with --magenta_js=PATH for a copy of your own`;
}

begin();
