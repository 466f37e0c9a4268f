"""Read Standard MIDI Files as players do: all events by track, and a list of the file's faults.

    file = read_events(Path("take.mid").read_bytes())
    [track.name for track in file.tracks], file.faults

A file that a DAW plays is read, whatever is wrong with it, and each fault is listed in plain words.
Times are in ticks from the start of the track. Two modules interpret the events: midi_complete.py
as a DAW shows them, midi_magenta.py as Magenta reads them.

Source: The Complete MIDI 1.0 Detailed Specification, part "Standard MIDI Files 1.0" (RP-001).
"""

import dataclasses
import functools
from array import array
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

MAX_TICK = 1 << 38  # 9 years at 480 ticks per quarter and 120 bpm; an event is packed into 64 bits
MAX_TRACKS = 65_535  # the largest count that fits in the header
MAX_FAULTS = 20

NOTE_OFF, NOTE_ON, CONTROL, PROGRAM, BEND = 0x80, 0x90, 0xB0, 0xC0, 0xE0
SYSEX, ESCAPE, META = 0xF0, 0xF7, 0xFF
# Data bytes of each system message.
SYSTEM_BYTES = {0xF1: 1, 0xF2: 2, 0xF3: 1, 0xF6: 0, 0xF8: 0, 0xFA: 0, 0xFB: 0, 0xFC: 0, 0xFE: 0}
TRACK_NAME, INSTRUMENT_NAME = 0x03, 0x04
END_OF_TRACK, TEMPO, SMPTE_OFFSET, METER, KEY = 0x2F, 0x51, 0x54, 0x58, 0x59
DRUM_CHANNEL = 9  # counted from 0; musicians call it channel 10

AddFault = Callable[[str], None]


class BrokenMidi(Exception):
    """The bytes hold no music that can be read; the message says why and what to do."""


class Meta(NamedTuple):
    """A meta event.

    Attributes:
      tick: Its time.
      kind: Its type, as in the specification.
      data: Its bytes.
      position: The number of channel messages before it in the track.
    """

    tick: int
    kind: int
    data: bytes
    position: int


class Events(NamedTuple):
    """The channel messages of a track in file order, as int64 arrays of one length.

    Attributes:
      ticks: The time of each message.
      kinds: NOTE_OFF, NOTE_ON, CONTROL, PROGRAM, BEND or others.
      channels: 0 to 15.
      first, second: The data bytes.
    """

    ticks: np.ndarray
    kinds: np.ndarray
    channels: np.ndarray
    first: np.ndarray
    second: np.ndarray

    @property
    def is_on(self) -> np.ndarray:
        """Which messages are note-ons with a velocity over 0."""
        return (self.kinds == NOTE_ON) & (self.second > 0)

    @property
    def is_note(self) -> np.ndarray:
        """Which messages are note-ons or note-offs."""
        return self.kinds <= NOTE_ON

    def programs(self) -> np.ndarray:
        """Return the program of the channel of each message, 0 before the first one."""
        programs = np.zeros(len(self.ticks), np.int64)
        is_change = self.kinds == PROGRAM
        for channel in np.unique(self.channels[is_change]):
            own = np.flatnonzero(self.channels == channel)
            changes = own[is_change[own]]
            at = np.searchsorted(changes, own, side="right") - 1
            programs[own] = np.where(at >= 0, self.first[changes[np.maximum(at, 0)]], 0)
        return programs


@dataclasses.dataclass
class Track:
    """The events of one track.

    Attributes:
      packed: Channel messages in file order: tick << 24 | status << 16 | byte 1 << 8 | byte 2.
      metas: Meta events in file order.
      end_tick: The time of the last event.
    """

    packed: "array[int]" = dataclasses.field(default_factory=lambda: array("Q"))
    metas: list[Meta] = dataclasses.field(default_factory=list)
    end_tick: int = 0

    @property
    def name(self) -> str:
        """The name of the track, else of its instrument, else ""."""
        for kind in (TRACK_NAME, INSTRUMENT_NAME):
            for meta in self.metas:
                if meta.kind == kind and (name := decode(meta.data)):
                    return name
        return ""

    @functools.cached_property
    def events(self) -> "Events":
        """The channel messages as arrays."""
        packed = np.frombuffer(self.packed, np.uint64).astype(np.int64)
        status = packed >> 16 & 0xFF
        return Events(packed >> 24, status & 0xF0, status & 0x0F, packed >> 8 & 0x7F, packed & 0x7F)

    def count_notes(self, channel: int) -> int:
        """Return the number of note-ons with a velocity over 0 on a channel, counted from 0."""
        return int(np.count_nonzero(self.events.is_on & (self.events.channels == channel)))


