"""Write drum notes to a MIDI file without losing hits or timing.

    write_midi("groove.mid", [Note(0.0, 0.1, 36, 100)], tempo_qpm=96)

The file has one track on the drum channel, with tempo and meter, at 1,920 ticks per quarter (0.26
ms per tick at 120 qpm); for slow tempos the resolution is doubled until a tick is at most 0.6 ms.
Hits are rounded to ticks. A NoteSequence that was read from MIDI is written at the least multiple
of its own resolution that is as fine, so that notes which were not changed keep their tick. MIDI
stores the tempo in whole microseconds per quarter, so times drift
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
from collections.abc import Iterable, Iterator, Sequence
from numbers import Real
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import mido
import numpy as np

from groovae.errors import GroovaeError, UsageError
from groovae.music.midi_reader import DRUM_CHANNEL
from groovae.music.tempo import TempoMap, check_sequence
from groovae.system.atomic_files import atomic_write, refuse_devices

TICKS_PER_QUARTER = 1920  # from 52.1 qpm
MAX_TICKS_PER_QUARTER = 0x7FFF
MAX_TICK_SECONDS = 0.6e-3
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
    follow_links: bool = True,
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
      follow_links: Write the target of a link; otherwise replace the link.

    Returns:
      By how many milliseconds the groove was moved later, 0 if no hit was before the start.

    Raises:
      UsageError: the tempo is out of range.
      GroovaeError: a time or velocity is not finite, a time is too large for MIDI, a pitch is not
        an integer from 0 to 127, or the file cannot be written.
    """
    midi, moved_ms = to_midi(notes, tempo_qpm, length_seconds, pickup, meter)
    with atomic_write(path, follow_links) as temporary:
        midi.save(temporary)
    return moved_ms


def write_sequence(
    path: str | os.PathLike[str], sequence: Any, pickup: bool = False, follow_links: bool = True
) -> float:
    """Write the drums of a NoteSequence, with its tempo map, meters and length; see `write_midi`.

    If no note is a drum, all notes are written.
    """
    check_sequence(sequence)
    drums = [note for note in sequence.notes if note.is_drum] or sequence.notes
    meters = [(mark.time, mark.numerator, mark.denominator) for mark in sequence.time_signatures]
    midi, moved_ms = _to_midi(
        drums,
        TempoMap.of(sequence),
        meters or [(0.0, 4, 4)],
        sequence.total_time,
        pickup,
        sequence.ticks_per_quarter,
    )
    with atomic_write(path, follow_links) as temporary:
        midi.save(temporary)
    return moved_ms


def numbered(path: str | os.PathLike[str], count: int) -> list[Path]:
    """Return `count` numbered paths, or `path` itself for one; `.mid` is added if missing.

    >>> [path.name for path in numbered("take.mid", 2)]
    ['take-01.mid', 'take-02.mid']

    Raises:
      UsageError: `path` is a folder, a device or a pipe.
    """
    name = os.fspath(path)
    path = Path(path).expanduser()
    if name.endswith(os.sep) or path.is_dir():
        raise UsageError(f"{name}: this is a folder; name a file in it")
    refuse_devices(path)
    if path.suffix.lower() not in (".mid", ".midi"):
        path = path.with_name(f"{path.name}.mid")
    return list(numbered_names(path, count))


def numbered_names(path: Path, count: int) -> Iterator[Path]:
    """Yield `count` numbered names of a MIDI file, or the name itself for one."""
    if count == 1:
        yield path
        return
    width = max(2, len(str(count)))
    for i in range(1, count + 1):
        yield path.with_name(f"{path.stem}-{i:0{width}}{path.suffix}")


def to_midi(
    notes: Iterable[NoteLike],
    tempo_qpm: float = 120.0,
    length_seconds: float = 0.0,
    pickup: bool = False,
    meter: tuple[int, int] = (4, 4),
) -> tuple[mido.MidiFile, float]:
    """Return a `mido.MidiFile` and how far it was moved in milliseconds; see `write_midi`."""
    return _to_midi(notes, TempoMap([0.0], [tempo_qpm]), [(0.0, *meter)], length_seconds, pickup)


