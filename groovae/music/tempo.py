"""Tempo and meter of a NoteSequence, and the check that it is one."""

from typing import Any

from groovae.errors import UsageError

DEFAULT_QPM = 120.0  # the default of MIDI and note_seq


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
