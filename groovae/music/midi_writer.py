"""Write drum notes to a MIDI file without losing hits or timing.

    write_midi("groove.mid", [Note(0.0, 0.1, 36, 100)], tempo_qpm=96)

The file has one track on the drum channel, with tempo and meter, at 1,920 ticks per quarter (0.26
ms per tick at 120 qpm); for slow tempos the resolution is doubled until a tick is at most 0.6 ms.
Hits are rounded to ticks. MIDI stores the tempo in whole microseconds per quarter, so times drift
by up to half a microsecond per quarter: at most 0.5 ms in the first 100 bars.

- A first hit ahead of the beat would lie before the start of the file. The whole groove is moved
  later by that much (at most half a 16th), which keeps its timing. With `pickup` it is moved by
  whole bars instead, so that it stays on the grid of a sequencer, and the file gets longer.
- Overlapping hits of one pitch are separated: the first ends where the second begins, and of two
  at the same time, the second is one tick later.
- Velocities are clipped to 1 to 127, since a note on with velocity 0 is a note off.

A note is any object with `start_time` and `end_time` in seconds, `pitch` and `velocity`, such as a
note of a NoteSequence.
"""

import math
import os
from collections.abc import Iterable, Sequence
from numbers import Real
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import mido

from groovae.errors import GroovaeError, UsageError
from groovae.music.tempo import check_sequence, meter_of, tempo_of
from groovae.system.atomic_files import atomic_write

TICKS_PER_QUARTER = 1920  # from 52.1 qpm
MAX_TICK_SECONDS = 0.6e-3
QUARTERS_PER_BAR = 4
DRUM_CHANNEL = 9
MIN_TEMPO_QPM, MAX_TEMPO_QPM = 4.0, 1000.0  # a tempo event holds 24 bits of microseconds
MAX_BARS = 8000  # of 4/4, at the usual tempos
MAX_TICKS = 1 << 26  # a delta time holds 28 bits, and moving the groove may double it


class Note(NamedTuple):
    """A drum hit: times in seconds, General MIDI `pitch`, `velocity` 0 to 127."""

    start_time: float
    end_time: float
    pitch: int
    velocity: int


class NoteLike(Protocol):
    """The attributes of a note: a `Note`, or a note of a NoteSequence."""

    @property
    def start_time(self) -> float: ...
    @property
    def end_time(self) -> float: ...
    @property
    def pitch(self) -> int: ...
    @property
    def velocity(self) -> int: ...


def write_midi(
    path: str | os.PathLike[str],
    notes: Iterable[NoteLike],
    tempo_qpm: float = 120.0,
    length_seconds: float = 0.0,
    pickup: bool = False,
    meter: tuple[int, int] = (4, 4),
) -> float:
    """Write drum notes to a MIDI file, atomically.

    Args:
      path: The file to write or replace.
      notes: Drum notes in any order, with times in seconds at `tempo_qpm`.
      tempo_qpm: Quarters per minute, 4 to 1000.
      length_seconds: Minimum length of the file, so that a loop keeps its last rest. Notes that
        begin before this end also end before it.
      pickup: Move a groove with early hits later by whole bars of four quarters.
      meter: The time signature, 4/4 or an equivalent such as 2/2.

    Returns:
      By how many milliseconds the groove was moved later, 0 if no hit was before the start.

    Raises:
      UsageError: the tempo is out of range.
      GroovaeError: a time or velocity is not finite, a time is too large for MIDI, a pitch is not
        an integer from 0 to 127, or the file cannot be written.
    """
    midi, moved_ms = to_midi(notes, tempo_qpm, length_seconds, pickup, meter)
    with atomic_write(path) as temporary:
        midi.save(temporary)
    return moved_ms


def write_sequence(path: str | os.PathLike[str], sequence: Any, pickup: bool = False) -> float:
    """Write the drums of a NoteSequence, with its tempo, meter and length; see `write_midi`.

    If no note is a drum, all notes are written.
    """
    check_sequence(sequence)
    drums = [note for note in sequence.notes if note.is_drum] or sequence.notes
    tempo_qpm, meter = tempo_of(sequence), meter_of(sequence)
    return write_midi(path, drums, tempo_qpm, sequence.total_time, pickup, meter)


def numbered(path: str | os.PathLike[str], count: int) -> list[Path]:
    """Return `count` numbered paths, or `path` itself for one; `.mid` is added if missing.

    >>> [path.name for path in numbered("take.mid", 2)]
    ['take-01.mid', 'take-02.mid']

    Raises:
      UsageError: `path` is a folder.
    """
    name = os.fspath(path)
    path = Path(path).expanduser()
    if name.endswith(os.sep) or path.is_dir():
        raise UsageError(f"{name}: this is a folder; name a file in it")
    if path.suffix.lower() not in (".mid", ".midi"):
        path = path.with_name(f"{path.name}.mid")
    if count == 1:
        return [path]
    width = max(2, len(str(count)))
    return [path.with_name(f"{path.stem}-{i:0{width}}{path.suffix}") for i in range(1, count + 1)]