def _to_midi(
    notes: Iterable[NoteLike],
    tempo_map: TempoMap,
    meters: Sequence[tuple[float, int, int]],
    length_seconds: float,
    pickup: bool,
    source_ticks: int = 0,
) -> tuple[mido.MidiFile, float]:
    """Return a `mido.MidiFile` and how far it was moved in milliseconds.

    Args:
      meters: Time in seconds, numerator and denominator of each time signature.
      source_ticks: Ticks per quarter of the file that the notes come from, 0 without a file.
    """
    for _, numerator, denominator in meters:
        _check_meter(numerator, denominator)
    for tempo_qpm in tempo_map.tempos_qpm.tolist():
        if not MIN_TEMPO_QPM <= tempo_qpm <= MAX_TEMPO_QPM:
            raise UsageError(
                f"tempo must be {MIN_TEMPO_QPM:g} to {MAX_TEMPO_QPM:g} bpm, got {tempo_qpm:g}"
            )
    length_seconds = _number(length_seconds)
    if tempo_map.to_quarters(length_seconds) > MAX_TICKS / max(1, source_ticks):
        source_ticks = 0
    ticks_per_quarter = _resolution(float(tempo_map.tempos_qpm.min()), source_ticks)

    def ticks_of(seconds: Any) -> np.ndarray:
        ticks = tempo_map.to_quarters(seconds, ticks_per_quarter)
        _check_finite(np.asarray(seconds)[~(np.abs(ticks) <= MAX_TICKS)])
        return ticks

    checked = [_checked(note) for note in notes]
    length_ticks = float(ticks_of(length_seconds))
    starts = ticks_of([note.start_time for note in checked])
    ends = ticks_of([note.end_time for note in checked])
    moved_ticks = max(0.0, -starts.min(initial=0.0))
    if pickup:
        _, numerator, denominator = meters[0]
        bar_ticks = 4 * numerator * ticks_per_quarter / denominator
        moved_ticks = math.ceil(round(moved_ticks) / bar_ticks) * bar_ticks
        length_ticks += moved_ticks
    end_tick = max(0, round(length_ticks))
    spans = [
        (start, max(start + 1, min(end, end_tick)) if length_seconds else end, pitch, velocity)
        for start, end, pitch, velocity in _spans(checked, starts + moved_ticks, ends + moved_ticks)
    ]
    end_tick = max([end_tick, *(end for _, end, _, _ in spans)])
    midi = mido.MidiFile(type=0, ticks_per_beat=ticks_per_quarter)
    meter_ticks = ticks_of([seconds for seconds, _, _ in meters])
    # Bar lines stay where they are, unless whole bars are put before them.
    moved_bars_ticks = round(moved_ticks) if pickup else 0
    marks = _marks(tempo_map, ticks_per_quarter, meters, meter_ticks, moved_bars_ticks)
    marks = [mark for mark in marks if mark[0] <= end_tick]  # later ones would lengthen a loop
    midi.tracks.append(_track(spans, marks, end_tick))
    ticks_per_second = ticks_per_quarter * float(tempo_map.tempos_qpm[0]) / 60
    return midi, moved_ticks / ticks_per_second * 1000


