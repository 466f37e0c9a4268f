"""An export that differs from TensorFlow is found, and the error of smaller dtypes is measured."""

import functools
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from web_export import LAYERED, Exports, OnnxExport, change_bias

from groovae.config import config_map
from groovae.data.source import DataSource
from groovae.errors import GroovaeError
from groovae.export import onnx_check
from groovae.export.onnx import build_config, export, write_verified
from groovae.model import latent
from groovae.model.checkpoints import model_tensors
from groovae.model.onnx_network import OnnxNetwork, read_export
from groovae.model.tensorflow_network import TensorFlowNetwork


@pytest.fixture
def exported(exports: Exports) -> OnnxExport:
    return exports("groovae_4bar")


@pytest.mark.parametrize(
    ("tensor", "file"),
    [
        ("encoder/mu/bias", "encoder.onnx"),
        ("decoder/output_projection/bias", "decoder.onnx"),
        ("decoder/multi_rnn_cell/cell_1/lstm_cell/kernel", "decoder.onnx"),
    ],
)
def test_different_model_is_not_written(
    exported: OnnxExport, tensor: str, file: str, tmp_path: Path
) -> None:
    checkpoint, network, _, inputs = exported
    config = config_map.get_config("groovae_4bar", LAYERED)
    description, tensors = (
        build_config(checkpoint, "groovae_4bar", config),
        model_tensors(checkpoint),
    )
    out = tmp_path / "out"
    write_verified(out, description, tensors, network, inputs)
    before = {path.name: path.read_bytes() for path in out.iterdir()}
    tensors[tensor] = tensors[tensor].copy()
    tensors[tensor].flat[-1] += 1e-2
    for folder in (out, tmp_path / "new"):
        with pytest.raises(GroovaeError, match=f"^{file} differs"):
            write_verified(folder, description, tensors, network, inputs)
    assert {path.name: path.read_bytes() for path in out.iterdir()} == before
    assert os.listdir(tmp_path) == ["out"]


class WrongNetwork:
    """A network with wrong outputs of one method for the thresholds that `is_wrong` selects."""

    def __init__(
        self, network: TensorFlowNetwork, is_wrong: Callable[[np.ndarray], bool], method: str
    ):
        self.encode = network.encode
        self.decode = self.decode_by_steps = network.decode
        setattr(self, method, self._decode)
        self._network, self._is_wrong = network, is_wrong

    def _decode(self, z: np.ndarray, thresholds: np.ndarray, controls: np.ndarray) -> Any:
        tensors, likelihoods = self._network.decode(z, thresholds, controls)
        return tensors, likelihoods + 1e-3 * self._is_wrong(thresholds)


@pytest.mark.parametrize("method", ["decode", "decode_by_steps"])
@pytest.mark.parametrize(
    "is_wrong",
    [
        lambda thresholds: np.abs(thresholds).max() < 0.01,  # temperature 0
        lambda thresholds: 0.01 < np.abs(thresholds).max() < np.inf,  # temperature 1
        lambda thresholds: np.isinf(thresholds).all(),  # forced hits
    ],
    ids=["most_likely", "sampled", "forced"],
)
def test_every_kind_of_decoding_is_compared(
    exported: OnnxExport, is_wrong: Callable[[np.ndarray], bool], method: str
) -> None:
    network, inputs = exported.network, exported.inputs
    right: Any = WrongNetwork(network, lambda thresholds: False, method)
    assert onnx_check.verify_outputs(network, right, inputs) == 0
    wrong: Any = WrongNetwork(network, is_wrong, method)
    with pytest.raises(GroovaeError, match="differs from the checkpoint"):
        onnx_check.verify_outputs(network, wrong, inputs)


# Rounding changes the outputs by 0, 6e-6 and 1.2e-4.
@pytest.mark.parametrize(("slope", "tolerance"), [(0, 1e-5), (50, 6e-5), (1000, 1e-4)])
def test_tolerance_grows_with_the_effect_of_rounding(slope: int, tolerance: float) -> None:
    def network(inputs: np.ndarray, error: float = 0) -> onnx_check.Decoded:
        return (inputs - 1) * slope + error, np.zeros(1)

    def compare(error: float) -> float:
        wrong = functools.partial(network, error=error)
        return onnx_check._check_outputs("x", network, wrong, np.ones(3))

    for error in (0.9 * tolerance, -0.9 * tolerance):
        assert compare(error) == pytest.approx(abs(error))
    with pytest.raises(GroovaeError, match=r"^x differs"):
        compare(1.2 * tolerance)


def test_different_step_model_is_found(exported: OnnxExport, tmp_path: Path) -> None:
    folder = shutil.copytree(exported.folder, tmp_path / "out")
    change_bias(folder / "decoder_step.onnx", "cell_1/bias", 0.01)
    with pytest.raises(GroovaeError, match=r"^decoder_step\.onnx differs"):
        onnx_check.verify_outputs(exported.network, OnnxNetwork(folder, 64), exported.inputs)


@pytest.mark.parametrize("dtype", ["float16", "int8"])
def test_precision_loss_is_measured_and_logged(
    exported: OnnxExport, dtype: str, records: Path, tmp_path: Path
) -> None:
    checkpoint, network, _, _ = exported
    lines: list[str] = []
    out = tmp_path / dtype
    export(checkpoint, out, dtype=dtype, log=lines.append, examples_path=str(records))
    small, loss = OnnxNetwork(out, 64), read_export(out)[0]["loss"]
    (logged,) = [line for line in lines if line.startswith(f"weights in {dtype}: ")]
    windows = read_windows(records, loss["windows"])
    networks: list[onnx_check.Network] = [network, small]
    encoded = [each.encode(windows, windows[..., :0]) for each in networks]
    (mu, sigma), (small_mu, small_sigma) = encoded
    assert np.abs(mu - small_mu).max() > 1e-5, "no less precise than float32"
    differing, hits, velocities, times = 0, 0, [], []
    for temperature in (0.0, 1.0):
        shape = (*windows.shape[:2], 9)
        thresholds = latent.thresholds(shape, temperature, np.random.RandomState(1))
        expected, found = (
            each.decode(z, thresholds, windows[..., :0])[0]
            for each, (z, _) in zip(networks, encoded, strict=True)
        )
        a, b = expected[..., :9] > 0.5, found[..., :9] > 0.5
        differing += int((a ^ b).sum())
        hits += int((a | b).sum())
        differences = np.abs(expected - found)
        velocities.append(127 * differences[..., 9:18][a & b])
        times.append(62.5 * differences[..., 18:][a & b])
    assert (loss["hits"], loss["differing_hits"]) == (hits, differing)
    assert differing < 0.2 * hits
    for name, values, unit in (
        ("velocity", np.concatenate(velocities), ""),
        ("timing", np.concatenate(times), "_ms"),
        ("sigma", 100 * np.abs(small_sigma / sigma - 1), "_percent"),
    ):
        assert loss[f"{name}_max{unit}"] == pytest.approx(values.max(), abs=1e-3)
        assert loss[f"{name}_mean{unit}"] == pytest.approx(values.mean(), abs=1e-3)
        assert f"{name} {values.mean():.3f}" in logged
    assert f"{differing:,} of {hits:,} hits" in logged


def read_windows(records: Path, count: int) -> np.ndarray:
    source = DataSource(str(records))
    windows = source.load(config_map.layout("groovae_4bar"), records.parent, lambda line: None)
    return windows.outputs(np.linspace(0, len(windows) - 1, count).astype(int))