@dataclasses.dataclass
class MidiFile:
    """A Standard MIDI File.

    Attributes:
      format: 0: one track; 1: simultaneous tracks; 2: patterns one after another.
      ticks_per_quarter: The resolution.
      tracks: The tracks in file order.
      faults: What is wrong with the file, in plain words.
    """

    format: int
    ticks_per_quarter: int
    tracks: list[Track]
    faults: list[str] = dataclasses.field(default_factory=list)


def read_events(data: bytes) -> MidiFile:
    """Read the bytes of a MIDI file.

    Raises:
      BrokenMidi: there is no MIDI header or no track, or times are not in quarter notes.
    """
    faults: dict[str, None] = {}  # a set in file order

    def add_fault(text: str) -> None:
        if len(faults) < MAX_FAULTS:
            faults[text] = None

    start = data.find(b"MThd")
    if start < 0 or len(data) < start + 14:
        raise BrokenMidi("no MIDI header (MThd); export it as MIDI again")
    if start and data.startswith(b"RIFF"):
        add_fault("it is a RIFF container")
        size = int.from_bytes(data[start - 4 : start], "little")
        data, start = data[start : start + size], 0
    elif start:
        add_fault("there are bytes before its header")
    kind, count, division = (uint16(data, start + at) for at in (8, 10, 12))
    if not division:
        raise BrokenMidi(
            "its header has no resolution (0 ticks per quarter note); export it as MIDI again"
        )
    if division >= 0x8000:
        raise BrokenMidi("its times are SMPTE frames; export it with ticks per quarter note")
    if kind > 2:
        add_fault(f"its header has format {kind}, which does not exist")
    tracks = _read_tracks(data, start, add_fault)
    if not tracks:
        raise BrokenMidi("it has no tracks; export it as MIDI again")
    if len(tracks) != count:
        add_fault(f"its header counts {count:,} tracks, but there are {len(tracks):,}")
    return MidiFile(kind if kind == 2 else min(kind, 1), division, tracks, list(faults))


def uint16(data: bytes, at: int) -> int:
    """Read a big-endian number of two bytes."""
    return int.from_bytes(data[at : at + 2], "big")


def uint32(data: bytes, at: int) -> int:
    """Read a big-endian number of four bytes."""
    return int.from_bytes(data[at : at + 4], "big")


def num_sharps(data: bytes) -> int:
    """Return the number of sharps of a key signature, negative for flats."""
    return (data[0] ^ 0x80) - 0x80


def decode(text: bytes) -> str:
    """Decode a text event: UTF-8, else Latin-1; NULs and spaces around it are removed."""
    try:
        return text.decode("utf-8").strip("\0 \t\r\n")
    except UnicodeDecodeError:
        return text.decode("latin-1").strip("\0 \t\r\n")


def _read_tracks(data: bytes, start: int, add_fault: AddFault) -> list[Track]:
    """Read all tracks, wherever they are and whatever their lengths say."""
    tracks: list[Track] = []
    pos = start + 8 + uint32(data, start + 4)
    if data[start + 14 : start + 18] == b"MTrk" or pos > len(data):
        pos = start + 14
    while (at := _find_track(data, pos, add_fault)) >= 0:
        if len(tracks) == MAX_TRACKS:
            add_fault(f"it has over {MAX_TRACKS:,} tracks; the others are left out")
            break
        end = at + 8 + uint32(data, at + 4)
        fits = end == len(data) or _is_chunk(data, end)
        if not fits:
            add_fault("the length of a track is wrong")
            end = data.find(b"MTrk", at + 8)
            end = end if end >= 0 else len(data)
        reader = TrackReader(data, at + 8, end, add_fault)
        tracks.append(reader.read())
        pos = end if fits and data[reader.pos : reader.pos + 4] != b"MTrk" else reader.pos
    return tracks


