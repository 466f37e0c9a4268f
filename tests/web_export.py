"""For tests of exported models: JavaScript's players of them, their weights, models to export.

The players are npm's @magenta/music and onnxruntime-node. They lie in the folder that the
environment variable GROOVAE_NODE_MODULES names, by default `node_modules` at the top of the
repository, which `.ci/run` fills, with both at once, as npm removes what it is not told of:

    npm install --no-save --ignore-scripts @magenta/music@1.23.1 onnxruntime-node@1.30.0
"""

import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Thread
from typing import Any

import numpy as np
import pytest
from conftest import ROOT

from groovae.config import config_map
from groovae.export.server import Server
from groovae.export.tfjs_weights import MANIFEST
from groovae.system.log import Log, no_log
from groovae.upstream import tf

NODE_MODULES = Path(os.environ.get("GROOVAE_NODE_MODULES", ROOT / "node_modules"))

# Runs the `main` of the script before it: JSON in and out.
_RUN_MAIN = """
console.log = () => {};
(async () => {
  const given = JSON.parse(require("fs").readFileSync(0, "utf8"));
  process.stdout.write(JSON.stringify(await main(...given)));
})().catch((error) => {
  process.stderr.write(String(error));
  process.exit(1);
});
"""

# Loads the model at a URL and calls its methods with arrays, as [name, arguments] says.
_MAGENTA_JS = """
const { MusicVAE } = require("@magenta/music/node/music_vae");
const tf = require("@tensorflow/tfjs");
const tensor = (value) => tf.tensor(value);
const methods = {
  decode: async (model, z, hits) => model.decodeTensors(tensor(z), undefined, controls(hits)),
  encode: async (model, inputs, hits) => model.encodeTensors(tensor(inputs), controls(hits)),
  hear: async (model, sequence) => model.dataConverter.toTensor(sequence),
};
const controls = (hits) => hits && { extraControls: { hits: tensor(hits) } };
const main = async (url, calls) => {
  const model = new MusicVAE(url);
  await model.initialize();
  const results = [];
  for (const [name, ...rest] of calls) {
    results.push(await (await methods[name](model, ...rest)).array());
  }
  return results;
};
"""

# Opens the models of a folder and feeds them arrays, as [name, arrays by input] says.
_ONNXRUNTIME = """
const ort = require("onnxruntime-node");
const dims = (value) => (Array.isArray(value) ? [value.length, ...dims(value[0])] : []);
const tensor = (value) => new ort.Tensor("float32", [value].flat(Infinity), dims(value));
const map = (object, change) =>
  Object.fromEntries(Object.entries(object).map(([name, value]) => [name, change(value)]));
const plain = (outputs) => map(outputs, ({ data, dims }) => ({ data: Array.from(data), dims }));
const once = (name) => async (open, feed) =>
  plain(await (await open(name)).run(map(feed, tensor)));
const methods = {
  encode: once("encoder"),
  decode: once("decoder"),
  step: async (open, { z, temperature, ...timed }) => {
    const [start, step] = [await open("decoder_start"), await open("decoder_step")];
    const same = map({ z, temperature }, tensor);
    const noise = timed.noise[0];
    let { state } = await start.run({ z: same.z });
    let previous = tensor(z.map(() => Array(3 * noise[0].length).fill(0)));
    const results = [];
    for (let i = 0; i < noise.length; i++) {
      const now = map(timed, (grooves) => tensor(grooves.map((groove) => groove[i])));
      const { next_state, ...outputs } = await step.run({ ...same, ...now, state, previous });
      [state, previous] = [next_state, outputs.tensors];
      results.push(plain(outputs));
    }
    return results;
  },
};
const main = async (folder, calls) => {
  const open = (name) => ort.InferenceSession.create(`${folder}/${name}.onnx`);
  const results = [];
  for (const [name, feed] of calls) {
    results.push(await methods[name](open, feed));
  }
  return results;
};
"""


def npm_package(name: str) -> Path:
    """The folder of a package; skips the test where it is missing."""
    folder = NODE_MODULES / name
    if not folder.is_dir():
        pytest.skip(f"{folder} is not there; see tests/web_export.py")
    return folder


def magenta_music() -> Path:
    """The folder of magenta.js; skips the test where it is missing."""
    return npm_package("@magenta/music")


def random_checkpoint(folder: Path, config_name: str, hparams: str) -> str:
    """A model after 7 steps, whose weights are as large as a trained one's.

    Those of a fresh one hide what goes wrong.
    """
    random, values = np.random.RandomState(3), {"global_step": np.array(7)}
    for name, shape in _kernels(config_map.get_config(config_name, hparams)).items():
        kernel, bias = random.randn(*shape) * 2 / np.sqrt(shape[0]), random.randn(shape[1]) / 2
        values |= {
            f"{name}/kernel": kernel.astype(np.float32),
            f"{name}/bias": bias.astype(np.float32),
        }
    with tf.Graph().as_default(), tf.Session() as session:
        for name, value in values.items():
            tf.Variable(value, name=name)
        session.run(tf.global_variables_initializer())
        return tf.train.Saver().save(session, str(folder / "model.ckpt"), 7)


