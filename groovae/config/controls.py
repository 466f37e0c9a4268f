"""The decoder's controls: what it is given at each step beside z."""

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from groovae.config.layout import TEMPO_BANDS_QPM, Layout


def make_controls(
    inputs: np.ndarray, outputs: np.ndarray, layout: Layout, tempo_qpm: np.ndarray | float
) -> np.ndarray:
    """Return the controls of windows: float32 [..., steps, control_depth].

    Args:
      inputs: The encoder's inputs, [..., steps, depth].
      outputs: What the decoder is trained to output, of the same shape.
      layout: Which of them are controls, and whether the tempo is one.
      tempo_qpm: The tempo of each window, of the shape of the leading axes, or of all.
    """
    source = inputs if layout.inputs_as_controls else outputs
    controls = source[..., layout.control_columns]
    context = layout.control_context_steps
    controls = add_context(controls, context) if context else controls
    return _add_tempo(controls, tempo_qpm) if layout.tempo_as_control else controls


def add_context(values: np.ndarray, num_steps: int) -> np.ndarray:
    """Return for each step the values of `num_steps` before it, its own, and `num_steps` after it.

    Args:
      values: [..., steps, depth]; they are 0 outside.
      num_steps: 0 or more.

    Returns:
      [..., steps, depth * (1 + 2 * num_steps)], in order of time.
    """
    padding = [(0, 0)] * (values.ndim - 2) + [(num_steps, num_steps), (0, 0)]
    around = sliding_window_view(np.pad(values, padding), 1 + 2 * num_steps, axis=-2)
    depth = values.shape[-1] * (1 + 2 * num_steps)
    return np.swapaxes(around, -1, -2).reshape(*values.shape[:-1], depth)


def _add_tempo(controls: np.ndarray, tempo_qpm: np.ndarray | float) -> np.ndarray:
    """Add a column for each of TEMPO_BANDS_QPM: how near the tempo is, from 1 to 0 at the next."""
    bands = np.log2(TEMPO_BANDS_QPM)
    octaves = np.clip(np.log2(np.asarray(tempo_qpm, np.float64)), bands[0], bands[-1])
    distances = np.abs(octaves[..., np.newaxis] - bands) / (bands[1] - bands[0])
    near = np.maximum(0, 1 - distances).astype(np.float32)[..., np.newaxis, :]
    columns = np.broadcast_to(near, (*controls.shape[:-1], len(bands)))
    return np.concatenate([controls, columns], axis=-1)