def _resolution(tempo_qpm: float, source_ticks: int = 0) -> int:
    """Return ticks per quarter, a multiple of `source_ticks` if MIDI allows it.

    >>> _resolution(120), _resolution(MIN_TEMPO_QPM), _resolution(120, 220)
    (1920, 30720, 1980)
    """
    if not 0 < source_ticks <= MAX_TICKS_PER_QUARTER:
        source_ticks = TICKS_PER_QUARTER
    ticks = -(-TICKS_PER_QUARTER // source_ticks) * source_ticks
    while 60 / (ticks * tempo_qpm) > MAX_TICK_SECONDS and 2 * ticks <= MAX_TICKS_PER_QUARTER:
        ticks *= 2
    return ticks


def _checked(note: NoteLike) -> Note:
    """Return the note with Python numbers; raise GroovaeError if MIDI cannot represent it."""
    pitch, velocity = note.pitch, note.velocity
    if not (isinstance(pitch, Real) and 0 <= pitch <= 127 and pitch == int(pitch)):
        raise GroovaeError(
            f"cannot write MIDI: pitch must be an integer from 0 to 127, got {pitch}"
        )
    if not (isinstance(velocity, Real) and math.isfinite(velocity)):
        raise GroovaeError(f"cannot write MIDI: velocity must be finite, got {velocity}")
    return Note(
        _number(note.start_time),
        _number(note.end_time),
        int(pitch),
        min(127, max(1, round(velocity))),
    )


def _number(seconds: Any) -> float:
    if not isinstance(seconds, Real):
        _check_finite([seconds])
    return float(seconds)


def _check_finite(wrong: Sequence[Any]) -> None:
    if len(wrong):
        raise GroovaeError(f"cannot write MIDI: a time is not finite or too large: {wrong[0]} s")


def _spans(
    notes: Sequence[Note], starts: np.ndarray, ends: np.ndarray
) -> list[tuple[int, int, int, int]]:
    """Return (start tick, end tick, pitch, velocity) of each note, sorted by pitch and time."""
    spans: list[tuple[int, int, int, int]] = []
    pairs = zip(notes, starts.round().tolist(), ends.round().tolist(), strict=True)
    for note, at, until in sorted(pairs, key=lambda pair: (pair[0].pitch, pair[0].start_time)):
        start, end = int(at), int(until)
        if spans and spans[-1][2] == note.pitch:
            before = spans.pop()
            start = max(start, before[0] + 1)
            spans.append((before[0], min(before[1], start), *before[2:]))
        spans.append((start, max(end, start + 1), note.pitch, note.velocity))
    return spans


def _check_meter(numerator: int, denominator: int) -> None:
    is_power_of_two = denominator > 0 and not denominator & (denominator - 1)
    if not (1 <= numerator <= 255 and is_power_of_two):
        raise GroovaeError(
            f"cannot write the meter {numerator}/{denominator}: in MIDI a bar has 1 to 255 beats, "
            "and their note value is a power of two; change the meter"
        )


def _marks(
    tempo_map: TempoMap,
    ticks_per_quarter: int,
    meters: Sequence[tuple[float, int, int]],
    meter_ticks: np.ndarray,
    moved_ticks: int,
) -> list[tuple[int, mido.MetaMessage]]:
    """Return tempos and meters by tick; only those at the start are not moved."""
    marks = []
    tempo_ticks = (tempo_map.quarters * ticks_per_quarter).tolist()
    for tick, tempo_qpm in zip(tempo_ticks, tempo_map.tempos_qpm.tolist(), strict=True):
        marks.append((tick, mido.MetaMessage("set_tempo", tempo=mido.bpm2tempo(tempo_qpm))))
    for tick, (_, numerator, denominator) in zip(meter_ticks.tolist(), meters, strict=True):
        meter = {"numerator": numerator, "denominator": denominator}
        marks.append((tick, mido.MetaMessage("time_signature", **meter)))
    return [(round(tick) + moved_ticks if tick > 0 else 0, mark) for tick, mark in marks]


def _track(
    spans: Sequence[tuple[int, int, int, int]],
    marks: Sequence[tuple[int, mido.MetaMessage]],
    end_tick: int,
) -> mido.MidiTrack:
    """Return a track of delta times; at one tick, marks come first and then note offs."""

    def message(kind: str, pitch: int, velocity: int) -> mido.Message:
        return mido.Message(kind, channel=DRUM_CHANNEL, note=pitch, velocity=velocity)

    events = [(end, 0, pitch, 0) for _, end, pitch, _ in spans]
    events += [(start, 1, pitch, velocity) for start, _, pitch, velocity in spans]
    messages = list(marks) + [
        (tick, message("note_on" if is_on else "note_off", pitch, velocity))
        for tick, is_on, pitch, velocity in sorted(events)
    ]
    messages.sort(key=lambda pair: pair[0])  # stable
    track, now = mido.MidiTrack(), 0
    for tick, event in messages:
        track.append(event.copy(time=tick - now, skip_checks=True))  # checked when it was made
        now = tick
    track.append(mido.MetaMessage("end_of_track", time=max(0, end_tick - now)))
    return track
