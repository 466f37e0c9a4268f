"""Drum notes to a MIDI file: what the model says is what the file holds.

One track on the drum channel, its tempo and 4/4 written, 1,920 ticks a quarter (a tick is 0.26 ms
at 120 qpm) and for slow tempos a power of two times that, so that a tick is never over 0.6 ms. A
hit is at most half a tick from its time. MIDI writes a tempo in whole microseconds a quarter, so
seconds drift by up to half a microsecond with each quarter: in the first 100 bars of a groove, no
hit is more than 0.5 ms off. The rules, each of which keeps a hit that a plain writer would lose:

- A first hit played ahead of the beat would lie before the start of the file. The whole groove is
  moved later by just that much (at most half a 16th), so that its timing stays as it is. With
  `pickup` it is moved by whole bars instead, as few as suffice, so that it stays on the grid of a
  sequencer, and the file is so much longer. Where no hit is early nothing moves.
- Two hits of one pitch never cut each other: the first ends where the second begins, and of two
  at the same instant the second comes one tick later.
- A velocity is 1 to 127, since 0 would turn the note on into a note off; others become the nearest.

Nothing here needs TensorFlow or note_seq: a note is anything with `start_time` and `end_time` in
seconds, `pitch` and `velocity`, such as the notes of a NoteSequence.
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

TICKS_PER_QUARTER = 1920  # at the usual tempos
MAX_TICK_SECONDS = 0.6e-3
QUARTERS_PER_BAR = 4
DRUM_CHANNEL = 9
MIN_TEMPO_QPM, MAX_TEMPO_QPM = 4.0, 1000.0  # the tempo event holds 24 bits of microseconds
MAX_BARS = 8000  # of 4/4, at the usual tempos
MAX_TICKS = 1 << 26  # a delta time holds 28 bits, and the groove may be moved by as much again


class Note(NamedTuple):
    """A drum hit: times in seconds, General MIDI `pitch`, `velocity` 0 to 127."""

    start_time: float
    end_time: float
    pitch: int
    velocity: int


class NoteLike(Protocol):
    """What a note must have: a `Note`, or a note of a NoteSequence."""

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
    """Writes drum notes to a MIDI file, atomically.

    Args:
      path: The file to write or replace.
      notes: Drum notes in any order, their times in seconds at `tempo_qpm`.
      tempo_qpm: Quarters a minute, 4 to 1000.
      length_seconds: The file lasts at least this long, so that a loop keeps its last rest. No hit
        that begins before its end rings on after it.
      pickup: Move a groove with early hits later by whole bars of four quarters.
      meter: The time signature, 4/4 or another way to write it, as 2/2.

    Returns:
      By how many milliseconds the groove was moved later, 0 if nothing lay before the start.

    Raises:
      UsageError: the tempo is out of range.
      GroovaeError: a time or velocity is not a finite number, a time is too far away for MIDI, a
        pitch is not a whole number from 0 to 127, or the file cannot be written.
    """
    midi, moved_ms = to_midi(notes, tempo_qpm, length_seconds, pickup, meter)
    with atomic_write(path) as temporary:
        midi.save(temporary)
    return moved_ms


def write_sequence(path: str | os.PathLike[str], sequence: Any, pickup: bool = False) -> float:
    """Writes the drums of a NoteSequence at its own tempo, and as long as it is; see `write_midi`.

    One without drums has all of its notes taken for such.
    """
    check_sequence(sequence)
    drums = [note for note in sequence.notes if note.is_drum] or sequence.notes
    tempo_qpm, meter = tempo_of(sequence), meter_of(sequence)
    return write_midi(path, drums, tempo_qpm, sequence.total_time, pickup, meter)


def numbered(path: str | os.PathLike[str], count: int) -> list[Path]:
    """`path` itself for one file; for several `take-01.mid`, `take-02.mid`, ... of `take.mid`.

    `.mid` is added to a name that does not end with it, or with `.midi`.

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
    """`write_midi` without the file: the `mido.MidiFile`, and the milliseconds it was moved."""
    if not MIN_TEMPO_QPM <= tempo_qpm <= MAX_TEMPO_QPM:
        raise UsageError(
            f"tempo must lie between {MIN_TEMPO_QPM:g} and {MAX_TEMPO_QPM:g} bpm, got {tempo_qpm:g}"
        )
    ticks_per_quarter = _resolution(tempo_qpm)
    ticks_per_second = ticks_per_quarter * tempo_qpm / 60
    length_ticks = _in_reach(length_seconds, ticks_per_second) * ticks_per_second
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
    """Ticks a quarter; at the slowest tempo 30,720, where MIDI has room for 32,767."""
    ticks = TICKS_PER_QUARTER
    while 60 / (ticks * tempo_qpm) > MAX_TICK_SECONDS:
        ticks *= 2
    return ticks


def _checked(note: NoteLike, ticks_per_second: float) -> Note:
    """The note in Python's own numbers; raises GroovaeError for what MIDI cannot hold."""
    pitch, velocity = note.pitch, note.velocity
    if not (isinstance(pitch, Real) and 0 <= pitch <= 127 and pitch == int(pitch)):
        raise GroovaeError(
            f"cannot write MIDI: a pitch is not a whole number from 0 to 127: {pitch}"
        )
    if not (isinstance(velocity, Real) and math.isfinite(velocity)):
        raise GroovaeError(f"cannot write MIDI: a velocity is not a finite number: {velocity}")
    return Note(
        _in_reach(note.start_time, ticks_per_second),
        _in_reach(note.end_time, ticks_per_second),
        int(pitch),
        min(127, max(1, round(velocity))),
    )


def _in_reach(seconds: float, ticks_per_second: float) -> float:
    if not (isinstance(seconds, Real) and abs(float(seconds)) * ticks_per_second <= MAX_TICKS):
        raise GroovaeError(
            f"cannot write MIDI: a time is not a finite number, or too far away: {seconds}"
        )
    return float(seconds)


def _spans(
    notes: Sequence[Note], moved_ticks: float, ticks_per_second: float
) -> list[tuple[int, int, int, int]]:
    """(start tick, end tick, pitch, velocity) of each note, by pitch and time."""

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
    """One track with absolute ticks turned into deltas; a note off goes before a note on."""
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
