"""Read MIDI exactly as Magenta does: the NoteSequence of mido 1.3, pretty_midi 0.2 and note_seq.

    sequence = read_magenta(Path("take.mid").read_bytes())

The result equals theirs byte for byte, with their limits: hits without a length vanish, tempo and
meter are taken from the first track only, and files are refused that midi_complete.py reads.
Sources: mido/midifiles/midifiles.py and meta.py, pretty_midi/pretty_midi.py, note_seq/midi_io.py.
"""

import bisect
import itertools
import math
from collections.abc import Iterator
from typing import Any, NamedTuple, NoReturn

import numpy as np

from groovae.music.midi_reader import (
    BEND,
    CONTROL,
    DRUM_CHANNEL,
    END_OF_TRACK,
    ESCAPE,
    KEY,
    META,
    METER,
    SMPTE_OFFSET,
    SYSEX,
    SYSTEM_BYTES,
    TEMPO,
    TRACK_NAME,
    BrokenMidi,
    Events,
    MidiFile,
    Track,
    TrackReader,
    num_sharps,
    uint16,
    uint32,
)
from groovae.music.note_sequence import NoteSequence, add_messages

MAX_EVENT_BYTES = 1_000_000  # of mido
MAX_TICK = 1e10  # as note_seq sets it in pretty_midi
MICROSECONDS_PER_MINUTE = 6e7
NO_LIST, WAITING = -1, -2
# The bytes that mido requires of the meta events it knows. It loses the delta times of the others.
META_BYTES = dict.fromkeys([*range(0x08), 0x09, 0x21, END_OF_TRACK, 0x7F], 0)
META_BYTES |= {0x20: 1, TEMPO: 3, SMPTE_OFFSET: 5, METER: 4, KEY: 2}


def read_magenta(data: bytes) -> Any:
    """Read the bytes of a MIDI file as a NoteSequence.

    Raises:
      BrokenMidi: Magenta refuses them.
    """
    return to_sequence(read_mido_events(data))


def read_mido_events(data: bytes) -> MidiFile:
    """Read events by the rules of mido; raise BrokenMidi if mido raises an error."""
    if data[:4] != b"MThd":
        _refuse("no MIDI header (MThd) at its start")
    size = uint32(data, 4)
    if size < 6 or len(data) < 14:
        _refuse("it ends too early")
    kind, count, division = ((uint16(data, at) ^ 0x8000) - 0x8000 for at in (8, 10, 12))
    tracks, pos = [], min(8 + size, len(data))
    for _ in range(count):
        if len(data) < pos + 8:
            _refuse("it ends too early")
        if data[pos : pos + 4] != b"MTrk":
            _refuse("no track (MTrk) where one should be")
        reader = _MidoReader(data, pos + 8, pos + 8 + uint32(data, pos + 4), _refuse)
        tracks.append(reader.read())
        pos = reader.pos
    return MidiFile(kind, division, tracks)


def to_sequence(file: MidiFile) -> Any:
    """Convert events as pretty_midi and note_seq do; raise BrokenMidi if they raise an error."""
    if not file.tracks:
        _refuse("it has no tracks")
    try:
        return _convert(file)
    except (ZeroDivisionError, ValueError, OverflowError) as error:
        raise BrokenMidi(f"a tempo, meter or resolution is out of range: {error}") from error


def _refuse(text: str) -> NoReturn:
    raise BrokenMidi(text)


class _MidoReader(TrackReader):
    """Reads a track by the rules of mido, which refuses most faults."""

    num_others = 0  # events that are neither channel messages nor meta events

    def read(self) -> Track:
        track = super().read()
        if self.pos != self.end:
            _refuse("it ends too early")
        if not track.packed and not track.metas and not self.num_others:
            _refuse("a track is empty")
        if track.end_tick + 1 > MAX_TICK:
            _refuse("its times are out of range")
        return track

    def variable_int(self, pos: int) -> tuple[int, int]:
        value = 0
        while value <= MAX_TICK:
            value = value << 7 | self.data[pos] & 127
            pos += 1
            if self.data[pos - 1] < 128:
                return value, pos
        _refuse("a number is out of range")

    def read_system(self, status: int, delta: int) -> bool:
        if status == META:
            return self.read_meta(delta)
        if not status:
            _refuse("data bytes without a status byte")
        self.running, self.num_others = status, self.num_others + 1
        is_repeated = self.data[self.pos - 1] != status
        if status in (SYSEX, ESCAPE):
            self.pos += is_repeated  # mido loses the byte in which it looked for a status
            self.read_sysex(status)
            return True
        size = SYSTEM_BYTES.get(status)
        if size is None or (is_repeated and not size):
            _refuse(f"undefined status byte {status:#04x}")
        self._take(self.pos, size)
        return True

    def read_meta(self, delta: int) -> bool:
        kind = self.data[self.pos]
        size, begin = self.variable_int(self.pos + 1)
        data = self._take(begin, size, is_checked=False)
        _check_meta(kind, data)
        if kind not in META_BYTES:
            self.tick -= delta
        self.add_meta(kind, data)
        return True

    def read_sysex(self, status: int) -> None:
        size, begin = self.variable_int(self.pos)
        data = self._take(begin, size, is_checked=False)
        data = data[data[:1] == b"\xf0" : len(data) - (data[-1:] == b"\xf7" and data != b"\xf0")]
        if max(data, default=0) > 127:
            _refuse("a data byte is over 127")

    def _take(self, begin: int, size: int, is_checked: bool = True) -> bytes:
        """Return the next `size` bytes and skip them; if `is_checked`, refuse bytes over 127."""
        self.pos = begin + size
        data = self.data[begin : self.pos]
        if size > MAX_EVENT_BYTES or len(data) < size:
            _refuse("it ends too early")
        if is_checked and max(data, default=0) > 127:
            _refuse("a data byte is over 127")
        return data


