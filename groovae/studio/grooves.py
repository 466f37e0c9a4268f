"""Grooves as JSON, as the studio's page has them, and as NoteSequences.

    {"name": "take", "bars": 4, "meters": [[0, 4, 4]], "tempos": [[0, 96]],
     "hits": [{"beat": 0.01, "length": 0.25, "drum": 0, "pitch": 36, "velocity": 101}]}

Beats and lengths are in quarter notes. `drum` is the index in `drums.CLASS_NAMES`, -1 for a pitch
without a class; where JSON is read, the pitch counts.

A groove is a loop. A hit played ahead of its first beat stands at its end, where it sounds early on
the next round; for a model it is put ahead of the start, since it belongs to the first step.
"""

import itertools
import math
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from groovae.errors import UsageError, check_number, check_whole, shorten_value
from groovae.music.drums import GM, classes
from groovae.music.midi_reader import DRUM_CHANNEL
from groovae.music.midi_writer import MAX_TEMPO_QPM, MIN_TEMPO_QPM
from groovae.music.note_sequence import NoteSequence
from groovae.music.tempo import TempoMap
from groovae.system.log import escape_controls

MAX_BARS = 2000
MAX_HITS = 50_000
MAX_MARKS = 10_000  # tempos, or meters
MAX_NAME = 200  # characters
DECIMALS = 6  # of a quarter note: a quarter of a microsecond at 240 bpm
HALF_STEP = 1 / 8  # of a 16th, in quarter notes
SAME_BEAT = 1e-6
DRUM_OF = classes(GM)

Meter = tuple[float, int, int]  # beat, numerator, denominator


class TooLarge(UsageError):
    """A groove exceeds the limits of the studio."""


def to_json(sequence: Any, name: str) -> dict[str, Any]:
    """Return a NoteSequence as JSON: its drums, or all notes if none is a drum.

    Raises:
      TooLarge: it exceeds MAX_HITS, MAX_BARS or MAX_MARKS.
    """
    notes = [note for note in sequence.notes if note.is_drum] or list(sequence.notes)
    _check_size("hits", len(notes), MAX_HITS)
    tempo_map = TempoMap.of(sequence)
    starts = tempo_map.to_quarters([note.start_time for note in notes])
    lengths = tempo_map.to_quarters([note.end_time for note in notes]) - starts
    meters = _meters_of(sequence, tempo_map)
    bars = _count_bars(meters, starts, float(tempo_map.to_quarters(sequence.total_time)))
    end = bar_line(meters, bars)
    tempos = zip(tempo_map.quarters.tolist(), tempo_map.tempos_qpm.tolist(), strict=True)
    rows = zip(notes, np.where(starts < 0, starts + end, starts), lengths, strict=True)
    groove: dict[str, Any] = {
        "name": clean_name(name),
        "bars": bars,
        "meters": [[_round(beat), *meter] for beat, *meter in meters],
        "tempos": [[_round(beat), tempo_qpm] for beat, tempo_qpm in tempos],
        "hits": [_hit(note, float(beat), float(length)) for note, beat, length in rows],
    }
    _check_size("meters and tempos", len(groove["meters"]) + len(groove["tempos"]), MAX_MARKS)
    groove["hits"].sort(key=lambda hit: (hit["beat"], hit["pitch"]))
    return groove


