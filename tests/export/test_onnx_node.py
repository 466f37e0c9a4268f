"""The ONNX models play in JavaScript, by npm's onnxruntime-node, what they play in Python."""

from pathlib import Path

import numpy as np
import pytest
from conftest import SMALL_HPARAMS
from web_export import in_onnxruntime, npm_package, random_checkpoint

from groovae.config import config_map
from groovae.export import onnx_check
from groovae.export.onnx import export
from groovae.model import latent
from groovae.model.onnx_network import OnnxNetwork
from groovae.model.tensorflow_network import TensorFlowNetwork
from groovae.system.packages import need_package

need_package("onnx")

# Two layers each, of sizes that cannot be confused.
LAYERED = "enc_rnn_size=[24,20],dec_rnn_size=[28,18],z_size=12"

Outputs = dict[str, np.ndarray]


@pytest.fixture(scope="module", autouse=True)
def _needs_onnxruntime_node() -> None:
    npm_package("onnxruntime-node")


def in_node_as_in_python(
    folder: Path,
    python: onnx_check.Network,
    inputs: np.ndarray,
    controls: np.ndarray,
    z: np.ndarray,
) -> tuple[Outputs, Outputs]:
    """The outputs of encoder.onnx, and of decoder.onnx at temperature 0, in Node.

    They must be those in Python, as must those at temperature 1 and those of decoding by steps.
    """
    given = {"controls": controls} if controls.size else {}
    noise = latent.thresholds((*inputs.shape[:2], 9), 1.0, np.random.RandomState(3))
    feeds = [{"z": z, "temperature": at, "noise": noise, **given} for at in (0.0, 1.0)]
    calls = [(name, feed) for feed in feeds for name in ("decode", "step")]
    encoded, *decoded = in_onnxruntime(folder, ("encode", {"inputs": inputs, **given}), *calls)
    assert_same(encoded, *python.encode(inputs, controls))
    for (_, feed), outputs in zip(calls, decoded, strict=True):
        tensors, likelihoods = python.decode(z, feed["temperature"] * noise, controls)
        assert 0.02 < tensors[..., :9].mean() < 0.98
        np.testing.assert_array_equal(outputs["tensors"][..., :9], tensors[..., :9])
        assert_same(outputs, tensors, likelihoods)
    return encoded, decoded[0]


def assert_same(outputs: Outputs, *expected: np.ndarray) -> None:
    for here, there in zip(outputs.values(), expected, strict=True):
        np.testing.assert_allclose(here, there, rtol=0, atol=1e-5)


def test_the_reference_checkpoint_plays_as_native_magenta(native: Path, tmp_path: Path) -> None:
    export(native / "checkpoint", tmp_path / "out", hparams=SMALL_HPARAMS)
    wanted = np.load(native / "native_outputs.npz")
    python, inputs = OnnxNetwork(tmp_path / "out", 16), wanted["inputs"]
    encoded, decoded = in_node_as_in_python(
        tmp_path / "out", python, inputs, inputs[..., :0], wanted["z"]
    )
    assert_same(encoded, wanted["mu"], wanted["sigma"])
    np.testing.assert_array_equal(decoded["tensors"][..., :9], wanted["decoded"][..., :9])
    np.testing.assert_allclose(decoded["tensors"], wanted["decoded"], rtol=0, atol=1e-5)


@pytest.mark.parametrize("name", ["groovae_4bar", "groovae_2bar_hits_control_tfds"])
def test_large_weights_play_as_in_tensorflow_with_controls_and_without(
    name: str, tmp_path: Path
) -> None:
    prefix = random_checkpoint(tmp_path, name, LAYERED)
    export(prefix, tmp_path / "out", name, LAYERED)
    network = TensorFlowNetwork(prefix, name, config_map.get_config(name, LAYERED), 4)
    windows = onnx_check.windows_of(network)[::16]
    _, inputs, controls = onnx_check.hear(windows, network.layout)
    mu, _ = network.encode(inputs, controls)
    in_node_as_in_python(tmp_path / "out", network, inputs, controls, mu)


@pytest.mark.parametrize("dtype", ["float16", "int8"])
def test_smaller_dtypes_play_as_in_python(dtype: str, native: Path, tmp_path: Path) -> None:
    export(native / "checkpoint", tmp_path / "out", hparams=SMALL_HPARAMS, dtype=dtype)
    python, wanted = OnnxNetwork(tmp_path / "out", 16), np.load(native / "native_outputs.npz")
    inputs, z = wanted["inputs"], wanted["z"]
    in_node_as_in_python(tmp_path / "out", python, inputs, inputs[..., :0], z)
