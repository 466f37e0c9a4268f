"""Windows of a grid, and the inputs and controls of the model: GrooveConverter as array code.

A window is `split_bars` bars of a grid (see grid.py), and what the decoder is trained to output.
The encoder's inputs (`to_inputs`) and the decoder's controls (`to_controls`) are computed from it.
All three equal those of `GrooveConverter.to_tensors` bit for bit.
"""

from collections.abc import Iterable
from typing import Any, NamedTuple

import numpy as np

from groovae.config.controls import make_controls
from groovae.config.layout import Layout
from groovae.data.grid import to_grid
from groovae.data.window_report import WindowReport
from groovae.music.drums import OPEN_HIHAT
from groovae.music.tempo import DEFAULT_QPM, TempoMap


class WindowSource(NamedTuple):
    """The record that a window was cut from, its first bar there (from 0), and the tempo."""

    id: str
    filename: str
    first_bar: int
    tempo_qpm: float


class SequenceWindows(NamedTuple):
    """The n windows of one sequence: float32 [n, steps, depth] each; depth 0 without controls."""

    inputs: np.ndarray
    outputs: np.ndarray
    controls: np.ndarray
    sources: list[WindowSource]


def to_windows(
    sequence: Any, layout: Layout, report: WindowReport | None = None, rng: Any = np.random
) -> SequenceWindows:
    """Convert a NoteSequence to windows, as `GrooveConverter.to_tensors` does.

    Args:
      sequence: An unquantized NoteSequence.
      layout: How to cut it.
      report: Its counts are increased.
      rng: A `np.random.RandomState`, or `np.random` itself, for note dropout. With the same state
        the same notes are dropped as in Magenta, which draws one probability per sequence.

    Raises:
      GroovaeError: a drum note has no class and `unmapped_pitches` is `error`.
    """
    grid = to_grid(sequence, layout, WindowReport() if report is None else report)
    inputs = _cut(to_inputs(grid.outputs, layout, rng), grid.starts, layout)
    outputs = _cut(grid.outputs, grid.starts, layout)
    tempos = grid.tempos or ((0.0, grid.tempo_qpm),)
    sources = [
        make_source(sequence.id, sequence.filename, start, tempos, layout) for start in grid.starts
    ]
    return SequenceWindows(
        inputs,
        outputs,
        make_controls(inputs, outputs, layout, tempos_of(sources)),
        sources,
    )


def make_source(
    name: str, filename: str, first_step: int, tempos: Iterable[Iterable[float]], layout: Layout
) -> WindowSource:
    """Return the source of a window that begins at a step of a record.

    Args:
      name: The id of the record; likewise `filename`.
      first_step: Its first step in the record.
      tempos: (quarter, qpm) of each tempo of the record.
      layout: How it was cut.
    """
    bar = first_step // layout.steps_per_bar
    tempo_map = TempoMap(*zip(*tempos, strict=True))
    return WindowSource(name, filename, bar, tempo_map.tempo_at(bar * layout.quarters_per_bar))


def to_inputs(outputs: np.ndarray, layout: Layout, rng: Any = np.random) -> np.ndarray:
    """Return the encoder's inputs for windows, or for a whole grid.

    Args:
      outputs: float32 [..., steps, depth].
      layout: What to hide from the encoder.
      rng: For note dropout; each [steps, depth] draws a probability of its own.

    Returns:
      float32 of the same shape: a new array, or `outputs` itself if nothing is hidden.
    """
    if not (
        layout.humanize
        or layout.tapify
        or layout.fixed_velocities
        or layout.add_instruments
        or layout.max_note_dropout_probability is not None
    ):
        return outputs
    inputs = outputs.copy()
    hits, velocities, offsets = np.split(inputs, 3, axis=-1)  # views
    if layout.max_note_dropout_probability is not None:
        keep = _kept_notes(velocities, layout.max_note_dropout_probability, rng)
        inputs *= np.concatenate([keep] * 3, axis=-1)
    if layout.tapify:
        # As in Magenta: the loudest note after dropout, with its values from before dropout.
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


def tempos_of(sources: Iterable[WindowSource]) -> np.ndarray:
    """Return the tempo of each window in qpm, float64 [n]."""
    return np.array([source.tempo_qpm for source in sources])


def to_controls(
    outputs: np.ndarray, layout: Layout, tempo_qpm: np.ndarray | float = DEFAULT_QPM
) -> np.ndarray:
    """Return the decoder's controls of windows, [..., steps, control_depth], without dropout.

    See `make_controls`.
    """
    return make_controls(to_inputs(outputs, layout), outputs, layout, tempo_qpm)


def predicted_drums(layout: Layout) -> np.ndarray:
    """Return which drums' hits the model predicts, bool [drums]; it is given the other hits."""
    if layout.humanize or layout.hits_as_controls:
        return np.zeros(layout.num_drums, bool)
    if layout.add_instruments:
        return np.isin(np.arange(layout.num_drums), layout.add_instruments)
    return np.ones(layout.num_drums, bool)


def _cut(grid: np.ndarray, starts: range, layout: Layout) -> np.ndarray:
    """Return the windows of a grid: [n, window_steps, depth]."""
    windows = np.empty((len(starts), layout.window_steps, grid.shape[-1]), np.float32)
    for window, start in zip(windows, starts, strict=True):
        window[:] = grid[start : start + layout.window_steps]
    return windows


def _kept_notes(velocities: np.ndarray, max_probability: float, rng: Any) -> np.ndarray:
    """Draw 1 for each cell to keep and 0 for each to drop, which soft notes are more often.

    Magenta computes with float64 velocities, which are restored here as multiples of 1/127.
    """
    probability = rng.uniform(0.0, max_probability, size=(*velocities.shape[:-2], 1, 1))
    exact = np.rint(velocities.astype(np.float64) * 127) / 127
    return 1 - rng.binomial(1, np.maximum(0.2, 1 - exact) * probability)
