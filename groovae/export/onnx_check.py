"""Compare an exported ONNX model with TensorFlow, and measure the error of smaller storage types.

Both networks get the same windows, latents and thresholds. A float32 model must give the same hits,
and all other values within TOLERANCE. But a trained model may amplify the rounding of each step
until TensorFlow itself differs by more than that from a float64 result. So a difference of ten
times the change that rounding the inputs causes in TensorFlow passes as well, up to MAX_TOLERANCE.
With float16 or int8 weights a hit may change, and with it all later steps, which depend on it; the
size of that effect is measured.
"""

import functools
from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np

from groovae.config.layout import Layout
from groovae.data.windows import to_controls, to_inputs
from groovae.errors import GroovaeError
from groovae.model import latent
from groovae.model.network import Decoded, Network
from groovae.model.onnx_network import OnnxNetwork

TOLERANCE, MAX_TOLERANCE = 1e-5, 1e-4
# Summation order may move a logit that is close to its threshold to the other side. So thresholds
# are moved away from the logits by this much.
MARGIN = 1e-3
NUM_WINDOWS = 64
MAX_VELOCITY = 127
TEMPOS_QPM = 60, 240
HALF_STEP_MS = 62.5  # of a 16th at 120 qpm
MIN_SIGMA = np.finfo(np.float32).tiny


class ComparisonInputs(NamedTuple):
    """Windows [n, steps, depth], and the encoder inputs and the controls made from them."""

    windows: np.ndarray
    inputs: np.ndarray
    controls: np.ndarray


def comparison_inputs(windows: np.ndarray, layout: Layout) -> ComparisonInputs:
    """Return windows with the encoder inputs and controls that the layout derives from them."""
    inputs = to_inputs(windows, layout, np.random.RandomState(0))
    tempos_qpm = np.linspace(*TEMPOS_QPM, len(windows))
    return ComparisonInputs(windows, inputs, to_controls(windows, layout, tempos_qpm))