def from_json(value: Any, for_model: bool = False) -> Any:
    """Return a groove in JSON as a NoteSequence.

    Args:
      value: The groove.
      for_model: Put hits that belong to the first step of the next round ahead of the start.

    Raises:
      UsageError: it is not a groove, or exceeds the limits.
    """
    if not isinstance(value, dict):
        raise UsageError(f"a groove must be an object, got {shorten_value(value)}")
    meters, tempo_map = _read_meters(value), _read_tempos(value)
    bars: Any = value.get("bars")
    check_whole("bars", bars, 1)
    _check_size("bars", bars, MAX_BARS)
    hits = _list_of(value, "hits", MAX_HITS)
    end = bar_line(meters, bars)
    rows = np.array([_row(hit, end) for hit in hits], np.float64).reshape(-1, 4)
    if for_model:
        rows[:, 0] -= np.where(rows[:, 0] >= end - HALF_STEP, end, 0)
    sequence = NoteSequence(filename=_name_of(value))
    _add_notes(sequence, rows, tempo_map)
    for time, tempo_qpm in zip(tempo_map.seconds, tempo_map.tempos_qpm, strict=True):
        sequence.tempos.add(time=time, qpm=tempo_qpm)
    for beat, numerator, denominator in meters:
        time = float(tempo_map.to_seconds(beat))
        sequence.time_signatures.add(time=time, numerator=numerator, denominator=denominator)
    sequence.total_time = float(tempo_map.to_seconds(end))
    return sequence


def count_bars(sequence: Any) -> int:
    """Return the number of bars of a NoteSequence, as `to_json` counts them."""
    tempo_map = TempoMap.of(sequence)
    starts = tempo_map.to_quarters([note.start_time for note in sequence.notes])
    end = float(tempo_map.to_quarters(sequence.total_time))
    return _count_bars(_meters_of(sequence, tempo_map), starts, end)


def bar_line(meters: Sequence[Meter], bar: int) -> float:
    """Return the beat at which a bar starts, counted from 0.

    >>> bar_line([(0.0, 4, 4)], 2), bar_line([(0.0, 1, 4), (1.0, 3, 4)], 3)
    (8.0, 7.0)
    """
    return next(itertools.islice(_bar_lines(meters), bar, None))


def _bar_lines(meters: Sequence[Meter]) -> Iterator[float]:
    """Yield the beat of each bar line without end; a change of meter starts a bar."""
    pairs = itertools.pairwise(meters)
    beat, following = 0.0, [after for before, after in pairs if after[1:] != before[1:]]
    quarters = 4 * meters[0][1] / meters[0][2]
    while True:
        yield beat
        while following and following[0][0] <= beat + SAME_BEAT:
            _, numerator, denominator = following.pop(0)
            quarters = 4 * numerator / denominator
        beat = min(beat + quarters, following[0][0] if following else math.inf)


def _count_bars(meters: Sequence[Meter], starts: np.ndarray, end: float) -> int:
    """Return the number of bars to the bar line that is nearest to `end` and after the last hit."""
    last = float(starts.max(initial=0.0))
    ends = itertools.islice(_bar_lines(meters), 1, None)
    for bars, (stop, following) in enumerate(itertools.pairwise(ends), start=1):
        _check_size("bars", bars, MAX_BARS)
        if stop > last + SAME_BEAT and (stop + following) / 2 > end:
            return bars
    raise AssertionError("bar lines do not end")


def _meters_of(sequence: Any, tempo_map: TempoMap) -> list[Meter]:
    """Return the meters of a NoteSequence, 4/4 before the first."""
    marks = sorted(sequence.time_signatures, key=lambda mark: mark.time)
    beats = tempo_map.to_quarters([max(0.0, mark.time) for mark in marks]).tolist()
    meters = [
        (beat, mark.numerator, mark.denominator) for beat, mark in zip(beats, marks, strict=True)
    ]
    return meters if meters and meters[0][0] == 0 else [(0.0, 4, 4), *meters]


def _hit(note: Any, beat: float, length: float) -> dict[str, Any]:
    return {
        "beat": _round(beat),
        "length": _round(max(0.0, length)),
        "drum": DRUM_OF.get(note.pitch, -1),
        "pitch": note.pitch,
        "velocity": min(127, max(1, note.velocity)),
    }


def _round(beat: float) -> float:
    return round(beat, DECIMALS)