def _find_track(data: bytes, pos: int, add_fault: AddFault) -> int:
    """Return the position of the next track chunk, -1 if there is no other."""
    while _is_chunk(data, pos) and data[pos : pos + 4] != b"MTrk":
        add_fault("it has chunks that are not tracks")
        pos += 8 + uint32(data, pos + 4)
    at = data.find(b"MTrk", pos)
    if at > pos:
        add_fault("it has bytes between its tracks")
    return at if at + 8 <= len(data) else -1


def _is_chunk(data: bytes, pos: int) -> bool:
    """Return whether a chunk begins at `pos`: MTrk, or four letters and a length that fits."""
    if data[pos : pos + 4] == b"MTrk":
        return True
    return data[pos : pos + 4].isalnum() and 0 <= pos + 8 + uint32(data, pos + 4) <= len(data)


class TrackReader:
    """Reads the events of one track, and continues after whatever is wrong.

    Attributes:
      pos: The position of the next event; after `read`, the end of the track.
      tick: The time of the last event.
      running: The status byte of an event that has none.
    """

    def __init__(self, data: bytes, pos: int, end: int, add_fault: AddFault):
        self.data, self.pos, self.end, self.add_fault = data, pos, end, add_fault
        self.tick, self.running = 0, 0
        self.track = Track()

    def read(self) -> Track:
        """Read all events from `pos` to the end of the track."""
        try:
            self._read_events()
        except IndexError:
            self.add_fault("a track is cut off")
            self.pos = self.end
        self.track.end_tick = self.tick
        return self.track

    def _read_events(self) -> None:
        # A megabyte has 300,000 events: local names, and no function call for the common ones.
        data, end, append = self.data, self.end, self.track.packed.append
        while self.pos < end:
            pos = self.pos
            delta = data[pos]
            pos += 1
            if delta > 127:
                delta, pos = self.variable_int(pos - 1)
                if self.tick + delta > MAX_TICK:
                    self.add_fault("a time is out of range")
                    break
            self.tick = tick = self.tick + delta
            status = data[pos]
            if status > 127:
                pos += 1
            else:
                status = self.running
            if status < NOTE_OFF or status >= SYSEX:
                self.pos = pos
                if not self.read_system(status, delta):
                    break
                continue
            self.running = status
            first = data[pos]
            if PROGRAM <= status < BEND:
                pos += 1
                second = 0
            else:
                second = data[pos + 1]
                pos += 2
            if (first | second) > 127:
                self.add_fault("a data byte is over 127")
                first, second = first & 127, second & 127
            append(tick << 24 | status << 16 | first << 8 | second)
            self.pos = pos

    def variable_int(self, pos: int) -> tuple[int, int]:
        """Read a number of variable length; return it and the position after it."""
        value = 0
        for at in range(pos, pos + 4):
            value = value << 7 | self.data[at] & 127
            if self.data[at] < 128:
                return value, at + 1
        self.add_fault("a number has over four bytes")
        return value, pos + 4

    def read_system(self, status: int, delta: int) -> bool:
        """Read an event other than a channel message; return whether the track continues."""
        if status == META:
            return self.read_meta(delta)
        if status in (SYSEX, ESCAPE):
            self.read_sysex(status)
        elif status in SYSTEM_BYTES:
            self.pos += SYSTEM_BYTES[status]
        elif status:
            self.add_fault("a status byte is undefined")
        else:
            self.add_fault("there are data bytes without a status byte")
            self.pos += 1
        return True

    def read_meta(self, delta: int) -> bool:
        """Read a meta event; return whether it is not the end of the track."""
        kind = self.data[self.pos]
        size, begin = self.variable_int(self.pos + 1)
        if begin + size > self.end:
            raise IndexError
        self.pos = begin + size
        self.add_meta(kind, self.data[begin : self.pos])
        return kind != END_OF_TRACK

    def add_meta(self, kind: int, data: bytes) -> None:
        """Add a meta event at the current time."""
        self.track.metas.append(Meta(self.tick, kind, data, len(self.track.packed)))

    def read_sysex(self, status: int) -> None:
        """Skip a system exclusive event, to its end mark if its length is wrong."""
        size, begin = self.variable_int(self.pos)
        self.pos = begin + size
        if self.pos > self.end:
            self.add_fault("the length of a system exclusive event is wrong")
            mark = self.data.find(ESCAPE, begin, self.end)
            if mark < 0:
                raise IndexError
            self.pos = mark + 1