def _check_meta(kind: int, data: bytes) -> None:
    """Refuse a meta event that mido cannot decode."""
    if len(data) < META_BYTES.get(kind, 0) or (kind == 0 and len(data) == 1):
        _refuse("a meta event is too short")
    if kind == SMPTE_OFFSET and (data[0] >> 5 > 3 or max(data[1:3]) > 59 or data[4] > 99):
        _refuse("an SMPTE offset is out of range")
    if kind == METER and math.log(2 ** data[1], 2) != data[1]:
        _refuse(f"a meter has the denominator 2^{data[1]}")
    if kind == KEY and not (-7 <= num_sharps(data) <= 7 and data[1] <= 1):
        _refuse("a key signature has no key")


class _Clock:
    """Seconds of ticks by the tempos of the first track, with the arithmetic of pretty_midi."""

    def __init__(self, file: MidiFile):
        self.resolution = file.ticks_per_quarter
        marks = [(0, 60.0 / (120.0 * self.resolution))]
        for tick, kind, data, _ in file.tracks[0].metas:
            if kind == TEMPO:
                tempo_qpm = MICROSECONDS_PER_MINUTE / int.from_bytes(data[:3], "big")
                tick_seconds = 60.0 / (tempo_qpm * self.resolution)
                if tick == 0:
                    marks = [(0, tick_seconds)]
                elif tick_seconds != marks[-1][1]:
                    marks.append((tick, tick_seconds))
        self.ticks, self.tick_seconds = np.array(marks).T  # exact, since ticks are under 2^53
        seconds = [0.0]
        for (start, tick_seconds), (end, _) in itertools.pairwise(marks):
            seconds.append(seconds[-1] + tick_seconds * (end - start))
        self.seconds = np.array(seconds)

    def seconds_of(self, ticks: Any) -> np.ndarray:
        times = np.asarray(ticks, np.float64)
        at = np.searchsorted(self.ticks, times, side="right") - 1
        return self.seconds[at] + self.tick_seconds[at] * (times - self.ticks[at])


class _Instrument(NamedTuple):
    """What one program plays on one channel of one track.

    Attributes:
      program: 0 to 127.
      channel: 0 to 15.
      name: The name of the track.
      notes: [n, 4]: pitch, velocity, start tick and end tick.
      controls: [n, 3]: tick, number and value.
      bends: [n, 2]: tick and value, -8192 to 8191.
    """

    program: int
    channel: int
    name: str
    notes: np.ndarray
    controls: np.ndarray
    bends: np.ndarray


def _convert(file: MidiFile) -> Any:
    clock = _Clock(file)
    sequence = NoteSequence(ticks_per_quarter=file.ticks_per_quarter)
    sequence.source_info.parser = NoteSequence.SourceInfo.PRETTY_MIDI
    sequence.source_info.encoding_type = NoteSequence.SourceInfo.MIDI
    _add_metas(sequence, file.tracks[0], clock)
    for seconds, tick_seconds in zip(clock.seconds, clock.tick_seconds, strict=True):
        sequence.tempos.add(time=seconds, qpm=60.0 / (tick_seconds * clock.resolution))
    instruments = (one for track in file.tracks for one in _instruments(track))
    for number, instrument in enumerate(instruments):
        if instrument.name:
            sequence.instrument_infos.add(name=instrument.name, instrument=number)
        _add_events(sequence, number, instrument, clock)
    return sequence


def _add_metas(sequence: Any, track: Track, clock: _Clock) -> None:
    """Add meters and keys."""
    metas = [meta for meta in track.metas if meta.kind in (METER, KEY)]
    times = clock.seconds_of([meta.tick for meta in metas]).tolist()
    for meta, seconds in zip(metas, times, strict=True):
        first, second = meta.data[:2]
        if seconds < 0:
            _refuse("a time is negative")
        if meta.kind == KEY:
            tonic = (7 * num_sharps(meta.data) + 9 * second) % 12
            sequence.key_signatures.add(time=seconds, key=tonic, mode=second)
        elif not first:
            _refuse("a meter has 0 beats")
        else:
            sequence.time_signatures.add(time=seconds, numerator=first, denominator=2**second)


