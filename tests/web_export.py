"""Helpers for the tests of exported models: models to export, and JavaScript to run them in.

The JavaScript packages are @magenta/music, onnxruntime-node and, for accessibility, axe-core. They
are in the folder named by the environment variable GROOVAE_NODE_MODULES, by default `node_modules`
at the top of the repository, which `.ci/run` fills with one call of npm, as npm removes packages
that are not named.
"""

import functools
import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Thread, Timer
from typing import Any, NamedTuple

import numpy as np
import pytest
from conftest import ROOT

from groovae.config import config_map
from groovae.config.config_file import CONFIG_FILE
from groovae.export import magentajs, onnx, onnx_check, onnx_nodes
from groovae.export.server import Server
from groovae.export.tfjs_weights import MANIFEST
from groovae.model.checkpoints import model_tensors
from groovae.model.checksums import checksums_of
from groovae.model.formats import ONNX_FILES
from groovae.model.tensorflow_network import TensorFlowNetwork
from groovae.system.log import Log, no_log
from groovae.upstream import tf

NODE_MODULES = Path(os.environ.get("GROOVAE_NODE_MODULES", ROOT / "node_modules"))

# Answers each line of JSON, the arguments of the script's `main`, with its result or its error.
_ANSWER_CALLS = """
console.log = () => {};
const answer = (fields) => process.stdout.write(JSON.stringify(fields) + "\\n");
require("readline").createInterface({ input: process.stdin }).on("line", (line) => {
  main(...JSON.parse(line)).then(
    (result) => answer({ result }),
    (error) => answer({ error: String(error) }),
  );
});
"""

