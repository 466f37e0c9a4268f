"""Exported ONNX models compute the same in JavaScript, with onnxruntime-node, as in Python."""

from pathlib import Path

import numpy as np
import pytest
from conftest import SMALL_HPARAMS
from web_export import Exports, npm_package, run_onnxruntime_node

from groovae.config import config_map
from groovae.export import onnx, onnx_check
from groovae.model import latent
from groovae.model.checkpoints import model_tensors, need_checkpoint
from groovae.model.onnx_network import OnnxNetwork
from groovae.model.tensorflow_network import TensorFlowNetwork

Outputs = dict[str, np.ndarray]


@pytest.fixture(scope="module", autouse=True)
def _needs_onnxruntime_node() -> None:
    npm_package("onnxruntime-node")


def assert_same_in_node(
    folder: Path,
    python: onnx_check.Network,
    inputs: np.ndarray,
    controls: np.ndarray,
    z: np.ndarray,
) -> tuple[Outputs, Outputs]:
    """Compare the models in Node with a network in Python, at temperatures 0 and 1.

    Returns:
      The outputs of encoder.onnx, and those of decoder.onnx at temperature 0, in Node.
    """
    extra = {"controls": controls} if controls.size else {}
    noise = latent.thresholds((*inputs.shape[:2], 9), 1.0, np.random.RandomState(3))
    feeds = [{"z": z, "temperature": at, "noise": noise, **extra} for at in (0.0, 1.0)]
    calls = [(name, feed) for feed in feeds for name in ("decode", "step")]
    encode = ("encode", {"inputs": inputs, **extra})
    encoded, *decoded = run_onnxruntime_node(folder, encode, *calls)
    assert_same(encoded, *python.encode(inputs, controls))
    for (_, feed), outputs in zip(calls, decoded, strict=True):
        tensors, likelihoods = python.decode(z, feed["temperature"] * noise, controls)
        assert 0.02 < tensors[..., :9].mean() < 0.98
        np.testing.assert_array_equal(outputs["tensors"][..., :9], tensors[..., :9])
        assert_same(outputs, tensors, likelihoods)
    return encoded, decoded[0]


def assert_same(outputs: Outputs, *expected: np.ndarray) -> None:
    for found, wanted in zip(outputs.values(), expected, strict=True):
        np.testing.assert_allclose(found, wanted, rtol=0, atol=1e-5)


def test_reference_checkpoint_in_every_dtype(native: Path, tmp_path: Path) -> None:
    config = config_map.get_config("groovae_4bar", SMALL_HPARAMS)
    prefix = need_checkpoint(native / "checkpoint")
    network = TensorFlowNetwork(prefix, "groovae_4bar", config, 16)
    reference = np.load(native / "native_outputs.npz")
    inputs, z = reference["inputs"], reference["z"]
    controls = inputs[..., :0]
    for dtype in ("float32", "float16", "int8"):
        onnx.write_verified(
            tmp_path / dtype,
            onnx.build_config(prefix, "groovae_4bar", config),
            model_tensors(prefix),
            network,
            onnx_check.ComparisonInputs(inputs, inputs, controls),
            dtype,
        )
        python = OnnxNetwork(tmp_path / dtype, 16)
        encoded, decoded = assert_same_in_node(tmp_path / dtype, python, inputs, controls, z)
        if dtype == "float32":
            assert_same(encoded, reference["mu"], reference["sigma"])
            assert_same({"tensors": decoded["tensors"]}, reference["decoded"])
            hits = reference["decoded"][..., :9]
            np.testing.assert_array_equal(decoded["tensors"][..., :9], hits)


@pytest.mark.parametrize("config_name", ["groovae_4bar", "groovae_2bar_hits_control_tfds"])
def test_large_weights_with_and_without_controls(config_name: str, exports: Exports) -> None:
    _, network, folder, (_, inputs, controls) = exports(config_name)
    mu, _ = network.encode(inputs, controls)
    assert_same_in_node(folder, network, inputs, controls, mu)