def _instruments(track: Track) -> Iterator[_Instrument]:
    """Yield the instruments of a track, in the order of their first notes that end."""
    events = track.events
    on, off = _pair_notes(events)
    if not len(on):
        return
    keys = events.programs() * 16 + events.channels
    found, first = np.unique(keys[off], return_index=True)
    created = off[first]  # the note-off that makes pretty_midi create each instrument
    sources, lists = _control_lists(events, keys, found, created)
    names = [(meta.position, meta.data) for meta in track.metas if meta.kind == TRACK_NAME]
    for number in np.argsort(first):
        own = keys[off] == found[number]
        at = bisect.bisect_right(names, (int(created[number]), b"\xff"))
        notes = np.stack([events.first[on], events.second[on], events.ticks[on], events.ticks[off]])
        is_own = lists == sources[number]
        controls = np.flatnonzero(is_own & (events.kinds == CONTROL))
        bends = np.flatnonzero(is_own & (events.kinds == BEND))
        values = (events.first[bends] | events.second[bends] << 7) - 8192
        yield _Instrument(
            int(found[number]) // 16,
            int(found[number]) % 16,
            names[at - 1][1].decode("latin-1") if at else "",
            notes.T[own],
            np.stack([events.ticks, events.first, events.second]).T[controls],
            np.stack([events.ticks[bends], values]).T,
        )


def _pair_notes(events: Events) -> tuple[np.ndarray, np.ndarray]:
    """Return the note-on and note-off of each note, in the order of the note-offs.

    A note-off ends all notes of its pitch, except those that begin at its tick: they keep sounding
    if others end, and vanish otherwise.
    """
    at = np.flatnonzero(events.is_note)
    at = at[np.argsort(events.channels[at] << 7 | events.first[at], kind="stable")]
    pitches, ticks = events.channels[at] << 7 | events.first[at], events.ticks[at]
    on, offs = np.flatnonzero(events.is_on[at]), np.flatnonzero(~events.is_on[at])
    target = np.searchsorted(offs, on)  # the next note-off
    while True:
        has_off = target < len(offs)
        has_off[has_off] = pitches[offs[target[has_off]]] == pitches[on[has_off]]
        on, target = on[has_off], target[has_off]
        begins_there = ticks[on] == ticks[offs[target]]
        ends_others = np.zeros(len(offs), bool)
        ends_others[target[~begins_there]] = True
        keeps_sounding = begins_there & ends_others[target]
        if not keeps_sounding.any():
            break
        target[keeps_sounding] += 1
    on, off = at[on[~begins_there]], at[offs[target[~begins_there]]]
    order = np.lexsort([on, off])
    return on[order], off[order]


def _control_lists(
    events: Events, keys: np.ndarray, found: np.ndarray, created: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return the list of controls and bends of each instrument, and the list of each event.

    An event goes to the list of its instrument, by its key, or to a waiting list of its channel if
    the instrument has not been created. An instrument that is created later than the waiting list
    of its channel takes that list as its own, as do all later ones.

    Args:
      keys: Program and channel of each event.
      found: The keys of the instruments, sorted.
      created: The event at which each instrument is created.
    """
    lists = np.where((events.kinds == CONTROL) | (events.kinds == BEND), keys, NO_LIST)
    at = np.minimum(np.searchsorted(found, keys), len(found) - 1)
    is_created = (found[at] == keys) & (created[at] < np.arange(len(keys)))
    is_waiting = (lists != NO_LIST) & ~is_created
    lists[is_waiting] = WAITING - events.channels[is_waiting]
    sources = found.copy()
    for channel in np.unique(events.channels[is_waiting]):
        first = np.flatnonzero(is_waiting & (events.channels == channel))[0]
        sources[(found % 16 == channel) & (created > first)] = WAITING - channel
    has_source = is_created & (lists != NO_LIST)
    lists[has_source] = sources[at[has_source]]
    return sources, lists


def _add_events(sequence: Any, number: int, instrument: _Instrument, clock: _Clock) -> None:
    """Add the notes, pitch bends and control changes of an instrument."""
    pitches, velocities, starts, ends = instrument.notes.T
    start_times, end_times = clock.seconds_of(starts), clock.seconds_of(ends)
    if (end_times < start_times).any():
        _refuse("a time is negative")
    is_drum = instrument.channel == DRUM_CHANNEL
    common = {"instrument": number, "program": instrument.program, "is_drum": is_drum}
    fields = {"pitch": pitches, "velocity": velocities}
    times = {"start_time": start_times, "end_time": end_times}
    add_messages(sequence, "notes", times, {**fields, **common})
    sequence.total_time = max([sequence.total_time, *end_times.tolist()])
    ticks, bends = instrument.bends.T
    for seconds, bend in zip(clock.seconds_of(ticks).tolist(), bends.tolist(), strict=True):
        sequence.pitch_bends.add(time=seconds, bend=bend, **common)
    ticks, numbers, values = instrument.controls.T
    fields = {"control_number": numbers, "control_value": values}
    times = {"time": clock.seconds_of(ticks)}
    add_messages(sequence, "control_changes", times, {**fields, **common})