# Loads the model at a URL and runs calls on it, each [name, ...arguments].
_MAGENTA_JS = """
const { MusicVAE } = require("@magenta/music/node/music_vae");
const tf = require("@tensorflow/tfjs");
const tensor = (value) => tf.tensor(value);
const methods = {
  decode: async (model, z, hits) => model.decodeTensors(tensor(z), undefined, controls(hits)),
  encode: async (model, inputs, hits) => model.encodeTensors(tensor(inputs), controls(hits)),
  convert: async (model, sequence) => model.dataConverter.toTensor(sequence),
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

# Loads the models of a folder and runs calls on them, each [name, arrays by input].
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
    """Return the folder of a package; skip the test if it is missing."""
    folder = NODE_MODULES / name
    if not folder.is_dir():
        pytest.skip(f"{folder} is missing; see tests/web_export.py")
    return folder


def magenta_js_file() -> Path:
    """Return the path of magenta.js for browsers; skip the test if it is missing."""
    return npm_package("@magenta/music") / "dist" / "magentamusic.js"


def random_checkpoint(folder: Path, config_name: str, hparams: str) -> str:
    """Write a model after 7 steps with weights as large as trained ones; return its prefix.

    The weights of a fresh model are close to 0 and hide errors.
    """
    random, values = np.random.RandomState(3), {"global_step": np.array(7)}
    config = config_map.get_config(config_name, hparams)
    for name, shape in magentajs.variable_shapes(config).items():
        scale = 2 / np.sqrt(shape[0]) if name.endswith("kernel") else 0.5
        values[name] = (random.randn(*shape) * scale).astype(np.float32)
    with tf.Graph().as_default(), tf.Session() as session:
        for name, value in values.items():
            tf.Variable(value, name=name)
        session.run(tf.global_variables_initializer())
        return tf.train.Saver().save(session, str(folder / "model.ckpt"), 7)


def random_train_dir(folder: Path, config_name: str, hparams: str) -> str:
    """Write a random model with its config.json; return the prefix of the checkpoint."""
    description = config_map.config_json(config_name, config_map.get_config(config_name, hparams))
    config_map.save_config(folder, description)
    return random_checkpoint(folder, config_name, hparams)


# Two layers each, all of different sizes.
LAYERED = "batch_size=8,enc_rnn_size=[12,10],dec_rnn_size=[14,9],z_size=6"


def one_config_per_graph() -> list[str]:
    """Return the name of one config for each graph; the others differ in their data only."""
    layouts = {name: config_map.layout(name) for name in config_map.CONFIG_MAP}
    of_graph = {(each.window_steps, each.control_depth): name for name, each in layouts.items()}
    return sorted(of_graph.values())


class OnnxExport(NamedTuple):
    """A checkpoint, its network in TensorFlow, its ONNX export, and inputs to compare both on."""

    checkpoint: str
    network: TensorFlowNetwork
    folder: Path
    inputs: onnx_check.ComparisonInputs


Exports = Callable[..., OnnxExport]


def export_random_onnx(folder: Path, config_name: str, hparams: str) -> OnnxExport:
    """Write a random model as a training folder, and export it to drums.onnx in that folder."""
    config = config_map.get_config(config_name, hparams)
    prefix = random_train_dir(folder, config_name, hparams)
    network = TensorFlowNetwork(prefix, config_name, config, 4)
    windows = onnx_check.synthetic_windows(network)[::16]
    inputs = onnx_check.comparison_inputs(windows, network.layout)
    description = onnx.build_config(prefix, config_name, config)
    out = folder / "drums.onnx"
    onnx.write_verified(out, description, model_tensors(prefix), network, inputs)
    return OnnxExport(prefix, network, out, inputs)


def change_bias(path: Path, name: str, change: float) -> None:
    """Add a value to a bias of an ONNX file, and update its checksum in config.json."""
    model = onnx_nodes.onnx.load(path)
    bias = next(w for w in model.graph.initializer if w.name.endswith(name))
    changed = onnx_nodes.onnx.numpy_helper.to_array(bias) + np.float32(change)
    bias.CopyFrom(onnx_nodes.onnx.numpy_helper.from_array(changed, bias.name))
    path.write_bytes(model.SerializeToString())
    change_config(path.parent)


def change_config(folder: Path, **changes: Any) -> None:
    """Change keys of the config.json of an ONNX export, and update the checksums in it."""
    path = folder / CONFIG_FILE
    config = json.loads(path.read_text()) | {"files": checksums_of(folder, ONNX_FILES)} | changes
    path.write_text(json.dumps(config))


@contextmanager
def served(folder: Path, log: Log = no_log, cors: bool = False) -> Iterator[str]:
    """Serve a folder and yield its URL, without the slash at the end."""
    with Server(folder, port=0, log=log, cors=cors) as server:
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield server.url.rstrip("/")
        finally:
            server.shutdown()
            thread.join()


def run_magenta_js(folder: Path, *calls: list[Any]) -> list[np.ndarray]:
    """Load an exported folder in magenta.js and return the results of calls.

    Args:
      folder: Written by `magentajs.export`.
      *calls: Each a name and its arguments: `decode` z or `encode` inputs, then the hits for a
        model that takes them as controls; or `convert` a NoteSequence as JSON.

    Raises:
      RuntimeError: With the message of magenta.js.
    """
    npm_package("@magenta/music")
    with served(folder) as url:
        return [np.array(each, np.float32) for each in _call(_running(_MAGENTA_JS), url, calls)]


def read_weights(folder: Path) -> dict[str, np.ndarray]:
    """Return the weights that `magentajs.export` wrote as float32, as TensorFlow.js reads them."""
    tensors = {}
    (group,) = json.loads((folder / MANIFEST).read_text())
    data = b"".join((folder / path).read_bytes() for path in group["paths"])
    offset = 0
    for entry in group["weights"]:
        stored = entry.get("quantization", entry)
        count = int(np.prod(entry["shape"]))
        values = np.frombuffer(data, np.dtype(stored["dtype"]).newbyteorder("<"), count, offset)
        offset += values.nbytes
        restored = values.astype(np.float32).reshape(entry["shape"])
        tensors[entry["name"]] = restored * stored.get("scale", 1) + stored.get("min", 0)
    assert offset == len(data)
    return tensors


def run_onnxruntime_node(
    folder: Path, *calls: tuple[str, dict[str, Any]]
) -> list[dict[str, np.ndarray]]:
    """Run the models of an exported folder in onnxruntime-node and return their outputs by name.

    Args:
      folder: Written by `onnx.export`.
      *calls: Each `encode`, `decode` or, to decode step by step, `step`; and the inputs of
        encoder.onnx or decoder.onnx by name.

    Raises:
      RuntimeError: With the message of onnxruntime.
    """
    npm_package("onnxruntime-node")
    return [_to_arrays(outputs) for outputs in _call(_running(_ONNXRUNTIME), str(folder), calls)]


def _to_arrays(outputs: Any) -> dict[str, np.ndarray]:
    """Convert outputs by name, or a list of them by step."""
    if isinstance(outputs, list):
        steps = [_to_arrays(step) for step in outputs]
        return {name: np.stack([step[name] for step in steps], axis=1) for name in steps[0]}
    return {
        name: np.array(value["data"], np.float32).reshape(value["dims"])
        for name, value in outputs.items()
    }


def _start_node(script: str) -> subprocess.Popen[str]:
    """Start Node with a script that has a function `main`; it ends when its input is closed."""
    node = shutil.which("node")
    if node is None:
        pytest.skip("node is not installed")
    return subprocess.Popen(
        [node, "-e", script + _ANSWER_CALLS],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={**os.environ, "NODE_PATH": str(NODE_MODULES)},
        encoding="utf-8",
    )


# Loading a package in Node takes longer than most calls, so its process serves all tests.
_running = functools.cache(_start_node)


def _call(node: subprocess.Popen[str], *arguments: Any) -> Any:
    """Return the result of a script's `main`; arrays are passed as lists."""
    assert node.stdin is not None
    assert node.stdout is not None
    line = json.dumps(arguments, default=np.ndarray.tolist, allow_nan=False)
    timer = Timer(300, node.kill)  # after which the answer is empty
    timer.start()
    try:
        print(line, file=node.stdin, flush=True)
        answer = json.loads(node.stdout.readline())
    finally:
        timer.cancel()
    if "error" in answer:
        raise RuntimeError(answer["error"])
    return answer["result"]


_PAGE_MODULES = """
const plain = (value) => {
  if (value instanceof Map) return plain([...value]);
  if (Array.isArray(value) || ArrayBuffer.isView(value)) return Array.from(value, plain);
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([name, each]) => [name, plain(each)]));
};
const main = async (folder, ...args) => {
  const names = ["groove", "midi", "model"];
  const modules = await Promise.all(names.map((name) => import(`${folder}/${name}.js`)));
  return plain(await run(...modules, ...args));
};
"""


def run_page_modules(run: str, *arguments: Any) -> Any:
    """Return the result of a JavaScript function that uses the modules of the page in Node.

    Args:
      run: The function: `(groove, midi, model, ...arguments) => ...`.
      *arguments: Its other arguments; arrays are passed and returned as lists.
    """
    web = ROOT / "groovae" / "export" / "web"
    # Node reads .js files as modules only below a package.json with type "module".
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "package.json").write_text('{"type": "module"}')
        for module in ("groove.js", "midi.js", "model.js"):
            shutil.copy(web / module, folder)
        with _start_node(f"const run = {run};{_PAGE_MODULES}") as node:
            return _call(node, folder.as_uri(), *arguments)
