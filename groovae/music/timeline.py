"""Play grooves of any tempo map and meter on the grid of a model, and back.

    timeline = Timeline(sequence, steps_per_bar=16)
    plain = timeline.flatten(sequence)     # one tempo, bars of 16 steps
    timeline.restore(plain)                # the tempo map and the bars of the sequence

A model has one tempo and bars of one length. A bar of the groove is laid at the start of a bar of
the model, and a longer one over several; the steps left over are padding. A pickup, a short first
bar before another meter, is laid at the end of its bar. Notes keep their distance from the nearest
step. A step is a 16th note.

A groove at one tempo whose bars are those of the model is not changed at all.
"""

import copy
from typing import Any, NamedTuple

import numpy as np

from groovae.errors import GroovaeError
from groovae.music.note_sequence import NoteSequence
from groovae.music.tempo import TempoMap

STEPS_PER_QUARTER = 4
MAX_STEPS = 1_000_000  # 35 hours of 16ths at 120 qpm, and an array of 0.2 GB
SAME_STEP = 1e-6  # of times that went through seconds
LAST_32ND = 0.5 - 1 / 16  # a hit half a step ahead of the last bar line adds no bar


class Meter(NamedTuple):
    """A time signature from the step `first_step` on."""

    first_step: int
    numerator: int
    denominator: int

    @property
    def steps_per_bar(self) -> int:
        return 16 * self.numerator // self.denominator


