// The model: magenta.js's MusicVAE, with reproducible sampling.
//
// magenta.js samples each hit anew whenever it decodes. Here a hit is present if its logit is
// greater than temperature * noise, with noise = log(u / (1 - u)) drawn once per groove, which has
// the same distribution. So a groove changes little when the temperature or z changes a little, and
// hits can be forced. All of it runs on the CPU, as WebGL has half precision on some phones.
//
// A groove is { z, spread, noise, forced, conditioned, kept }, from which it can be decoded at any
// temperature. Its latent is z + temperature * spread. For each step and drum there are the noise,
// whether a hit is forced (see SAMPLED), and whether velocity and offset are `conditioned` on the
// hit being present. `kept` are hits of the user's file that stay unchanged.

import {
  BAR_STEPS, DRUMS, SAMPLED, byTime, cellOf, encoderInput, forceHits, toHits, toTensor,
} from "./groove.js";

const MIN_LIKELIHOOD = 0.05;
const SHARD_BYTES = 4 << 20; // as in groovae/export/tfjs_weights.py; the last one may be shorter
const ALL_DRUMS = [...Array(DRUMS).keys()];
const BYTES = { float32: 4, float16: 2, uint16: 2, uint8: 1 };

export class Model {
  // Loads the model of a folder; throws an Error that names the invalid file.
  static async load(url) {
    const { mm } = globalThis;
    if (!mm) throw new Error("magenta.js did not load");
    await mm.tf.setBackend("cpu");
    const spec = await read(url, "config.json", "json");
    const { numSteps } = spec.dataConverter.args;
    if (!numSteps || numSteps % BAR_STEPS) {
      throw new Error(`config.json: numSteps is ${numSteps}, not a multiple of ${BAR_STEPS}`);
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

  randomZ() {
    return Float32Array.from({ length: this.zSize }, normal);
  }

  randomNoise() {
    return Float32Array.from({ length: this.steps * DRUMS }, () => {
      const u = Math.min(Math.max(Math.random(), 1e-7), 1 - 1e-7);
      return Math.log(u / (1 - u));
    });
  }

  // Samples a groove from the prior; a model with hits as controls plays `controlHits`.
  sample(controlHits) {
    return {
      z: this.randomZ(),
      spread: new Float32Array(this.zSize),
      noise: this.randomNoise(),
      forced: forceHits(controlHits, this.steps, this.needsHits ? [] : ALL_DRUMS),
      conditioned: new Uint8Array(this.steps * DRUMS).fill(this.needsHits),
      kept: [],
    };
  }

  // Applies the model's task to a window, as groovae/generation/groove_model.py does: if all hits
  // are forced, z varies around mu by sigma; else the hits that are forced are kept unchanged.
  async process(hits) {
    const { mu, sigma } = await this.encode(hits);
    const forced = this.forcedBy(hits);
    const allForced = !forced.includes(SAMPLED);
    return {
      z: mu,
      spread: this.randomZ().map((value, i) => (allForced ? value * sigma[i] : 0)),
      noise: this.randomNoise(),
      forced,
      conditioned: new Uint8Array(forced.length).fill(this.task !== null),
      kept: allForced ? [] : hits.filter((hit) => forced[cellOf(hit)] !== SAMPLED),
    };
  }

  // Returns which hits of a window the model does not decide.
  forcedBy(hits) {
    const keepsHits = this.arguments.humanize || this.needsHits;
    const sampled = this.addInstruments.length ? this.addInstruments : ALL_DRUMS;
    return forceHits(hits, this.steps, keepsHits ? [] : sampled);
  }

  // Returns the mean and the standard deviation of a window's posterior.
  async encode(hits) {
    const input = encoderInput(hits, this.arguments, this.addInstruments);
    const inputs = this.tf.tensor3d(toTensor(input, this.steps), [1, this.steps, 3 * DRUMS]);
    const controls = this.#controls(this.forcedBy(hits));
    const outputs = await this.vae.encodeTensors(inputs, controls);
    const values = await outputs.data();
    this.tf.dispose([inputs, outputs, controls?.extraControls]);
    return { mu: values.slice(0, this.zSize), sigma: values.slice(this.zSize).map(softplus) };
  }

  // Returns the hits of a groove.
  async decode({ z, spread, noise, forced, conditioned, kept }, temperature) {
    const likelihoods = [];
    this.vae.decoder.sample = (output) => {
      const first = likelihoods.length;
      const row = toRow(output.dataSync(), (drum, logit) => {
        likelihoods.push(sigmoid(logit));
        const cell = first + drum;
        return forced[cell] === SAMPLED ? logit > temperature * noise[cell] : forced[cell] === 1;
      });
      return this.tf.tensor2d(row, [1, row.length]);
    };
    const point = this.tf.tensor2d(
      z.map((value, i) => value + temperature * spread[i]), [1, this.zSize]);
    const controls = this.#controls(forced);
    const decoded = await this.vae.decodeTensors(point, undefined, controls);
    const tensor = await decoded.data();
    this.tf.dispose([point, decoded, controls?.extraControls]);
    const keptByCell = new Map(kept.map((hit) => [cellOf(hit), hit]));
    const hits = toHits(conditionOnHits(tensor, likelihoods, conditioned));
    return hits.map((hit) => keptByCell.get(cellOf(hit)) ?? hit).sort(byTime);
  }

  #controls(forced) {
    if (!this.needsHits) return undefined;
    const hits = Float32Array.from(forced, (value) => (value === 1 ? 1 : 0));
    return { extraControls: { hits: this.tf.tensor2d(hits, [this.steps, DRUMS]) } };
  }
}

// Returns the first line of an error message, without its full stop.
export const reason = ({ message }) => message.split("\n")[0].replace(/[.:]$/, "");

// Returns a file as `json` or as `arrayBuffer`; throws an Error that names it.
async function read(url, name, kind) {
  try {
    const response = await fetch(`${url}/${name}`);
    if (!response.ok) throw new Error(`the server answered ${response.status}`);
    return await response[kind]();
  } catch (error) {
    throw new Error(`${name}: ${reason(error)}`);
  }
}

// Checks the size of each shard, which magenta.js does not.
async function checkWeights(url) {
  for (const { paths, weights } of await read(url, "weights_manifest.json", "json")) {
    const shards = await Promise.all(paths.map((path) => read(url, path, "arrayBuffer")));
    let rest = weights.reduce((sum, weight) => sum + bytesOf(weight), 0);
    shards.forEach(({ byteLength }, i) => {
      const expected = Math.min(rest, SHARD_BYTES);
      if (byteLength !== expected) {
        throw new Error(`${paths[i]}: ${byteLength} bytes instead of ${expected}`);
      }
      rest -= expected;
    });
  }
}

const bytesOf = ({ shape, dtype, quantization }) =>
  shape.reduce((product, size) => product * size, BYTES[quantization?.dtype ?? dtype]);

// Makes the encoder of magenta.js return mu and sigma (before softplus), not only mu.
function addSigma(tf, { encoder, rawVars }) {
  const both = (part) =>
    tf.concat(["mu", "sigma"].map((name) => rawVars[`encoder/${name}/${part}`]), -1);
  encoder.muVars = { kernel: both("kernel"), bias: both("bias") };
}

// Returns hits, velocities and offsets of a step of the decoder's output.
function toRow(output, isHit) {
  const row = new Float32Array(3 * DRUMS);
  for (let drum = 0; drum < DRUMS; drum++) {
    row[drum] = isHit(drum, output[drum]) ? 1 : 0;
    row[DRUMS + drum] = sigmoid(output[DRUMS + drum]);
    row[2 * DRUMS + drum] = Math.tanh(output[2 * DRUMS + drum]);
  }
  return row;
}

// The decoder predicts velocities and offsets as an expectation over hit and no hit. Where hits are
// known, divides by the likelihood to condition on the hit; see groovae/model/latent.py.
export function conditionOnHits(tensor, likelihoods, conditioned) {
  return tensor.map((value, i) => {
    const [step, part] = [Math.floor(i / (3 * DRUMS)), Math.floor((i % (3 * DRUMS)) / DRUMS)];
    const cell = step * DRUMS + (i % DRUMS);
    const isScaled = part && conditioned[cell];
    return isScaled ? value / Math.max(likelihoods[cell], MIN_LIKELIHOOD) : value;
  });
}

// Spherical linear interpolation; see slerp in groovae/model/latent.py.
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

// Moves z by `length`, 0 to 1, towards `direction`, a sample of the prior.
export function stepAway(z, direction, length) {
  return z.map((value, i) => Math.sqrt(1 - length ** 2) * value + length * direction[i]);
}

// Returns a groove moved in latent space; one that was shown as in its file is now decoded.
export function varied({ hits, ...groove }, direction, length) {
  return { ...groove, z: stepAway(groove.z, direction, length) };
}

// Returns a groove between two; at a share of 0 or 1, the first or the second. Each cell switches
// from a to b when the share exceeds its number in `switchPoints`.
export function interpolate(a, b, share, switchPoints) {
  if (share === 0 || share === 1) return share ? b : a;
  const sideOf = (cell) => (switchPoints[cell] < share ? b : a);
  const mixed = (name) => a[name].map((_, cell) => sideOf(cell)[name][cell]);
  return {
    z: slerp(a.z, b.z, share),
    spread: slerp(a.spread, b.spread, share),
    noise: mixed("noise"),
    forced: mixed("forced"),
    conditioned: mixed("conditioned"),
    kept: [a, b].flatMap((side) => side.kept.filter((hit) => sideOf(cellOf(hit)) === side)),
  };
}

const softplus = (x) => Math.max(x, 0) + Math.log1p(Math.exp(-Math.abs(x)));
const sigmoid = (x) => 1 / (1 + Math.exp(-x));

function normal() {
  return Math.sqrt(-2 * Math.log(1 - Math.random())) * Math.cos(2 * Math.PI * Math.random());
}
