"""Infill: hide a part of a groove, guess what was there, and decode that part anew.

A cell is a drum at a step. The hidden cells are some bars, some drums, or some drums in some bars.
A first guess fills them, since an encoder that was trained on whole grooves takes missing hits for
rests:

- Where the drum is kept in other bars, the bars before, or after if there are none. The logits of
  the hits are then raised by COPY_BIAS where the copy has a hit and lowered where it has none.
- Where it is hidden throughout, the mean of the NUM_NEAREST of some samples of the model that are
  most similar to what is kept.

Groove and guess are encoded, and decoded with the kept hits forced (see infiller.py). What this
and other ways give on the test split is in docs/results.md; scripts/measure_infill.py measures it.
"""

from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import numpy as np

from groovae.config.layout import Layout
from groovae.data.grid import Segments
from groovae.errors import UsageError, check_whole
from groovae.generation.grooves import drum_notes, make_groove_like, to_notes, usual_pitches
from groovae.music.drums import find_drums

COPY_BIAS = 2.0  # chosen on the validation split, as NUM_NEAREST
NUM_NEAREST = 8


class Guess(NamedTuple):
    """A groove whose hidden cells are filled by a guess.

    Attributes:
      outputs: float32 [n, steps, depth]; guessed hits may be between 0 and 1.
      bias: What is added to the logits of hidden cells, float32 [n, steps, drums].
    """

    outputs: np.ndarray
    bias: np.ndarray


def hidden_cells(
    segments: Segments,
    layout: Layout,
    bars: tuple[int, int] | None,
    drums: Iterable[str | int] | None,
) -> np.ndarray:
    """Return which cells to infill, bool [n, window_steps, drums].

    Args:
      segments: Of the groove.
      layout: Of the model.
      bars: The first and the last bar, from 1; all by default.
      drums: Names or classes; all by default. See `drums.find_drums`.

    Raises:
      UsageError: bars or drums do not exist, or nothing is kept.
    """
    if bars is None and drums is None:
        raise UsageError("name bars or drums to infill: nothing would be kept of the groove")
    steps = segments.mask.reshape(-1)
    if bars is not None:
        first, last = _check_bars(bars, segments.timeline.bars)
        steps = np.zeros_like(steps)
        steps[: len(segments.timeline.mask())] = segments.timeline.mask(first, last)
    chosen = range(layout.num_drums) if drums is None else find_drums(drums, layout.num_drums)
    hidden = np.zeros((*segments.mask.shape, layout.num_drums), bool)
    hidden[..., list(chosen)] = steps.reshape(segments.mask.shape)[..., np.newaxis]
    kept = segments.outputs[..., : layout.num_drums] * ~hidden
    if not kept.any():
        raise UsageError(
            "nothing that is kept has a hit: infill fewer bars or drums, or use `groovae sample`"
        )
    return hidden


def guess_hidden(
    segments: Segments,
    hidden: np.ndarray,
    layout: Layout,
    draw: Callable[[], np.ndarray],
) -> Guess:
    """Fill the hidden cells by a guess; see the module docstring.

    Args:
      segments: Of the groove.
      hidden: bool [n, window_steps, drums].
      layout: Of the model.
      draw: Returns samples of the model, float32 [m, window_steps, depth].
    """
    outputs = segments.outputs * ~_thrice(hidden)
    copied, is_copied = copy_bars(outputs, hidden, segments.bars, layout)
    bias = np.where(copied[..., : layout.num_drums] > 0.5, COPY_BIAS, -COPY_BIAS) * is_copied
    if not is_copied[hidden].all():
        kept = segments.mask[..., np.newaxis] & ~hidden
        similar = mean_of_nearest(outputs, kept, draw())
        similar *= (outputs.any(axis=(1, 2)))[:, np.newaxis, np.newaxis]  # where there is music
        copied = np.where(_thrice(is_copied), copied, similar)
    return Guess(fill(outputs, hidden, copied), bias.astype(np.float32))


def fill(outputs: np.ndarray, hidden: np.ndarray, tensors: np.ndarray) -> np.ndarray:
    """Return outputs [n, steps, depth] with the hidden cells taken from tensors."""
    return np.where(_thrice(hidden), tensors, outputs).astype(np.float32)


