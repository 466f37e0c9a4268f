// The model: magenta.js's MusicVAE, whose chances are told apart from its weights.
//
// magenta.js draws each hit anew as it decodes. Here a hit falls where its logit is over the
// temperature times its chance, log(u / (1 - u)) of a u that was drawn before, which is as often.
// So one groove stays itself when the temperature or the latent z changes a little, and hits can be
// given. All of it is computed without WebGL, which has half the digits on some phones.
//
// A groove here is { z, spread, chances, given, felt, own }, all that it takes to play it again at
// a temperature. It is decoded from z + temperature * spread. For each step and drum there are its
// chance, whether the hit is given, and whether its velocity and offset are `felt`: those of a hit.
// `own` are hits of a player that stay as they are.

import {
  BAR_STEPS, DRAWN, DRUMS, byTime, cellOf, givenBy, heard, hitsOf, tensorOf,
} from "./groove.js";

const MIN_LIKELIHOOD = 0.05;
const SHARD_BYTES = 4 << 20; // as groovae's shards.py writes them; the last one may be shorter
const BYTES = { float32: 4, float16: 2, uint16: 2, uint8: 1 };

export class Model {
  // Loads the model that lies in a folder; throws an Error that tells what is wrong.
  static async load(url) {
    const { mm } = globalThis;
    if (!mm) throw new Error("magenta.js did not load");
    await mm.tf.setBackend("cpu");
    const spec = await read(url, "config.json", "json");
    const { numSteps } = spec.dataConverter.args;
    if (!numSteps || numSteps % BAR_STEPS) {
      throw new Error(`config.json: numSteps is ${numSteps}, and a bar has ${BAR_STEPS}`);
    }
    await checkWeights(url);
    const vae = new mm.MusicVAE(url, spec);
    await vae.initialize();
    addSigma(mm.tf, vae);
    return new Model(mm.tf, vae, spec);
  }

  constructor(tf, vae, spec) {
    this.tf = tf;
    this.vae = vae;
    this.about = spec.groovae ?? {};
    this.arguments = spec.dataConverter.args;
    this.steps = this.arguments.numSteps;
    this.zSize = vae.zDims;
    this.task = this.about.task ?? null;
    this.addInstruments = this.about.addInstruments ?? [];
    this.needsHits = (spec.extraControls ?? []).length > 0;
  }

  // A point of latent space under the prior, and chances for each step and drum.
  randomZ() {
    return Float32Array.from({ length: this.zSize }, normal);
  }

  randomChances() {
    return Float32Array.from({ length: this.steps * DRUMS }, () => {
      const u = Math.min(Math.max(Math.random(), 1e-7), 1 - 1e-7);
      return Math.log(u / (1 - u));
    });
  }

  // A groove under the prior; a model that needs hits plays those of a beat.
  sample(beat) {
    return {
      z: this.randomZ(),
      spread: new Float32Array(this.zSize),
      chances: this.randomChances(),
      given: this.needsHits ? this.givenBy(beat) : this.nothingGiven(),
      felt: new Uint8Array(this.steps * DRUMS).fill(this.needsHits),
      own: [],
    };
  }

  // What the model makes of a window, by the rules of groovae's generate.py: the feel varies around
  // mu where all hits are given, and the notes that a hi-hat is played to are left alone.
  async answer(hits) {
    const { mu, sigma } = await this.encode(hits);
    const given = this.givenBy(hits);
    const varies = !given.includes(DRAWN);
    return {
      z: mu,
      spread: this.randomZ().map((value, i) => (varies ? value * sigma[i] : 0)),
      chances: this.randomChances(),
      given,
      felt: new Uint8Array(given.length).fill(this.task !== null),
      own: varies ? [] : hits.filter((hit) => given[cellOf(hit)] !== DRAWN),
    };
  }

  // Of the hits of a window: which of them the model leaves as they are.
  givenBy(hits) {
    if (this.arguments.humanize || this.needsHits) return givenBy(hits, this.steps);
    if (this.addInstruments.length) return givenBy(hits, this.steps, this.addInstruments);
    return this.nothingGiven();
  }

  nothingGiven() {
    return new Int8Array(this.steps * DRUMS).fill(DRAWN);
  }

  // The latent mean of a window, and the standard deviation around it.
  async encode(hits) {
    const seen = tensorOf(heard(hits, this.arguments, this.addInstruments), this.steps);
    const inputs = this.tf.tensor3d(seen, [1, this.steps, 3 * DRUMS]);
    const controls = this.#controls(this.givenBy(hits));
    const outputs = await this.vae.encodeTensors(inputs, controls);
    const values = await outputs.data();
    this.tf.dispose([inputs, outputs, controls?.extraControls]);
    return { mu: values.slice(0, this.zSize), sigma: values.slice(this.zSize).map(softplus) };
  }

  // The hits of a groove.
  async decode({ z, spread, chances, given, felt, own }, temperature) {
    const likelihoods = [];
    this.vae.decoder.sample = (output) => {
      const first = likelihoods.length;
      const row = played(output.dataSync(), (drum, logit) => {
        likelihoods.push(sigmoid(logit));
        const said = given[first + drum];
        return said === DRAWN ? logit > temperature * chances[first + drum] : said === 1;
      });
      return this.tf.tensor2d(row, [1, row.length]);
    };
    const point = this.tf.tensor2d(
      z.map((value, i) => value + temperature * spread[i]), [1, this.zSize]);
    const controls = this.#controls(given);
    const decoded = await this.vae.decodeTensors(point, undefined, controls);
    const tensor = await decoded.data();
    this.tf.dispose([point, decoded, controls?.extraControls]);
    const kept = new Map(own.map((hit) => [cellOf(hit), hit]));
    const hits = hitsOf(asHits(tensor, likelihoods, felt));
    return hits.map((hit) => kept.get(cellOf(hit)) ?? hit).sort(byTime);
  }