def to_midi(
    notes: Iterable[NoteLike],
    tempo_qpm: float = 120.0,
    length_seconds: float = 0.0,
    pickup: bool = False,
    meter: tuple[int, int] = (4, 4),
) -> tuple[mido.MidiFile, float]:
    """Return a `mido.MidiFile` and how far it was moved in milliseconds; see `write_midi`."""
    if not MIN_TEMPO_QPM <= tempo_qpm <= MAX_TEMPO_QPM:
        raise UsageError(
            f"tempo must be {MIN_TEMPO_QPM:g} to {MAX_TEMPO_QPM:g} bpm, got {tempo_qpm:g}"
        )
    ticks_per_quarter = _resolution(tempo_qpm)
    ticks_per_second = ticks_per_quarter * tempo_qpm / 60
    length_ticks = _checked_time(length_seconds, ticks_per_second) * ticks_per_second
    checked = [_checked(note, ticks_per_second) for note in notes]
    first_second = min((note.start_time for note in checked), default=0.0)
    moved_ticks = max(0.0, -first_second * ticks_per_second)
    if pickup:
        bar_ticks = QUARTERS_PER_BAR * ticks_per_quarter
        moved_ticks = math.ceil(round(moved_ticks) / bar_ticks) * bar_ticks
        length_ticks += moved_ticks
    end_tick = max(0, round(length_ticks))
    spans = [
        (start, max(start + 1, min(end, end_tick)) if length_seconds else end, pitch, velocity)
        for start, end, pitch, velocity in _spans(checked, moved_ticks, ticks_per_second)
    ]
    end_tick = max([end_tick, *(end for _, end, _, _ in spans)])
    midi = mido.MidiFile(type=0, ticks_per_beat=ticks_per_quarter)
    midi.tracks.append(_track(spans, tempo_qpm, meter, end_tick))
    return midi, moved_ticks / ticks_per_second * 1000


def _resolution(tempo_qpm: float) -> int:
    """Return ticks per quarter; MIDI allows 32,767.

    >>> _resolution(120), _resolution(MIN_TEMPO_QPM)
    (1920, 30720)
    """
    ticks = TICKS_PER_QUARTER
    while 60 / (ticks * tempo_qpm) > MAX_TICK_SECONDS:
        ticks *= 2
    return ticks


def _checked(note: NoteLike, ticks_per_second: float) -> Note:
    """Return the note with Python numbers; raise GroovaeError if MIDI cannot represent it."""
    pitch, velocity = note.pitch, note.velocity
    if not (isinstance(pitch, Real) and 0 <= pitch <= 127 and pitch == int(pitch)):
        raise GroovaeError(
            f"cannot write MIDI: pitch must be an integer from 0 to 127, got {pitch}"
        )
    if not (isinstance(velocity, Real) and math.isfinite(velocity)):
        raise GroovaeError(f"cannot write MIDI: velocity must be finite, got {velocity}")
    return Note(
        _checked_time(note.start_time, ticks_per_second),
        _checked_time(note.end_time, ticks_per_second),
        int(pitch),
        min(127, max(1, round(velocity))),
    )


def _checked_time(seconds: float, ticks_per_second: float) -> float:
    if not (isinstance(seconds, Real) and abs(float(seconds)) * ticks_per_second <= MAX_TICKS):
        raise GroovaeError(f"cannot write MIDI: a time is not finite or too large: {seconds} s")
    return float(seconds)


def _spans(
    notes: Sequence[Note], moved_ticks: float, ticks_per_second: float
) -> list[tuple[int, int, int, int]]:
    """Return (start tick, end tick, pitch, velocity) of each note, sorted by pitch and time."""

    def tick(seconds: float) -> int:
        return round(seconds * ticks_per_second + moved_ticks)

    spans: list[tuple[int, int, int, int]] = []
    for note in sorted(notes, key=lambda note: (note.pitch, note.start_time)):
        start, end = tick(note.start_time), tick(note.end_time)
        if spans and spans[-1][2] == note.pitch:
            before = spans.pop()
            start = max(start, before[0] + 1)
            spans.append((before[0], min(before[1], start), *before[2:]))
        spans.append((start, max(end, start + 1), note.pitch, note.velocity))
    return spans


def _track(
    spans: Sequence[tuple[int, int, int, int]],
    tempo_qpm: float,
    meter: tuple[int, int],
    end_tick: int,
) -> mido.MidiTrack:
    """Return a track of delta times; at one tick, note offs come before note ons."""
    events = [(start, 1, pitch, velocity) for start, _, pitch, velocity in spans]
    events += [(end, 0, pitch, 0) for _, end, pitch, _ in spans]
    track = mido.MidiTrack()
    track.append(mido.MetaMessage("set_tempo", tempo=mido.bpm2tempo(tempo_qpm)))
    track.append(mido.MetaMessage("time_signature", numerator=meter[0], denominator=meter[1]))
    now = 0
    for tick, is_on, pitch, velocity in sorted(events):
        kind = "note_on" if is_on else "note_off"
        track.append(
            mido.Message(kind, channel=DRUM_CHANNEL, note=pitch, velocity=velocity, time=tick - now)
        )
        now = tick
    track.append(mido.MetaMessage("end_of_track", time=end_tick - now))
    return track