def _kernels(config: Any) -> dict[str, tuple[int, int]]:
    """The shapes of the kernels by layer; a bias is as long as its kernel is wide."""
    hparams, converter = config.hparams, config.data_converter
    depth, controls, z_size = converter.output_depth, converter.control_depth, hparams.z_size
    kernels = {
        f"encoder/{name}": (2 * hparams.enc_rnn_size[-1], z_size) for name in ("mu", "sigma")
    }
    below = depth + controls
    for i, units in enumerate(hparams.enc_rnn_size):
        for way in ("fw", "bw"):
            cell = f"encoder/cell_{i}/bidirectional_rnn/{way}/multi_rnn_cell/cell_0/lstm_cell"
            kernels[cell] = (below + units, 4 * units)
        below = 2 * units
    below = depth + z_size + controls
    for i, units in enumerate(hparams.dec_rnn_size):
        kernels[f"decoder/multi_rnn_cell/cell_{i}/lstm_cell"] = (below + units, 4 * units)
        below = units
    kernels["decoder/z_to_initial_state"] = (z_size, 2 * sum(hparams.dec_rnn_size))
    kernels["decoder/output_projection"] = (below, depth)
    return kernels


@contextmanager
def served(folder: Path, log: Log = no_log) -> Iterator[str]:
    """The URL of a folder that is served, without the slash at its end."""
    with Server(folder, port=0, log=log) as server:
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield server.url.rstrip("/")
        finally:
            server.shutdown()
            thread.join()


def in_magenta_js(folder: Path, *calls: list[Any]) -> list[np.ndarray]:
    """What the model of an exported folder answers in magenta.js.

    Args:
      folder: What `magentajs.export` wrote.
      *calls: Each a name and its arguments: `decode` z or `encode` inputs, then the hits for a
        model that takes them as controls; or `hear` a NoteSequence as JSON.

    Raises:
      RuntimeError: magenta.js cannot do it; the message is its own.
    """
    magenta_music()
    with served(folder) as url:
        return [np.array(each, np.float32) for each in _in_node(_MAGENTA_JS, url, calls)]


def tensors_in(folder: Path) -> dict[str, np.ndarray]:
    """The weights that `magentajs.export` wrote, float32, as TensorFlow.js gets them."""
    tensors = {}
    (group,) = json.loads((folder / MANIFEST).read_text())
    whole = b"".join((folder / path).read_bytes() for path in group["paths"])
    place = 0
    for entry in group["weights"]:
        stored = entry.get("quantization", entry)
        count = int(np.prod(entry["shape"]))
        values = np.frombuffer(whole, np.dtype(stored["dtype"]).newbyteorder("<"), count, place)
        place += values.nbytes
        restored = values.astype(np.float32).reshape(entry["shape"])
        tensors[entry["name"]] = restored * stored.get("scale", 1) + stored.get("min", 0)
    assert place == len(whole)
    return tensors


def in_onnxruntime(folder: Path, *calls: tuple[str, dict[str, Any]]) -> list[dict[str, np.ndarray]]:
    """What the models of an exported folder answer in onnxruntime-node.

    Args:
      folder: What `onnx.export` wrote.
      *calls: Each `encode`, `decode` or, to decode step by step, `step`; and the inputs of
        encoder.onnx or decoder.onnx by name.

    Returns:
      The outputs of these by name, for each call.

    Raises:
      RuntimeError: onnxruntime cannot do it; the message is its own.
    """
    npm_package("onnxruntime-node")
    return [_arrays(answer) for answer in _in_node(_ONNXRUNTIME, str(folder), calls)]


def _arrays(outputs: Any) -> dict[str, np.ndarray]:
    """Outputs by name, or a list of those of each step."""
    if isinstance(outputs, list):
        steps = [_arrays(step) for step in outputs]
        return {name: np.stack([step[name] for step in steps], axis=1) for name in steps[0]}
    return {
        name: np.array(value["data"], np.float32).reshape(value["dims"])
        for name, value in outputs.items()
    }


def _in_node(script: str, *arguments: Any) -> Any:
    """What the `main` of a script returns in Node; arrays become lists on the way."""
    node = shutil.which("node")
    if node is None:
        pytest.skip("node is not installed")
    result = subprocess.run(
        [node, "-e", script + _RUN_MAIN],
        input=json.dumps(arguments, default=np.ndarray.tolist, allow_nan=False),
        env={**os.environ, "NODE_PATH": str(NODE_MODULES)},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    if result.returncode:
        raise RuntimeError(result.stderr)
    return json.loads(result.stdout)


# Copies of the page's modules, as Node takes only what lies in a package of modules for modules.
_WEB_MODULES = """
const plain = (value) => {
  if (value instanceof Map) return plain([...value]);
  if (Array.isArray(value) || ArrayBuffer.isView(value)) return Array.from(value, plain);
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([name, each]) => [name, plain(each)]));
};
const main = async (folder, ...given) => {
  const names = ["groove", "midi", "model"];
  const modules = await Promise.all(names.map((name) => import(`${folder}/${name}.js`)));
  return plain(await run(...modules, ...given));
};
"""


def in_web_modules(run: str, *arguments: Any) -> Any:
    """What a function in JavaScript returns that gets groove.js, midi.js and model.js of the page.

    Args:
      run: The function: `(groove, midi, model, ...arguments) => ...`.
      *arguments: What it gets beside the modules; arrays become lists on the way, both ways.
    """
    web = ROOT / "groovae" / "export" / "web"
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "package.json").write_text('{"type": "module"}')
        for module in ("groove.js", "midi.js", "model.js"):
            shutil.copy(web / module, folder)
        return _in_node(f"const run = {run};{_WEB_MODULES}", folder.as_uri(), *arguments)
