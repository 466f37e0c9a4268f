"""Read MIDI as a DAW shows it: every hit, tempo and meter from any track, the whole tempo map.

    sequence, lines = read_complete(Path("take.mid").read_bytes())

The notes of the sequence are in time order, with one instrument number for each track and channel.
A hit without a length gets that of a 16th, and overlapping notes of one pitch are all kept. The
patterns of a format 2 file follow each other, each from a new bar.
"""

import dataclasses
import itertools
from collections.abc import Callable, Collection, Sequence
from typing import Any, NamedTuple

import numpy as np

from groovae.music.drum_tracks import Part, choose_drums
from groovae.music.midi_reader import (
    BEND,
    CONTROL,
    KEY,
    METER,
    TEMPO,
    Events,
    MidiFile,
    Track,
    num_sharps,
    read_events,
)
from groovae.music.note_sequence import NoteSequence, add_messages
from groovae.music.tempo import TempoMap

DEFAULT_TEMPO_US = 500_000  # microseconds per quarter note: 120 qpm
JITTER_US = 2  # some DAWs round one tempo to one microsecond or another
MAX_METER = 64
MAX_REST_BARS = 64  # after the last hit; an end of track beyond is not music


class Notes(NamedTuple):
    """Notes as int64 arrays [n]; starts and ends in ticks, tracks and channels counted from 0."""

    starts: np.ndarray
    ends: np.ndarray
    tracks: np.ndarray
    channels: np.ndarray
    pitches: np.ndarray
    velocities: np.ndarray
    programs: np.ndarray

    def of(self, part: Part) -> "Notes":
        """Return the notes of a track and channel."""
        is_own = (self.tracks == part[0]) & (self.channels == part[1])
        return Notes(*(column[is_own] for column in self))

    def parts(self) -> list[Part]:
        """Return the tracks and channels that have notes."""
        return [divmod(key, 16) for key in np.unique(self.tracks * 16 + self.channels).tolist()]

    def is_in(self, parts: Collection[Part]) -> np.ndarray:
        """Return which notes belong to these tracks and channels."""
        keys = [track * 16 + channel for track, channel in parts]
        return np.isin(self.tracks * 16 + self.channels, keys)


@dataclasses.dataclass
class Song:
    """The music of a MIDI file, in ticks.

    Attributes:
      ticks_per_quarter: The resolution.
      notes: The notes of all tracks, in time order.
      tempos: (tick, microseconds per quarter), the first at 0.
      meters: (tick, (numerator, denominator)), the first at 0; empty if the file has no meter.
      keys: (tick, (sharps or negative flats, 1 for minor)).
      messages: [n, 7] of controls and bends: tick, kind, track, channel, program and data bytes.
      names: The name of each track.
      end: The end of the longest track, or MAX_REST_BARS after the last hit.
      faults: What is wrong with the file, in plain words.
    """

    ticks_per_quarter: int
    notes: Notes
    tempos: list[tuple[int, int]]
    meters: list[tuple[int, tuple[int, int]]]
    keys: list[tuple[int, tuple[int, int]]]
    messages: np.ndarray
    names: list[str]
    end: int
    faults: list[str]


def read_complete(data: bytes, drums: str = "auto") -> tuple[Any, list[str]]:
    """Read the bytes of a MIDI file as a NoteSequence.

    Args:
      data: The file.
      drums: Which notes are drums; see `drum_tracks.choose_drums`.

    Returns:
      The sequence, and lines on what is wrong with the file and which notes are drums.

    Raises:
      BrokenMidi: the bytes hold no music.
      UsageError: `drums` is not valid.
    """
    song = read_song(data)
    drum_parts, lines = choose_drums(song, drums)
    return to_sequence(song, drum_parts), [*song.faults, *lines]


