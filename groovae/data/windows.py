"""Grids to training windows: Magenta's GrooveConverter as array code.

A window is `split_bars` bars of a grid (see grid.py). What the model gets to see of it
(`to_inputs`) and what the decoder is told (`to_controls`) are made from the window alone, so that
nothing else needs to be kept; all equal those of `GrooveConverter.to_tensors` bit for bit.
"""

from typing import Any, NamedTuple

import numpy as np

from groovae.config.layout import Layout
from groovae.data.grid import to_grid
from groovae.data.window_report import WindowReport
from groovae.music.drums import OPEN_HIHAT


class WindowSource(NamedTuple):
    """Where a window comes from: the record, and the bar and tempo in it (bars count from 0)."""

    id: str
    filename: str
    first_bar: int
    tempo_qpm: float


class SequenceWindows(NamedTuple):
    """The n windows of one sequence: float32 [n, steps, depth]; most configs have no controls."""

    inputs: np.ndarray
    outputs: np.ndarray
    controls: np.ndarray
    sources: list[WindowSource]


def to_windows(
    sequence: Any, layout: Layout, report: WindowReport | None = None, rng: Any = np.random
) -> SequenceWindows:
    """The windows of a NoteSequence: what `GrooveConverter.to_tensors` gives, bit for bit.

    Args:
      sequence: An unquantized NoteSequence.
      layout: How to cut it.
      report: Accounts for what was lost.
      rng: A `np.random.RandomState`, or `np.random` itself, for the note dropout. The same random
        numbers drop the same notes as in Magenta, which draws one probability for a sequence.

    Raises:
      GroovaeError: a drum note has no class, and the policy is `error`.
    """
    grid = to_grid(sequence, layout, WindowReport() if report is None else report)
    inputs = to_inputs(grid.outputs, layout, rng)
    return SequenceWindows(
        _cut(inputs, grid.starts, layout),
        _cut(grid.outputs, grid.starts, layout),
        _cut(to_controls(grid.outputs, layout), grid.starts, layout),
        [
            WindowSource(sequence.id, sequence.filename, bar, grid.tempo_qpm)
            for bar in (start // layout.steps_per_bar for start in grid.starts)
        ],
    )


def to_inputs(outputs: np.ndarray, layout: Layout, rng: Any = np.random) -> np.ndarray:
    """What the encoder gets to see of windows, or of a whole grid.

    Args:
      outputs: float32 [..., steps, depth].
      layout: Says what is hidden from the encoder.
      rng: For the note dropout; each [steps, depth] gets a probability of its own.

    Returns:
      float32 of the same shape: a new array, or `outputs` itself where all is shown.
    """
    if not hides_something(layout):
        return outputs
    inputs = outputs.copy()
    hits, velocities, offsets = np.split(inputs, 3, axis=-1)  # views
    if layout.max_note_dropout_probability is not None:
        keep = _kept_notes(velocities, layout.max_note_dropout_probability, rng)
        inputs *= np.concatenate([keep] * 3, axis=-1)
    if layout.tapify:
        # As in Magenta: the loudest of the notes that are left, but with what was there before.
        loudest = np.argmax(velocities, axis=-1)[..., np.newaxis]
        before = np.split(outputs, 3, axis=-1)
        inputs[:] = 0
        for part, whole in zip((hits, velocities, offsets), before, strict=True):
            part[..., OPEN_HIHAT] = np.take_along_axis(whole, loudest, axis=-1)[..., 0]
    if layout.humanize:
        offsets[:] = 0
    if layout.humanize or layout.fixed_velocities:
        velocities[:] = 0
    for part in (hits, velocities, offsets):
        part[..., list(layout.add_instruments)] = 0
    return inputs


def to_controls(outputs: np.ndarray, layout: Layout) -> np.ndarray:
    """What the decoder is told beside z: float32 [..., steps, control_depth]."""
    return outputs[..., : layout.control_depth]


def predicted_drums(layout: Layout) -> np.ndarray:
    """Whose hits a model has to find by itself, bool [drums]; those of the others are given."""
    if layout.humanize or layout.hits_as_controls:
        return np.zeros(layout.num_drums, bool)
    if layout.add_instruments:
        return np.isin(np.arange(layout.num_drums), layout.add_instruments)
    return np.ones(layout.num_drums, bool)


def hides_something(layout: Layout) -> bool:
    """Whether the encoder gets to see less than all of a window."""
    return bool(
        layout.humanize
        or layout.tapify
        or layout.fixed_velocities
        or layout.add_instruments
        or layout.max_note_dropout_probability is not None
    )


def _cut(grid: np.ndarray, starts: range, layout: Layout) -> np.ndarray:
    """The windows of a grid: [n, window_steps, depth]."""
    windows = np.empty((len(starts), layout.window_steps, grid.shape[-1]), np.float32)
    for window, start in zip(windows, starts, strict=True):
        window[:] = grid[start : start + layout.window_steps]
    return windows


def _kept_notes(velocities: np.ndarray, max_probability: float, rng: Any) -> np.ndarray:
    """1 for each cell to keep, 0 for each to drop: soft notes go more often.

    Magenta weighs with float64 velocities; a float32 knows which 127th it was.
    """
    probability = rng.uniform(0.0, max_probability, size=(*velocities.shape[:-2], 1, 1))
    exact = np.rint(velocities.astype(np.float64) * 127) / 127
    return 1 - rng.binomial(1, np.maximum(0.2, 1 - exact) * probability)