def synthetic_windows(network: Network) -> np.ndarray:
    """Return float32 [NUM_WINDOWS, steps, depth]: half random windows, half model samples."""
    layout, rng = network.layout, np.random.RandomState(0)
    shape = (NUM_WINDOWS // 2, layout.window_steps, layout.num_drums)
    hits = rng.random_sample(shape) < 0.15
    values = [np.ones(shape), rng.random_sample(shape), rng.uniform(-1, 1, shape)]
    random = np.concatenate([hits * value for value in values], axis=-1).astype(np.float32)
    z = rng.standard_normal((len(random), network.z_size))
    thresholds = latent.thresholds(shape, 1.0, rng)
    decoded, _ = network.decode(z, thresholds, to_controls(random, layout))
    return np.concatenate([random, decoded * np.tile(decoded[..., : layout.num_drums], 3)])


def verify_outputs(network: Network, exported: OnnxNetwork, inputs: ComparisonInputs) -> float:
    """Check that an exported model computes the same as TensorFlow.

    Args:
      network: The checkpoint in TensorFlow.
      exported: The exported model.
      inputs: What to compare on.

    Returns:
      The largest difference of all values except the hits, which are the same.

    Raises:
      GroovaeError: If they differ.
    """
    controls = inputs.controls
    encode = functools.partial(network.encode, controls=controls)
    exported_encode = functools.partial(exported.encode, controls=controls)
    differences = [_check_outputs("encoder.onnx", encode, exported_encode, inputs.inputs)]
    mu, _ = encode(inputs.inputs)
    for z, thresholds in _decoder_cases(mu, inputs.windows):
        num_drums = thresholds.shape[-1]
        hits = network.decode(z, thresholds, controls)[0][..., :num_drums]
        moved = (thresholds + np.where(hits > 0.5, -MARGIN, MARGIN)).astype(np.float32)
        expected, *found = (
            functools.partial(decode, thresholds=moved, controls=controls)
            for decode in (network.decode, exported.decode, exported.decode_by_steps)
        )
        for name, decode in zip(("decoder.onnx", "decoder_step.onnx"), found, strict=True):
            differences.append(_check_outputs(name, expected, decode, z, num_drums))
    return max(differences)


def measure_precision_loss(
    network: Network, exported: OnnxNetwork, inputs: ComparisonInputs
) -> dict[str, float]:
    """Encode and decode windows with both networks, and measure the differences.

    Returns:
      windows: Number of windows, each decoded at temperature 0 and 1.
      hits, differing_hits: Number of hits in either output, and in only one of them.
      velocity_mean, velocity_max: Velocity differences of the hits in both outputs, 0 to 127.
      timing_mean_ms, timing_max_ms: Time differences of these hits, at 120 qpm.
      sigma_mean_percent, sigma_max_percent: Relative differences of sigma.
    """
    z, sigma = network.encode(inputs.inputs, inputs.controls)
    exported_z, exported_sigma = exported.encode(inputs.inputs, inputs.controls)
    pairs = [
        (
            network.decode(z, thresholds, inputs.controls)[0],
            exported.decode(exported_z, thresholds, inputs.controls)[0],
        )
        for thresholds in _sample_thresholds(inputs.windows)
    ]
    expected, found = (np.concatenate(tensors) for tensors in zip(*pairs, strict=True))
    hits, velocities, offsets = np.split(np.abs(expected - found), 3, axis=-1)
    in_either = np.maximum(expected, found)[..., : hits.shape[-1]] > 0.5
    in_both = in_either & (hits < 0.5)
    loss: dict[str, float] = {
        "windows": len(inputs.windows),
        "hits": int(in_either.sum()),
        "differing_hits": int(hits.sum()),
    }
    for name, unit, differences in (
        ("velocity", "", velocities[in_both] * MAX_VELOCITY),
        ("timing", "_ms", offsets[in_both] * HALF_STEP_MS),
        ("sigma", "_percent", np.abs(exported_sigma / np.maximum(sigma, MIN_SIGMA) - 1) * 100),
    ):
        loss[f"{name}_mean{unit}"] = float(differences.mean()) if differences.size else 0.0
        loss[f"{name}_max{unit}"] = float(differences.max(initial=0))
    return loss


def format_precision_loss(loss: dict[str, float]) -> str:
    percent = 100 * loss["differing_hits"] / max(loss["hits"], 1)
    return (
        "{differing_hits:,} of {hits:,} hits in {windows} windows differ ({percent:.2f} %); mean "
        "(largest) difference of velocity {velocity_mean:.3f} ({velocity_max:.2f}) of 127, "
        "timing {timing_mean_ms:.3f} ms ({timing_max_ms:.2f} ms), "
        "sigma {sigma_mean_percent:.3f} % ({sigma_max_percent:.2f} %)"
    ).format(percent=percent, **loss)


def _decoder_cases(mu: np.ndarray, windows: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield latents and thresholds: `mu` at temperature 0, prior samples at 1, `mu` forced."""
    most_likely, sampled = _sample_thresholds(windows)
    yield mu, most_likely
    yield np.random.RandomState(2).standard_normal(mu.shape), sampled
    yield mu, latent.forced_hit_thresholds(windows[..., : sampled.shape[-1]])


def _sample_thresholds(windows: np.ndarray) -> list[np.ndarray]:
    """Return thresholds at temperatures 0 and 1, from the same noise."""
    shape = (*windows.shape[:-1], windows.shape[-1] // 3)
    return [
        latent.thresholds(shape, temperature, np.random.RandomState(1))
        for temperature in (0.0, 1.0)
    ]


def _check_outputs(
    name: str,
    in_tensorflow: Callable[[np.ndarray], Decoded],
    in_onnx: Callable[[np.ndarray], Decoded],
    inputs: np.ndarray,
    num_hits: int = 0,
) -> float:
    """Return the largest difference of two networks' outputs.

    Raises:
      GroovaeError: If it is too large, or any of the first `num_hits` values of a step differs.
    """
    expected, found = in_tensorflow(inputs), in_onnx(inputs)
    hits = expected[0][..., :num_hits] != found[0][..., :num_hits]
    difference, tolerance = _max_difference(expected, found), TOLERANCE
    if difference > TOLERANCE:
        rounded = inputs * (1 + np.finfo(np.float32).eps)
        by_rounding = _max_difference(expected, in_tensorflow(rounded))
        tolerance = float(np.clip(10 * by_rounding, TOLERANCE, MAX_TOLERANCE))
    if hits.any() or not difference <= tolerance:  # `not <=` includes NaN
        raise GroovaeError(
            f"{name} differs from the checkpoint: {int(hits.sum()):,} of {hits.size:,} hits "
            f"differ, and the largest difference is {difference:.1e} (tolerance "
            f"{tolerance:.1e}); nothing was written"
        )
    return difference


def _max_difference(expected: Decoded, found: Decoded) -> float:
    """Return the largest absolute difference, relative for values over 1."""
    differences = [
        np.max(np.abs(a - b) / np.maximum(1, np.abs(a)))
        for a, b in zip(expected, found, strict=True)
    ]
    return float(np.max(differences))
