"""Drum notes to a MIDI file: what the model says is what the file holds.

One track on the drum channel, its tempo and 4/4 written, 1,920 ticks a quarter (a tick is 0.26 ms
at 120 qpm). The rules, each of which keeps a hit that a plain writer would lose:

- A first hit played ahead of the beat would lie before the start of the file. The whole groove is
  moved later by just that much (at most half a 16th), so that its timing stays as it is.
- Two hits of one pitch never cut each other: the first ends where the second begins, and of two
  at the same instant the second comes one tick later.
- A velocity is 1 to 127, since 0 would turn the note on into a note off.

Nothing here needs TensorFlow or note_seq: a note is anything with `start_time` and `end_time` in
seconds, `pitch` and `velocity`, such as the notes of a NoteSequence.
"""

import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import mido

from groovae.errors import GroovaeError, UsageError
from groovae.files import replacing

TICKS_PER_QUARTER = 1920
DRUM_CHANNEL = 9
MIN_TEMPO_QPM, MAX_TEMPO_QPM = 4.0, 1000.0  # the tempo event holds 24 bits of microseconds
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
) -> float:
    """Writes drum notes to a MIDI file, atomically.

    Args:
      path: The file to write or replace.
      notes: Drum notes in any order, their times in seconds at `tempo_qpm`.
      tempo_qpm: Quarters a minute, 4 to 1000.
      length_seconds: The file lasts at least this long, so that a loop keeps its last rest.

    Returns:
      By how many milliseconds the groove was moved later, 0 if nothing lay before the start.

    Raises:
      UsageError: the tempo is out of range.
      GroovaeError: a time is not a finite number that MIDI can hold, or the file cannot be written.
    """
    midi, moved_ms = to_midi(notes, tempo_qpm, length_seconds)
    with replacing(path) as temporary:
        midi.save(temporary)
    return moved_ms


def write_sequence(path: str | os.PathLike[str], sequence: Any) -> float:
    """Writes a NoteSequence of drums at its own tempo, and as long as it is; see `write_midi`."""
    tempo_qpm = sequence.tempos[0].qpm if sequence.tempos else 120.0
    return write_midi(path, sequence.notes, tempo_qpm, sequence.total_time)


def numbered(path: str | os.PathLike[str], count: int) -> list[Path]:
    """`path` itself for one file; for several `take-01.mid`, `take-02.mid`, ... of `take.mid`.

    `.mid` is added where there is no suffix.

    Raises:
      UsageError: `path` is a folder.
    """
    name = os.fspath(path)
    path = Path(path).expanduser()
    if name.endswith(os.sep) or path.is_dir():
        raise UsageError(f"{name}: this is a folder; name a file in it")
    if not path.suffix:
        path = path.with_suffix(".mid")
    if count == 1:
        return [path]
    width = max(2, len(str(count)))
    return [path.with_name(f"{path.stem}-{i:0{width}}{path.suffix}") for i in range(1, count + 1)]


def to_midi(
    notes: Iterable[NoteLike], tempo_qpm: float = 120.0, length_seconds: float = 0.0
) -> tuple[mido.MidiFile, float]:
    """`write_midi` without the file: the `mido.MidiFile`, and the milliseconds it was moved."""
    if not MIN_TEMPO_QPM <= tempo_qpm <= MAX_TEMPO_QPM:
        raise UsageError(
            f"tempo must lie between {MIN_TEMPO_QPM:g} and {MAX_TEMPO_QPM:g} bpm, got {tempo_qpm:g}"
        )
    notes = sorted(notes, key=lambda note: (note.pitch, note.start_time))
    ticks_per_second = TICKS_PER_QUARTER * tempo_qpm / 60
    times = [length_seconds, *(time for note in notes for time in (note.start_time, note.end_time))]
    if not all(abs(time) * ticks_per_second <= MAX_TICKS for time in times):
        raise GroovaeError("cannot write MIDI: a time is not a finite number, or too far away")
    moved_seconds = max(0.0, -min((note.start_time for note in notes), default=0.0))
    spans = _spans(notes, moved_seconds, ticks_per_second)
    end_tick = max([round(length_seconds * ticks_per_second), *(end for _, end, _, _ in spans)])
    midi = mido.MidiFile(type=0, ticks_per_beat=TICKS_PER_QUARTER)
    midi.tracks.append(_track(spans, tempo_qpm, end_tick))
    return midi, moved_seconds * 1000


def _spans(
    notes: Sequence[NoteLike], moved_seconds: float, ticks_per_second: float
) -> list[tuple[int, int, int, int]]:
    """(start tick, end tick, pitch, velocity) of each note; notes come sorted by pitch and time."""

    def tick(seconds: float) -> int:
        return round((seconds + moved_seconds) * ticks_per_second)

    spans: list[tuple[int, int, int, int]] = []
    for note in notes:
        start, end = tick(note.start_time), tick(note.end_time)
        if spans and spans[-1][2] == note.pitch:
            before = spans.pop()
            start = max(start, before[0] + 1)
            spans.append((before[0], min(before[1], start), *before[2:]))
        velocity = min(127, max(1, int(note.velocity)))
        spans.append((start, max(end, start + 1), int(note.pitch), velocity))
    return spans


def _track(
    spans: Sequence[tuple[int, int, int, int]], tempo_qpm: float, end_tick: int
) -> mido.MidiTrack:
    """One track with absolute ticks turned into deltas; a note off goes before a note on."""
    events = [(start, 1, pitch, velocity) for start, _, pitch, velocity in spans]
    events += [(end, 0, pitch, 0) for _, end, pitch, _ in spans]
    track = mido.MidiTrack()
    track.append(mido.MetaMessage("set_tempo", tempo=mido.bpm2tempo(tempo_qpm)))
    track.append(mido.MetaMessage("time_signature", numerator=4, denominator=4))
    now = 0
    for tick, is_on, pitch, velocity in sorted(events):
        kind = "note_on" if is_on else "note_off"
        track.append(
            mido.Message(kind, channel=DRUM_CHANNEL, note=pitch, velocity=velocity, time=tick - now)
        )
        now = tick
    track.append(mido.MetaMessage("end_of_track", time=end_tick - now))
    return track
