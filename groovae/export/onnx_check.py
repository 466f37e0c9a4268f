"""Whether an exported model plays what TensorFlow plays, and how far it is off where it does not.

Both get the same windows, the same latents and the same thresholds. Of a model in float32 all hits
must be the same, and all else within TOLERANCE. But a trained model may amplify the rounding of
each step until TensorFlow itself is further than that from what float64 would give. So it will also
do to be within ten times of what TensorFlow's numbers move by when its inputs are rounded
otherwise, up to MAX_TOLERANCE. In a coarser model a hit may fall that did not, and what follows
hears it; how much of that happens is measured.
"""

import dataclasses
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
# Two ways to add up the same numbers may round a logit to both sides of its threshold, in a model
# that is exported well. So the thresholds are moved away from all logits by this.
MARGIN = 1e-3
NUM_WINDOWS = 64
MAX_VELOCITY = 127
HALF_STEP_MS = 62.5  # of a 16th at 120 qpm
TINY = np.finfo(np.float32).tiny


class ComparisonInputs(NamedTuple):
    """Windows [n, steps, depth], and what the encoder and the decoder get to see of them."""

    windows: np.ndarray
    inputs: np.ndarray
    controls: np.ndarray


@dataclasses.dataclass(frozen=True)
class Loss:
    """How far a model is off.

    Attributes:
      windows: How many windows it was measured on, each with the likeliest and with drawn hits.
      hits: Hits that at least one of both played.
      differing_hits: Those that only one of both played.
      velocity_mean: The mean difference of the velocities of hits that both played, 0 to 127.
      velocity_max: The largest one.
      timing_mean_ms: Likewise of their times, in milliseconds at 120 qpm.
      timing_max_ms: The largest one.
      sigma_mean_percent: The mean difference of sigma, which says how far a feel may vary, as a
        share of it.
      sigma_max_percent: The largest one.
    """

    windows: int
    hits: int
    differing_hits: int
    velocity_mean: float
    velocity_max: float
    timing_mean_ms: float
    timing_max_ms: float
    sigma_mean_percent: float
    sigma_max_percent: float

    def __str__(self) -> str:
        share = 100 * self.differing_hits / max(self.hits, 1)
        return (
            f"of {self.hits:,} hits in {self.windows} windows {self.differing_hits:,} differ "
            f"({share:.2f} %), the others' velocities by {self.velocity_mean:.3f} of 127 (at most "
            f"{self.velocity_max:.2f}), their times by {self.timing_mean_ms:.3f} ms (at most "
            f"{self.timing_max_ms:.2f} ms); sigma by {self.sigma_mean_percent:.3f} % (at most "
            f"{self.sigma_max_percent:.2f} %)"
        )


def hear(windows: np.ndarray, layout: Layout) -> ComparisonInputs:
    inputs = to_inputs(windows, layout, np.random.RandomState(0))
    return ComparisonInputs(windows, inputs, to_controls(windows, layout))


