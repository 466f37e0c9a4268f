"""Tempo and meter of a NoteSequence, its tempo map, and the check that it is one."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from groovae.errors import UsageError

DEFAULT_QPM = 120.0  # the default of MIDI and note_seq


class TempoMap:
    """Converts between seconds and quarter notes.

    >>> tempo_map = TempoMap([0, 4], [120, 60])
    >>> tempo_map.to_seconds([4, 5]).tolist()
    [2.0, 3.0]
    >>> tempo_map.to_quarters([2, 3]).tolist()
    [4.0, 5.0]

    Attributes:
      quarters: The position of each tempo in quarter notes; the first is 0.
      tempos_qpm: Each tempo in quarter notes per minute.
      seconds: The time of each tempo in seconds.
    """

    def __init__(self, quarters: Sequence[float], tempos_qpm: Sequence[float]):
        self.quarters = np.array(quarters, np.float64)
        self.tempos_qpm = np.array(tempos_qpm, np.float64)
        durations = np.diff(self.quarters) * 60.0 / self.tempos_qpm[:-1]
        self.seconds = np.concatenate([[0.0], np.cumsum(durations)])

    @classmethod
    def of(cls, sequence: Any) -> "TempoMap":
        """Return the tempo map of a NoteSequence, with 120 qpm before its first tempo."""
        marks = sorted((max(0.0, tempo.time), tempo.qpm) for tempo in sequence.tempos)
        if not marks or marks[0][0] > 0:
            marks.insert(0, (0.0, DEFAULT_QPM))
        seconds, tempos_qpm = np.array(marks).T
        durations = np.diff(seconds) * tempos_qpm[:-1] / 60.0
        return cls([0.0, *np.cumsum(durations).tolist()], tempos_qpm.tolist())

    @property
    def is_constant(self) -> bool:
        return bool((self.tempos_qpm == self.tempos_qpm[0]).all())

    def to_seconds(self, quarters: Any) -> np.ndarray:
        """Return the time of each position; positions before 0 have the first tempo."""
        quarters = np.asarray(quarters, np.float64)
        at = np.maximum(np.searchsorted(self.quarters, quarters, side="right") - 1, 0)
        return self.seconds[at] + (quarters - self.quarters[at]) * (60.0 / self.tempos_qpm[at])

    def to_quarters(self, seconds: Any, units_per_quarter: float = 1.0) -> np.ndarray:
        """Return the position of each time, in quarter notes or fractions of them."""
        seconds = np.asarray(seconds, np.float64)
        at = np.maximum(np.searchsorted(self.seconds, seconds, side="right") - 1, 0)
        units_per_second = units_per_quarter * self.tempos_qpm[at] / 60.0
        first = self.quarters[at] * units_per_quarter
        return first + (seconds - self.seconds[at]) * units_per_second

    def tempo_at(self, quarters: float) -> float:
        """Return the tempo at a position, in quarter notes per minute."""
        at = int(np.searchsorted(self.quarters, quarters, side="right")) - 1
        return float(self.tempos_qpm[max(at, 0)])


def tempo_of(sequence: Any) -> float:
    """Return the first tempo of a NoteSequence, in qpm.

    >>> from groovae.music.note_sequence import NoteSequence
    >>> tempo_of(NoteSequence())
    120.0
    """
    return sequence.tempos[0].qpm if sequence.tempos else DEFAULT_QPM


def meter_of(sequence: Any) -> tuple[int, int]:
    """Return numerator and denominator of the first time signature, 4/4 by default."""
    for meter in sequence.time_signatures:
        return meter.numerator, meter.denominator
    return 4, 4


def check_sequence(value: Any) -> None:
    """Check that `value` is a NoteSequence, or has the attributes of one.

    Raises:
      UsageError: It has no notes, as a path or a list.
    """
    if not hasattr(value, "notes"):
        raise UsageError(
            f"expected a NoteSequence, got {type(value).__name__}; read a music file with "
            "groovae.read_sequence"
        )
