"""The interface of a trained network, and helpers for its implementations."""

from collections.abc import Callable, Sequence
from typing import Any, Protocol

import numpy as np

from groovae.config.layout import Layout
from groovae.errors import GroovaeError
from groovae.music.drums import DrumMap

# Tensors [n, steps, depth], and the likelihood of each hit [n, steps, drums]; both float32.
Decoded = tuple[np.ndarray, np.ndarray]


class Network(Protocol):
    """Encoder and decoder: a `TensorFlowNetwork` or an `OnnxNetwork`.

    Attributes:
      checkpoint: The checkpoint's prefix, or the folder of an export.
      config_name: A key of `CONFIG_MAP`.
      layout: How the model was trained to split a groove, and the encoder's input.
      z_size: The number of latent dimensions.
      drum_map: The drum map that the model was trained with; None for that of its config.
      hparams: The hparams of its training.
    """

    checkpoint: str
    config_name: str
    layout: Layout
    z_size: int
    drum_map: DrumMap | None
    hparams: dict[str, Any]

    def fingerprint(self) -> str:
        """Return a SHA-256 that changes with the weights."""

    def encode(self, inputs: np.ndarray, controls: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Encode windows.

        Args:
          inputs: float32 [n, steps, depth], n of 1 or more.
          controls: float32 [n, steps, control_depth].

        Returns:
          `mu` and `sigma`, both float32 [n, z_size].
        """

    def decode(self, z: np.ndarray, thresholds: np.ndarray, controls: np.ndarray) -> Decoded:
        """Decode latents, in batches.

        Args:
          z: [n, z_size], n of 1 or more.
          thresholds: Of the logits, above which there is a hit, float32 [n, steps, drums]; see
            `latent.thresholds` and `latent.forced_hit_thresholds`.
          controls: float32 [n, steps, control_depth].

        Raises:
          GroovaeError: the output has non-finite values.
        """


def in_batches(
    run: Callable[..., Sequence[np.ndarray]], batch_size: int, *arrays: np.ndarray
) -> list[np.ndarray]:
    """Apply `run` to `batch_size` rows of the arrays at a time, and concatenate each output."""
    batches = [
        run(*(array[i : i + batch_size] for array in arrays))
        for i in range(0, len(arrays[0]), batch_size)
    ]
    return [np.concatenate(outputs) for outputs in zip(*batches, strict=True)]


def check_finite(tensors: np.ndarray, checkpoint: str) -> None:
    """Raise a GroovaeError if decoded tensors have non-finite values."""
    if not np.isfinite(tensors).all():
        raise GroovaeError(
            f"{checkpoint}: the model outputs non-finite values, since its training diverged; use "
            "an older checkpoint"
        )