def read_song(data: bytes) -> Song:
    """Read the bytes of a MIDI file; raise BrokenMidi if they hold no music."""
    file = read_events(data)
    faults = dict.fromkeys(file.faults)  # a set in order
    starts = _track_starts(file)
    tracks = list(enumerate(zip(file.tracks, starts, strict=True)))
    sixteenth = max(1, file.ticks_per_quarter // 4)
    table = np.concatenate([_notes(track, i, start, sixteenth) for i, (track, start) in tracks])
    notes = Notes(*table[np.lexsort(table.T[::-1])].T)
    first = max([sixteenth, *notes.starts[:1].tolist()])
    marks = {
        kind: _at_start(_marks(file, starts, kind, faults), sixteenth, first) for kind in PARSERS
    }
    song = Song(
        file.ticks_per_quarter,
        notes,
        _without_jitter(marks[TEMPO]),
        _changes(_from_start(marks[METER], (4, 4))),
        marks[KEY],
        np.concatenate([_messages(track, i, start) for i, (track, start) in tracks]),
        [track.name for track in file.tracks],
        max(track.end_tick + start for _, (track, start) in tracks),
        list(faults),
    )
    song.end = _end(song)
    return song


def to_sequence(song: Song, drum_parts: set[Part]) -> Any:
    """Convert a song to a NoteSequence whose drums are the given (track, channel) pairs."""
    sequence = NoteSequence(ticks_per_quarter=song.ticks_per_quarter)
    sequence.source_info.parser = NoteSequence.SourceInfo.PRETTY_MIDI
    sequence.source_info.encoding_type = NoteSequence.SourceInfo.MIDI
    tempo_map = TempoMap(
        [tick / song.ticks_per_quarter for tick, _ in song.tempos],
        [6e7 / tempo_us for _, tempo_us in song.tempos],
    )
    for seconds, tempo_qpm in zip(tempo_map.seconds, tempo_map.tempos_qpm, strict=True):
        sequence.tempos.add(time=seconds, qpm=tempo_qpm)

    def seconds_of(ticks: Any) -> np.ndarray:
        return tempo_map.to_seconds(np.asarray(ticks) / song.ticks_per_quarter)

    _add_meters_and_keys(sequence, song, seconds_of)
    notes, numbers = song.notes, {part: i for i, part in enumerate(song.notes.parts())}
    for (track, _), number in numbers.items():
        if song.names[track]:
            sequence.instrument_infos.add(name=song.names[track], instrument=number)
    ends = seconds_of(notes.ends)
    keys = notes.tracks * 16 + notes.channels
    integers = {
        "pitch": notes.pitches,
        "velocity": notes.velocities,
        "instrument": np.searchsorted(np.unique(keys), keys),
        "program": notes.programs,
        "is_drum": notes.is_in(drum_parts),
    }
    times = {"start_time": seconds_of(notes.starts), "end_time": ends}
    add_messages(sequence, "notes", times, integers)
    _add_controls_and_bends(sequence, song, numbers, drum_parts, seconds_of)
    sequence.total_time = max([float(seconds_of(song.end)), *ends.tolist()])
    return sequence


def _track_starts(file: MidiFile) -> list[int]:
    """Return where each track begins: at 0, or for format 2 at the bar after the one before."""
    if file.format != 2:
        return [0] * len(file.tracks)
    meters = (
        _meter(meta.data) for track in file.tracks for meta in track.metas if meta.kind == METER
    )
    numerator, denominator = next(filter(None, meters), (4, 4))
    bar = max(1, file.ticks_per_quarter * 4 * numerator // denominator)
    ends = itertools.accumulate(-(-track.end_tick // bar) * bar for track in file.tracks)
    return [0, *ends][: len(file.tracks)]


def _notes(track: Track, number: int, start: int, default_ticks: int) -> np.ndarray:
    """Return the notes of a track as rows of the columns of Notes."""
    events = track.events
    on, off = _pair_notes(events)
    starts, ends = events.ticks[on], np.zeros(len(on), np.int64)
    ends[off >= 0] = events.ticks[off[off >= 0]]
    ends = np.where(ends > starts, ends, starts + default_ticks)
    programs, numbers = events.programs()[on], np.full(len(on), number)
    columns = [numbers, events.channels[on], events.first[on], events.second[on], programs]
    return np.stack([starts + start, ends + start, *columns], axis=1)


def _pair_notes(events: Events) -> tuple[np.ndarray, np.ndarray]:
    """Return the index of each note-on, and that of the note-off which ends it, or -1.

    Of several notes of one pitch, a note-off ends the one that began first: the n-th note-on has
    the n-th note-off, without those at which nothing sounds.
    """
    at = np.flatnonzero(events.is_note)
    keys = events.channels[at] << 7 | events.first[at]
    order = np.argsort(keys, kind="stable")  # pitch by pitch
    at, (_, group) = at[order], np.unique(keys[order], return_inverse=True)
    is_on, num_groups = events.is_on[at], int(group.max(initial=-1)) + 1
    on = np.flatnonzero(is_on)
    off = np.flatnonzero(~is_on & ~_is_unmatched(is_on, group))
    num_on, num_off = (np.bincount(group[one], minlength=num_groups) for one in (on, off))
    rank = np.arange(len(on)) - np.repeat(np.cumsum(num_on) - num_on, num_on)
    target = (np.cumsum(num_off) - num_off)[group[on]] + rank
    has_off = rank < num_off[group[on]]
    found = np.full(len(on), -1)
    found[has_off] = at[off[target[has_off]]]
    return at[on], found


def _is_unmatched(is_on: np.ndarray, group: np.ndarray) -> np.ndarray:
    """Return which events are note-offs at which no note of their group sounds.

    They are where the number of note-ons minus note-offs falls to a new minimum below 0.
    """
    balance = np.cumsum(np.where(is_on, 1, -1))
    is_first = np.diff(group, prepend=-1) != 0
    before = (balance - np.where(is_on, 1, -1))[is_first]
    # Each group is shifted below the one before, so that its minimum starts anew.
    shift = group * (len(group) + 1)
    lowest = np.minimum.accumulate(np.minimum(balance - before[group], 0) - shift) + shift
    previous = np.where(is_first, 0, np.concatenate([[0], lowest[:-1]]))
    return lowest < previous


def _messages(track: Track, number: int, start: int) -> np.ndarray:
    """Return the controls and bends of a track as rows of `Song.messages`."""
    events = track.events
    at = np.flatnonzero((events.kinds == CONTROL) | (events.kinds == BEND))
    columns = [events.channels, events.programs(), events.first, events.second]
    numbers = np.full(len(at), number)
    head = [events.ticks[at] + start, events.kinds[at], numbers]
    return np.stack([*head, *(column[at] for column in columns)], axis=1)


def _marks(
    file: MidiFile, starts: Sequence[int], kind: int, faults: dict[str, None]
) -> list[tuple[int, Any]]:
    """Return (tick, value) of the meta events of a kind, of several at one tick the last."""
    what, parse = PARSERS[kind]
    by_tick = {}
    for track, start in zip(file.tracks, starts, strict=True):
        for meta in track.metas:
            if meta.kind != kind:
                continue
            value = parse(meta.data)
            if value is None:
                faults[f"a {what} event is not valid; it is left out"] = None
            else:
                by_tick[meta.tick + start] = value
    return sorted(by_tick.items())


def _at_start(marks: list[tuple[int, Any]], sixteenth: int, first: int) -> list[tuple[int, Any]]:
    """Move the marks that are meant to be at the start to tick 0.

    They are those within the first 16th, of which the last counts, since some programs write them a
    tick late; else the first one, if there is no note before it.
    """
    num = sum(tick < sixteenth for tick, _ in marks) or int(bool(marks) and marks[0][0] <= first)
    return [(0, marks[num - 1][1]), *marks[num:]] if num else marks


def _from_start(marks: list[tuple[int, Any]], default: Any) -> list[tuple[int, Any]]:
    """Add the default at tick 0, if there are marks and none is there."""
    return [(0, default), *marks] if marks and marks[0][0] else marks


def _changes(marks: list[tuple[int, Any]]) -> list[tuple[int, Any]]:
    """Remove marks that repeat the value before."""
    groups = itertools.groupby(marks, key=lambda mark: mark[1])
    return [next(group) for _, group in groups]


def _without_jitter(marks: list[tuple[int, int]]) -> list[tuple[int, int]]:
    kept = _from_start(marks, DEFAULT_TEMPO_US)[:1] or [(0, DEFAULT_TEMPO_US)]
    for mark in marks:
        if abs(mark[1] - kept[-1][1]) > JITTER_US:
            kept.append(mark)
    return kept


def _tempo(data: bytes) -> int | None:
    """Return microseconds per quarter note."""
    return int.from_bytes(data[:3], "big") or None if len(data) >= 3 else None


def _meter(data: bytes) -> tuple[int, int] | None:
    """Return numerator and denominator; the other two bytes are for metronomes."""
    if len(data) >= 2 and 0 < data[0] <= MAX_METER and 2 ** data[1] <= MAX_METER:
        return data[0], 2 ** data[1]
    return None


def _key(data: bytes) -> tuple[int, int] | None:
    """Return the number of sharps, negative for flats, and 1 for minor."""
    if len(data) >= 2 and -7 <= num_sharps(data) <= 7 and data[1] <= 1:
        return num_sharps(data), data[1]
    return None


PARSERS: dict[int, tuple[str, Callable[[bytes], Any]]] = {
    TEMPO: ("tempo", _tempo),
    METER: ("meter", _meter),
    KEY: ("key signature", _key),
}


def _end(song: Song) -> int:
    """Return the end of the longest track, unless it is more than MAX_REST_BARS after the music."""
    numerator, denominator = song.meters[-1][1] if song.meters else (4, 4)
    bar = max(1, song.ticks_per_quarter * 4 * numerator // denominator)
    last = int(song.notes.starts.max(initial=0))
    rests_end = (last // bar + 1 + MAX_REST_BARS) * bar
    return song.end if song.end <= rests_end else (last // bar + 1) * bar


def _add_meters_and_keys(sequence: Any, song: Song, seconds_of: Callable[..., Any]) -> None:
    times = seconds_of([tick for tick, _ in song.meters]).tolist()
    for (_, (numerator, denominator)), seconds in zip(song.meters, times, strict=True):
        sequence.time_signatures.add(time=seconds, numerator=numerator, denominator=denominator)
    times = seconds_of([tick for tick, _ in song.keys]).tolist()
    for (_, (sharps, mode)), seconds in zip(song.keys, times, strict=True):
        sequence.key_signatures.add(time=seconds, key=(7 * sharps + 9 * mode) % 12, mode=mode)


def _add_controls_and_bends(
    sequence: Any,
    song: Song,
    numbers: dict[Part, int],
    drum_parts: set[Part],
    seconds_of: Callable[..., Any],
) -> None:
    """Add the controls and bends of the parts that have notes."""
    for part, number in numbers.items():
        is_own = (song.messages[:, 2:4] == part).all(axis=1)
        is_bend = song.messages[:, 1] == BEND
        ticks, _, _, _, programs, first, second = song.messages[is_own & ~is_bend].T
        common = {"instrument": number, "is_drum": part in drum_parts}
        fields = {"control_number": first, "control_value": second, "program": programs}
        times = {"time": seconds_of(ticks)}
        add_messages(sequence, "control_changes", times, {**fields, **common})
        for message in song.messages[is_own & is_bend].tolist():
            seconds, bend = float(seconds_of(message[0])), (message[5] | message[6] << 7) - 8192
            sequence.pitch_bends.add(time=seconds, bend=bend, program=message[4], **common)