  #controls(given) {
    if (!this.needsHits) return undefined;
    const hits = Float32Array.from(given, (said) => (said === 1 ? 1 : 0));
    return { extraControls: { hits: this.tf.tensor2d(hits, [this.steps, DRUMS]) } };
  }
}

// What went wrong, in one line without its full stop.
export const reason = ({ message }) => message.split("\n")[0].replace(/[.:]$/, "");

// A file of a folder, as `json` or as `arrayBuffer`; an Error names it.
async function read(url, name, kind) {
  try {
    const response = await fetch(`${url}/${name}`);
    if (!response.ok) throw new Error(`the server answers ${response.status}`);
    return await response[kind]();
  } catch (error) {
    throw new Error(`${name}: ${reason(error)}`);
  }
}

// Checks what magenta.js takes as it comes: that the weights are there, and whole.
async function checkWeights(url) {
  for (const { paths, weights } of await read(url, "weights_manifest.json", "json")) {
    const shards = await Promise.all(paths.map((path) => read(url, path, "arrayBuffer")));
    let rest = weights.reduce((sum, weight) => sum + bytesOf(weight), 0);
    shards.forEach(({ byteLength }, i) => {
      const wanted = Math.min(rest, SHARD_BYTES);
      if (byteLength !== wanted) {
        throw new Error(`${paths[i]}: it has ${byteLength} bytes, not ${wanted}`);
      }
      rest -= wanted;
    });
  }
}

const bytesOf = ({ shape, dtype, quantization }) =>
  shape.reduce((product, size) => product * size, BYTES[quantization?.dtype ?? dtype]);

// magenta.js's encoder says mu alone; its last layer gets what sigma is made of as well.
function addSigma(tf, { encoder, rawVars }) {
  const both = (part) =>
    tf.concat(["mu", "sigma"].map((name) => rawVars[`encoder/${name}/${part}`]), -1);
  encoder.muVars = { kernel: both("kernel"), bias: both("bias") };
}

// A step of the decoder's output as hits, velocities and offsets.
function played(output, isHit) {
  const row = new Float32Array(3 * DRUMS);
  for (let drum = 0; drum < DRUMS; drum++) {
    row[drum] = isHit(drum, output[drum]) ? 1 : 0;
    row[DRUMS + drum] = sigmoid(output[DRUMS + drum]);
    row[2 * DRUMS + drum] = Math.tanh(output[2 * DRUMS + drum]);
  }
  return row;
}

// The decoder learned velocities and offsets as their mean over hit and no hit. Where hits stand
// beside a player's own they are taken as those of a hit; see groovae's latent.condition_on_hits.
export function asHits(tensor, likelihoods, felt) {
  return tensor.map((value, i) => {
    const [step, part] = [Math.floor(i / (3 * DRUMS)), Math.floor((i % (3 * DRUMS)) / DRUMS)];
    const cell = step * DRUMS + (i % DRUMS);
    return part && felt[cell] ? value / Math.max(likelihoods[cell], MIN_LIKELIHOOD) : value;
  });
}

// Between two points of latent space, on the arc; see groovae's latent.slerp.
export function slerp(start, end, share) {
  const dot = (a, b) => a.reduce((sum, value, i) => sum + value * b[i], 0);
  const norms = Math.sqrt(dot(start, start) * dot(end, end));
  const omega = Math.acos(Math.min(Math.max(dot(start, end) / Math.max(norms, 1e-12), -1), 1));
  const sine = Math.sin(omega);
  const [a, b] = sine < 1e-6
    ? [1 - share, share]
    : [Math.sin((1 - share) * omega) / sine, Math.sin(share * omega) / sine];
  return start.map((value, i) => a * value + b * end[i]);
}

// A neighbour: a step of this length, 0 to 1, in the direction of a `noise` under the prior.
export function stepAway(z, noise, length) {
  return z.map((value, i) => Math.sqrt(1 - length ** 2) * value + length * noise[i]);
}

// The same groove at a neighbour of its z. One that was shown as in a file is now played.
export function neighbour({ hits, ...groove }, noise, length) {
  return { ...groove, z: stepAway(groove.z, noise, length) };
}

// A groove on the way from one to another, which begins and ends with them. Cell by cell what
// belongs to a cell changes sides, as soon as the share is over that cell's number in `mix`.
export function between(a, b, share, mix) {
  if (share === 0 || share === 1) return share ? b : a;
  const sideOf = (cell) => (mix[cell] < share ? b : a);
  const mixed = (name) => a[name].map((_, cell) => sideOf(cell)[name][cell]);
  return {
    z: slerp(a.z, b.z, share),
    spread: slerp(a.spread, b.spread, share),
    chances: mixed("chances"),
    given: mixed("given"),
    felt: mixed("felt"),
    own: [a, b].flatMap((side) => side.own.filter((hit) => sideOf(cellOf(hit)) === side)),
  };
}

const softplus = (x) => Math.max(x, 0) + Math.log1p(Math.exp(-Math.abs(x)));
const sigmoid = (x) => 1 / (1 + Math.exp(-x));

function normal() {
  return Math.sqrt(-2 * Math.log(1 - Math.random())) * Math.cos(2 * Math.PI * Math.random());
}
