"""For tests of exported models: the npm package @magenta/music, models to export, a server.

The package lies in the folder that the environment variable GROOVAE_NODE_MODULES names, by default
`node_modules` at the top of the repository, which `.ci/run` fills:

    npm install --no-save --ignore-scripts @magenta/music@1.23.1
"""

import json
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Thread
from typing import Any

import numpy as np
import pytest
from conftest import ROOT

from groovae import configs
from groovae.export import magentajs
from groovae.serve import Server
from groovae.upstream import tf

NODE_MODULES = Path(os.environ.get("GROOVAE_NODE_MODULES", ROOT / "node_modules"))

# Loads the model at a URL and calls its methods with arrays, as [name, arguments] says.
_SCRIPT = """
const [url, calls] = JSON.parse(require("fs").readFileSync(0, "utf8"));
const { MusicVAE } = require("@magenta/music/node/music_vae");
const tf = require("@tensorflow/tfjs");
const tensor = (value) => tf.tensor(value);
const methods = {
  decode: async (model, z, hits) => model.decodeTensors(tensor(z), undefined, controls(hits)),
  encode: async (model, inputs, hits) => model.encodeTensors(tensor(inputs), controls(hits)),
  hear: async (model, sequence) => model.dataConverter.toTensor(sequence),
};
const controls = (hits) => hits && { extraControls: { hits: tensor(hits) } };
console.log = () => {};
(async () => {
  const model = new MusicVAE(url);
  await model.initialize();
  const results = [];
  for (const [name, ...rest] of calls) {
    results.push(await (await methods[name](model, ...rest)).array());
  }
  process.stdout.write(JSON.stringify(results));
})().catch((error) => {
  process.stderr.write(String(error));
  process.exit(1);
});
"""


def magenta_music() -> Path:
    """The folder of the package; skips the test where it is missing."""
    folder = NODE_MODULES / "@magenta" / "music"
    if not folder.is_dir():
        pytest.skip(f"{folder} is not there; see tests/web.py")
    return folder


def random_checkpoint(folder: Path, config_name: str, hparams: str) -> str:
    """A model whose weights are as large as a trained one's: a fresh one's hide what goes wrong."""
    random = np.random.RandomState(3)
    shapes = magentajs._shapes(configs.get_config(config_name, hparams))
    values = {
        name: random.randn(*shape) * (2 / np.sqrt(shape[0]) if len(shape) == 2 else 0.5)
        for name, shape in shapes.items()
    }
    with tf.Graph().as_default(), tf.Session() as session:
        tf.train.create_global_step()
        for name, value in values.items():
            tf.Variable(value.astype(np.float32), name=name)
        session.run(tf.global_variables_initializer())
        return tf.train.Saver().save(session, str(folder / "model.ckpt"), 12)


@contextmanager
def served(folder: Path, say: Callable[[str], None] = lambda line: None) -> Iterator[str]:
    """The URL of a folder that is served, without the slash at its end."""
    with Server(folder, port=0, say=say) as server:
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield server.url.rstrip("/")
        finally:
            server.shutdown()
            thread.join()


def in_magenta_js(folder: Path, *calls: list[Any]) -> list[np.ndarray]:
    """What the model of an exported folder answers in Node.

    Args:
      folder: What `export` wrote.
      *calls: Each a name and its arguments: `decode` z or `encode` inputs, then the hits for a
        model that takes them as controls; or `hear` a NoteSequence as JSON.

    Raises:
      RuntimeError: magenta.js cannot do it; the message is its own.
    """
    magenta_music()
    node = shutil.which("node")
    if node is None:
        pytest.skip("node is not installed")
    with served(folder) as url:
        result = subprocess.run(
            [node, "-e", _SCRIPT],
            input=json.dumps([url, [[name, *map(_plain, rest)] for name, *rest in calls]]),
            env={**os.environ, "NODE_PATH": str(NODE_MODULES)},
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
    if result.returncode:
        raise RuntimeError(result.stderr)
    return [np.array(each, np.float32) for each in json.loads(result.stdout)]


def _plain(value: Any) -> Any:
    return value.tolist() if isinstance(value, np.ndarray) else value