class Timeline:
    """The tempo map and bars of a groove.

    Attributes:
      tempo_map: Its tempo map.
      meters: Its meters, the first at step 0.
      bars: Number of bars, to the last hit or, if later, to the end of the groove.
      model_bars: Number of bars of the model that they are laid over.
      steps_per_bar: The length of the model's bars in 16ths.
    """

    def __init__(self, sequence: Any, steps_per_bar: int = 16):
        """Find the bars of a NoteSequence.

        Args:
          sequence: With finite times and positive tempos.
          steps_per_bar: The length of the model's bars in 16ths.

        Raises:
          GroovaeError: a meter does not fit the grid of 16ths.
        """
        self.tempo_map = TempoMap.of(sequence)
        self.steps_per_bar = steps_per_bar
        self.meters = _meters(sequence, self.tempo_map)
        starts = self._steps([note.start_time for note in sequence.notes])
        end = self._steps([sequence.total_time])[0]
        last = int(np.floor(starts + LAST_32ND).max()) if len(starts) else -1
        self._starts, self._lengths = _bars(self.meters, last, end)
        self._lay_on_model_bars()

    def _lay_on_model_bars(self) -> None:
        spans = -(-np.maximum(self._lengths, 1) // self.steps_per_bar)
        self._model_starts = (np.cumsum(spans) - spans) * self.steps_per_bar
        self.bars, self.model_bars = len(spans), int(spans.sum())
        if self._has_pickup():
            self._model_starts[0] += min(self.steps_per_bar, self._lengths[1]) - self._lengths[0]

    def _has_pickup(self) -> bool:
        """Return whether the first bar is shorter than the second, which has another meter."""
        return (
            len(self.meters) > 1
            and self.bars > 1
            and self.meters[1].first_step == self._lengths[0]
            and self._lengths[0] < self._lengths[1] <= self.steps_per_bar
        )

    @property
    def longest_bar(self) -> int:
        """The length of the longest bar in steps."""
        return int(self._lengths.max())

    @property
    def is_plain(self) -> bool:
        """Whether there is one tempo and one meter, and all bars are those of the model."""
        is_constant = self.tempo_map.is_constant and len(self.meters) == 1
        is_aligned = (self._model_starts == self._starts).all()
        return is_constant and bool(is_aligned and self.has_model_bars)

    @property
    def has_model_bars(self) -> bool:
        """Whether all bars but a pickup have the length of the model's."""
        lengths = self._lengths[1:] if self._has_pickup() else self._lengths
        return bool((lengths == self.steps_per_bar).all())

    @property
    def end_seconds(self) -> float:
        """The end of the last bar in seconds."""
        return float(self._seconds(self._starts[-1] + self._lengths[-1]))

    def bar_of(self, step: float) -> int:
        """Return the number of the bar of a step, from 1."""
        return max(1, int(np.searchsorted(self._starts, step + SAME_STEP, side="right")))

    def bar_tempos_qpm(self) -> np.ndarray:
        """Return the tempo at the start of each bar of the model, float64 [model_bars]."""
        first_steps = np.arange(self.model_bars) * self.steps_per_bar
        bar = np.searchsorted(self._model_starts, first_steps, side="right") - 1
        bar = np.maximum(bar, 0)  # a pickup starts within the model's bar
        steps = self._starts[bar] + np.maximum(first_steps - self._model_starts[bar], 0)
        return np.array([self.tempo_map.tempo_at(step / STEPS_PER_QUARTER) for step in steps])

    def mask(self, first: int = 1, last: int | None = None) -> np.ndarray:
        """Return which steps of the model's bars are steps of the groove, bool [steps].

        Of its bars `first` to `last`, which are numbered from 1; by default of all.
        """
        mask = np.zeros(self.model_bars * self.steps_per_bar, bool)
        bars = slice(first - 1, last)
        for start, length in zip(self._model_starts[bars], self._lengths[bars], strict=True):
            mask[start : start + length] = True
        return mask

    def trim(self, model_bars: int) -> "Timeline":
        """Return the timeline of the bars in the first `model_bars` bars of the model."""
        trimmed = copy.copy(self)
        kept = self._model_starts < model_bars * self.steps_per_bar
        trimmed._starts, trimmed._lengths = self._starts[kept], self._lengths[kept]
        trimmed._model_starts = self._model_starts[kept]
        trimmed.bars, trimmed.model_bars = int(kept.sum()), model_bars
        return trimmed

    def flatten(self, sequence: Any) -> Any:
        """Return the groove at its first tempo, in bars of the model."""
        if self.is_plain:
            return sequence
        starts = self._steps([note.start_time for note in sequence.notes])
        lengths = self._steps([note.end_time for note in sequence.notes]) - starts
        bar = np.searchsorted(self._starts, np.floor(starts + 0.5 + SAME_STEP), side="right") - 1
        bar = np.maximum(bar, 0)
        starts += self._model_starts[bar] - self._starts[bar]
        tempo_qpm = float(self.tempo_map.tempos_qpm[0])
        step_seconds = 60.0 / tempo_qpm / STEPS_PER_QUARTER
        flat = _with_times(sequence, starts * step_seconds, (starts + lengths) * step_seconds)
        flat.total_time = self.model_bars * self.steps_per_bar * step_seconds
        flat.tempos.add(qpm=tempo_qpm)
        numerator = self.steps_per_bar // STEPS_PER_QUARTER
        flat.time_signatures.add(numerator=numerator, denominator=4)
        return flat

    def restore(self, flat: Any) -> Any:
        """Return a groove in bars of the model, at the first tempo, in the bars of the original."""
        flat.total_time = self.end_seconds
        if self.is_plain:
            return self._with_marks(flat)
        steps_per_second = self.tempo_map.tempos_qpm[0] * STEPS_PER_QUARTER / 60.0
        starts = np.array([note.start_time for note in flat.notes]) * steps_per_second
        lengths = np.array([note.end_time for note in flat.notes]) * steps_per_second - starts
        # Padding belongs half to the bar before it, half to the one after: late and early hits.
        ends = self._model_starts + self._lengths
        borders = np.append((ends[:-1] + self._model_starts[1:]) / 2, np.inf)
        bar = np.searchsorted(borders, starts, side="right")
        starts += self._starts[bar] - self._model_starts[bar]
        restored = _with_times(flat, self._seconds(starts), self._seconds(starts + lengths))
        restored.total_time = flat.total_time
        return self._with_marks(restored)

    def _with_marks(self, sequence: Any) -> Any:
        """Set tempos and meters, in place."""
        del sequence.tempos[:], sequence.time_signatures[:]
        for seconds, tempo_qpm in zip(
            self.tempo_map.seconds, self.tempo_map.tempos_qpm, strict=True
        ):
            sequence.tempos.add(time=seconds, qpm=tempo_qpm)
        for first_step, numerator, denominator in self.meters:
            seconds = float(self._seconds(first_step))
            sequence.time_signatures.add(time=seconds, numerator=numerator, denominator=denominator)
        return sequence

    def _steps(self, seconds: Any) -> np.ndarray:
        return self.tempo_map.to_quarters(seconds, STEPS_PER_QUARTER)

    def _seconds(self, steps: Any) -> np.ndarray:
        return self.tempo_map.to_seconds(np.asarray(steps) / STEPS_PER_QUARTER)


def _meters(sequence: Any, tempo_map: TempoMap) -> list[Meter]:
    """Return the meters at their steps, without repetitions; 4/4 before the first."""
    meters = [Meter(0, 4, 4)]
    marks = sorted(sequence.time_signatures, key=lambda mark: mark.time)
    steps = tempo_map.to_quarters([mark.time for mark in marks], STEPS_PER_QUARTER).tolist()
    for mark, step in zip(marks, steps, strict=True):
        meter = Meter(round(step), mark.numerator, mark.denominator)
        if meter.first_step <= 0 or len(sequence.time_signatures) == 1:
            meters = [meter._replace(first_step=0)]
        elif meter[1:] != meters[-1][1:]:
            meters.append(meter)
    for _, numerator, denominator in meters:
        if not (numerator > 0 and denominator > 0 and 16 * numerator % denominator == 0):
            raise GroovaeError(f"in {numerator}/{denominator}, which does not fit a grid of 16ths")
    return meters


def _bars(meters: list[Meter], last: int, end: float) -> tuple[np.ndarray, np.ndarray]:
    """Return the first step and the length in steps of each bar.

    The bars last to that of the step `last` or, if later, to the bar line nearest to `end`.
    """
    starts: list[int] = []
    lengths: list[int] = []
    for at, meter in enumerate(meters):
        next_step = meters[at + 1].first_step if at + 1 < len(meters) else None
        length, step = meter.steps_per_bar, meter.first_step
        while next_step is None or step < next_step:
            if starts and step > last and step + length / 2 >= end:
                return np.array(starts), np.array(lengths)
            if step > MAX_STEPS:
                raise GroovaeError(f"longer than {MAX_STEPS:,} steps")
            starts.append(step)
            lengths.append(length if next_step is None else min(length, next_step - step))
            step += length
    return np.array(starts), np.array(lengths)


def _with_times(sequence: Any, starts: np.ndarray, ends: np.ndarray) -> Any:
    """Return a copy with other times, and without what is not drums, tempo or meter."""
    changed = NoteSequence(
        id=sequence.id, filename=sequence.filename, ticks_per_quarter=sequence.ticks_per_quarter
    )
    changed.notes.extend(sequence.notes)
    for note, start, end in zip(changed.notes, starts.tolist(), ends.tolist(), strict=True):
        note.start_time, note.end_time = start, end
    return changed