def _name_of(groove: dict[str, Any]) -> str:
    """Return the name of a groove, which may be missing."""
    name = groove.get("name", "groove")
    if not isinstance(name, str):
        raise UsageError(f"name must be text, got {shorten_value(name)}")
    return clean_name(name)


def clean_name(name: str) -> str:
    """Return a name without control characters, in at most MAX_NAME characters."""
    return escape_controls(name)[:MAX_NAME]


def _read_meters(groove: dict[str, Any]) -> list[Meter]:
    meters = []
    for mark in _list_of(groove, "meters", MAX_MARKS, [[0, 4, 4]]):
        beat, numerator, denominator = _columns("a meter", mark, 3)
        check_number("the beat of a meter", beat, 0)
        check_whole("the numerator of a meter", numerator, 1, 255)
        check_whole("the denominator of a meter", denominator, 1, 64)
        if denominator & (denominator - 1):
            raise UsageError(f"the denominator of a meter must be a power of 2, got {denominator}")
        meters.append((float(beat), numerator, denominator))
    _check_order("meters", [beat for beat, *_ in meters])
    return meters


def _read_tempos(groove: dict[str, Any]) -> TempoMap:
    marks = _list_of(groove, "tempos", MAX_MARKS, [[0, 120]])
    rows = [_columns("a tempo", mark, 2) for mark in marks]
    for beat, tempo_qpm in rows:
        check_number("the beat of a tempo", beat, 0)
        check_number("a tempo", tempo_qpm, MIN_TEMPO_QPM, MAX_TEMPO_QPM)
    _check_order("tempos", [beat for beat, _ in rows])
    return TempoMap([beat for beat, _ in rows], [tempo_qpm for _, tempo_qpm in rows])


def _row(hit: Any, end: float) -> tuple[float, float, int, int]:
    """Return beat, length, pitch and velocity of a hit in JSON; a loop ends at the beat `end`."""
    if not isinstance(hit, dict):
        raise UsageError(f"a hit must be an object, got {shorten_value(hit)}")
    beat: Any = hit.get("beat")
    length: Any = hit.get("length", 0.25)
    pitch: Any = hit.get("pitch")
    velocity: Any = hit.get("velocity")
    check_number("beat", beat, -end, end)
    check_number("length", length, 0, end)
    check_whole("pitch", pitch, 0, 127)
    check_whole("velocity", velocity, 1, 127)
    return beat % end, length, pitch, velocity


def _add_notes(sequence: Any, rows: np.ndarray, tempo_map: TempoMap) -> None:
    starts = tempo_map.to_seconds(rows[:, 0]).tolist()
    ends = tempo_map.to_seconds(rows[:, 0] + rows[:, 1]).tolist()
    pitches, velocities = rows[:, 2:].astype(int).T.tolist()
    for start, end, pitch, velocity in zip(starts, ends, pitches, velocities, strict=True):
        sequence.notes.add(
            start_time=start,
            end_time=end,
            pitch=pitch,
            velocity=velocity,
            instrument=DRUM_CHANNEL,
            is_drum=True,
        )


def _list_of(groove: dict[str, Any], name: str, most: int, default: Any = None) -> list[Any]:
    value = groove.get(name, default)
    if not isinstance(value, list):
        raise UsageError(f"{name} must be a list, got {shorten_value(value)}")
    _check_size(name, len(value), most)
    return value


def _columns(what: str, mark: Any, count: int) -> list[Any]:
    if not isinstance(mark, list) or len(mark) != count:
        raise UsageError(f"{what} must be a list of {count} numbers, got {shorten_value(mark)}")
    return mark


def _check_order(name: str, beats: Sequence[float]) -> None:
    if not beats or beats[0] != 0 or any(b <= a for a, b in itertools.pairwise(beats)):
        raise UsageError(f"{name} must begin at beat 0 and be in order, got {shorten_value(beats)}")


def _check_size(what: str, count: int, most: int) -> None:
    if count > most:
        raise TooLarge(f"the studio takes at most {most:,} {what}, got {count:,}")