def copy_bars(
    outputs: np.ndarray, hidden: np.ndarray, num_bars: int, layout: Layout
) -> tuple[np.ndarray, np.ndarray]:
    """Copy kept bars over hidden ones, drum by drum.

    Args:
      outputs: float32 [n, window_steps, depth].
      hidden: bool [n, window_steps, drums].
      num_bars: The length of the groove in bars of the model.
      layout: Of the model.

    Returns:
      The copies, of the shape of `outputs`, and which cells have one, bool [n, window_steps,
      drums]: those of drums with a kept bar, which has a hit unless all drums are hidden.
    """
    by_bar = outputs.reshape(-1, layout.steps_per_bar, 3, layout.num_drums)
    copied, is_copied = np.zeros_like(by_bar), np.zeros((len(by_bar), layout.num_drums), bool)
    is_hidden = np.array(hidden.reshape(len(by_bar), -1, layout.num_drums).any(axis=1))
    are_all_hidden = is_hidden.any(axis=0).all()  # and no drum was asked for by name
    for drum in range(layout.num_drums):
        bars = is_hidden[:num_bars, drum]
        if not bars.all() and (are_all_hidden or by_bar[:, :, 0, drum].any()):
            copied[:num_bars, ..., drum] = by_bar[source_bars(bars)][..., drum]
            is_copied[:num_bars, drum] = True
    cells = np.repeat(is_copied, layout.steps_per_bar, axis=0)
    return copied.reshape(outputs.shape), cells.reshape(hidden.shape)


def source_bars(hidden: np.ndarray) -> np.ndarray:
    """Return for each bar the kept bar to copy; not all are hidden.

    As many bars before a run of hidden ones as it has, or those there are, or else kept bars after.

    >>> source_bars(np.array([False, False, True, True, True]))
    array([0, 1, 0, 1, 0])
    >>> source_bars(np.array([True, False, False, True]))
    array([1, 1, 2, 2])
    """
    sources, kept = np.arange(len(hidden)), np.flatnonzero(~hidden)
    first = 0  # of the run of hidden bars
    for bar in np.flatnonzero(hidden).tolist():
        if bar == 0 or not hidden[bar - 1]:
            first = bar
            length = int(np.argmin(np.append(hidden[first:], False)))
        before = min(length, first)
        at = (bar - first) % before if before else 0
        sources[bar] = sources[first - before + at] if before else kept[bar % len(kept)]
    return sources


def mean_of_nearest(outputs: np.ndarray, kept: np.ndarray, draws: np.ndarray) -> np.ndarray:
    """Return the mean of the draws whose hits have the highest F1 with those that are kept.

    Args:
      outputs: float32 [n, steps, depth].
      kept: The cells to compare, bool [n, steps, drums].
      draws: float32 [m, steps, depth].
    """
    num_drums = kept.shape[-1]
    drawn = (draws[..., :num_drums] > 0.5).reshape(len(draws), -1).astype(np.float32)
    means = np.empty_like(outputs)
    for mean, window, cells in zip(means, outputs, kept, strict=True):
        own = (window[:, :num_drums] * cells).reshape(-1)
        compared = drawn * cells.reshape(-1)
        f1 = 2 * compared @ own / np.maximum(compared.sum(axis=1) + own.sum(), 1)
        nearest = np.argsort(-f1, kind="stable")[:NUM_NEAREST]
        mean[:] = draws[nearest].mean(axis=0)
    return means


def last_bars(segments: Segments, num_bars: int, layout: Layout) -> np.ndarray:
    """Return which cells the last bars of a groove have, bool [n, window_steps, drums]."""
    last = segments.timeline.bars
    return hidden_cells(segments, layout, (last - num_bars + 1, last), None)


def every_bar(segments: Segments, every: int, layout: Layout) -> np.ndarray:
    """Return the bars of the model, from 0, that are each `every`-th bar of the groove.

    Raises:
      UsageError: the groove is shorter.
    """
    timeline = segments.timeline
    if timeline.bars < every:
        raise UsageError(f"each bar {every} cannot be a fill: the groove has {timeline.bars} bars")
    steps = [timeline.mask(bar, bar) for bar in range(every, timeline.bars + 1, every)]
    return np.unique(np.flatnonzero(np.any(steps, axis=0)) // layout.steps_per_bar)


def replace_hidden(
    segments: Segments, hidden: np.ndarray, tensors: np.ndarray, layout: Layout
) -> Any:
    """Return the groove with its notes in hidden cells replaced by the hits of tensors there.

    Notes without a drum class are kept.
    """
    cells = hidden.reshape(-1)
    kept = [note for note, cell in drum_notes(segments) if cell < 0 or not cells[cell]]
    tensors = fill(np.zeros_like(tensors), hidden, tensors)
    generated = to_notes(segments, tensors, layout, usual_pitches(segments, layout.pitch_classes))
    return make_groove_like(segments, [*kept, *generated])


def _check_bars(bars: tuple[int, int], num_bars: int) -> tuple[int, int]:
    if not isinstance(bars, tuple | list) or len(bars) != 2:
        raise UsageError(f"bars must be the first and the last bar, such as (3, 4), got {bars!r}")
    first, last = bars
    check_whole("the first of the bars", first, 1, num_bars)
    check_whole("the last of the bars", last, first, num_bars)
    return first, last


def _thrice(cells: np.ndarray) -> np.ndarray:
    """Return cells [..., drums] for hits, velocities and offsets, [..., 3 * drums]."""
    return np.concatenate([cells] * 3, axis=-1)
