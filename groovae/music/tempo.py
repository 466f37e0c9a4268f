"""Tempo and meter of a NoteSequence."""

from typing import Any

DEFAULT_QPM = 120.0  # what MIDI and note_seq take where no tempo is given


def tempo_of(sequence: Any) -> float:
    """The first tempo of a NoteSequence, in qpm."""
    return sequence.tempos[0].qpm if sequence.tempos else DEFAULT_QPM


def meter_of(sequence: Any) -> tuple[int, int]:
    """Numerator and denominator of the first time signature of a NoteSequence."""
    for meter in sequence.time_signatures:
        return meter.numerator, meter.denominator
    return 4, 4