def windows_of(network: Network) -> np.ndarray:
    """Windows where there are no records: random ones, and as many that the model draws.

    Returns:
      float32 [NUM_WINDOWS, steps, depth].
    """
    layout, rng = network.layout, np.random.RandomState(0)
    shape = (NUM_WINDOWS // 2, layout.window_steps, layout.num_drums)
    hits = rng.random_sample(shape) < 0.15
    values = [np.ones(shape), rng.random_sample(shape), rng.uniform(-1, 1, shape)]
    scattered = np.concatenate([hits * value for value in values], axis=-1).astype(np.float32)
    z = rng.standard_normal((len(scattered), network.z_size))
    thresholds = latent.thresholds(shape, 1.0, rng)
    drawn, _ = network.decode(z, thresholds, to_controls(scattered, layout))
    velocities_and_offsets = drawn * np.tile(drawn[..., : layout.num_drums], 3)
    return np.concatenate([scattered, velocities_and_offsets])


def check_same(network: Network, exported: OnnxNetwork, heard: ComparisonInputs) -> float:
    """Checks that an exported model plays what TensorFlow plays.

    Args:
      network: The checkpoint in TensorFlow.
      exported: The model.
      heard: What to compare them on.

    Returns:
      The largest difference of any number but the hits, which are the same.

    Raises:
      GroovaeError: they differ.
    """
    inputs, controls = heard.inputs, heard.controls
    worst = _compare(
        "encoder.onnx",
        lambda inputs: network.encode(inputs, controls),
        lambda inputs: exported.encode(inputs, controls),
        inputs,
    )
    mu, _ = network.encode(inputs, controls)
    for z, thresholds in _passes(mu, heard.windows):
        num_drums = thresholds.shape[-1]
        hits = network.decode(z, thresholds, controls)[0][..., :num_drums]
        firm = (thresholds + np.where(hits > 0.5, -MARGIN, MARGIN)).astype(np.float32)
        for name, decode in (
            ("decoder.onnx", exported.decode),
            ("decoder_step.onnx", exported.decode_by_steps),
        ):
            apart = _compare(
                name,
                functools.partial(network.decode, thresholds=firm, controls=controls),
                functools.partial(decode, thresholds=firm, controls=controls),
                z,
                num_drums,
            )
            worst = max(worst, apart)
    return worst


def measure_loss(network: Network, exported: OnnxNetwork, heard: ComparisonInputs) -> Loss:
    """How far an exported model is off, from the window to what is played of it."""
    z, sigma = network.encode(heard.inputs, heard.controls)
    own_z, own_sigma = exported.encode(heard.inputs, heard.controls)
    pairs = [
        (
            network.decode(z, thresholds, heard.controls)[0],
            exported.decode(own_z, thresholds, heard.controls)[0],
        )
        for thresholds in _thresholds(heard.windows)
    ]
    there, here = (np.concatenate(both) for both in zip(*pairs, strict=True))
    hits, velocities, offsets = np.split(np.abs(there - here), 3, axis=-1)
    sounding = np.maximum(there, here)[..., : hits.shape[-1]] > 0.5
    both = sounding & (hits < 0.5)
    return Loss(
        len(heard.windows),
        int(sounding.sum()),
        int(hits.sum()),
        *_mean_and_max(velocities[both] * MAX_VELOCITY),
        *_mean_and_max(offsets[both] * HALF_STEP_MS),
        *_mean_and_max(np.abs(own_sigma / np.maximum(sigma, TINY) - 1) * 100),
    )


def _passes(mu: np.ndarray, windows: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Latents and thresholds: from `mu` and from the prior, likeliest, drawn and given hits."""
    likeliest, drawn = _thresholds(windows)
    yield mu, likeliest
    yield np.random.RandomState(2).standard_normal(mu.shape), drawn
    yield mu, latent.forced_hit_thresholds(windows[..., : drawn.shape[-1]])


def _thresholds(windows: np.ndarray) -> list[np.ndarray]:
    """At temperature 0 and 1."""
    shape = (*windows.shape[:-1], windows.shape[-1] // 3)
    return [latent.thresholds(shape, at, np.random.RandomState(1)) for at in (0.0, 1.0)]


def _compare(
    name: str,
    in_tensorflow: Callable[[np.ndarray], Decoded],
    in_onnx: Callable[[np.ndarray], Decoded],
    inputs: np.ndarray,
    num_hits: int = 0,
) -> float:
    """The largest difference; raises where it, or any of the first `num_hits` values, is wrong."""
    expected, found = in_tensorflow(inputs), in_onnx(inputs)
    hits = expected[0][..., :num_hits] != found[0][..., :num_hits]
    worst, allowed = _apart(expected, found), TOLERANCE
    if worst > TOLERANCE:
        rounded = inputs * (1 + np.finfo(np.float32).eps)
        allowed = min(10 * _apart(expected, in_tensorflow(rounded)), MAX_TOLERANCE)
        allowed = max(allowed, TOLERANCE)
    if hits.any() or not worst <= allowed:
        raise GroovaeError(
            f"{name} does not play what the checkpoint does: {int(hits.sum()):,} of {hits.size:,} "
            f"hits differ, and the largest difference is {worst:.1e}, more than {allowed:.1e}; "
            "nothing was written"
        )
    return worst


def _apart(expected: Decoded, found: Decoded) -> float:
    """The largest difference; of a number over 1, whose float32 has fewer decimals, its share."""
    differences = [
        np.max(np.abs(there - here) / np.maximum(1, np.abs(there)))
        for there, here in zip(expected, found, strict=True)
    ]
    return float(np.max(differences))


def _mean_and_max(differences: np.ndarray) -> tuple[float, float]:
    if not differences.size:
        return 0.0, 0.0
    return float(differences.mean()), float(differences.max())
