"""read_magenta returns the NoteSequence of note_seq, byte for byte, and refuses what it refuses.

scripts/fuzz_midi.py compares any number of damaged files.
"""

import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from damaged_midi import a_band, an_odd_beat, damaged, damaged_performance
from make_midi import END, header, meta, midi, notes

from groovae.music.midi_magenta import read_magenta
from groovae.music.midi_reader import BrokenMidi
from groovae.upstream import note_seq

pytestmark = pytest.mark.filterwarnings("ignore")
MUTANTS = 300


def outcome(read: Callable[[bytes], Any], data: bytes) -> bytes | None:
    """Return the serialized sequence, or None if the file is refused."""
    try:
        return read(data).SerializeToString()
    except (BrokenMidi, note_seq.MIDIConversionError):
        return None


def assert_read_alike(data: bytes, name: str) -> bool:
    """Assert that both readers agree; return whether the file is read."""
    theirs = outcome(note_seq.midi_to_note_sequence, data)
    assert outcome(read_magenta, data) == theirs, name
    return theirs is not None


def is_small(data: bytes) -> bool:
    """Return whether pretty_midi, which allocates an array of all ticks, can read a file."""
    try:
        return read_magenta(data).total_time < 20_000
    except BrokenMidi:
        return True


def test_gmd_is_read_as_by_note_seq(gmd: Path) -> None:
    """A sample of it; test_preprocess.py compares the SHA-256 of all records."""
    for path in sorted(gmd.rglob("*.mid"))[::20]:
        assert assert_read_alike(path.read_bytes(), str(path))


def test_odd_and_damaged_files_are_read_as_by_note_seq(gmd: Path) -> None:
    fills = sorted(gmd.glob("drummer1/session1/*_fill_4-4.mid"))[:30]
    files: dict[str, bytes] = {
        **{f"odd {i}": an_odd_beat(i) for i in range(100)},
        **{f"band {i}": a_band(i) for i in range(20)},
        **{f"fill {i}": damaged_performance(fill.read_bytes(), i) for i, fill in enumerate(fills)},
        **{f"mutant {i}": damaged(i) for i in range(MUTANTS)},
        "noise": random.Random(0).randbytes(3000),
    }
    read = [assert_read_alike(data, name) for name, data in files.items() if is_small(data)]
    assert len(read) > MUTANTS
    assert MUTANTS / 5 < sum(read) < len(read) - MUTANTS / 5, "some are whole, some are damaged"


def test_all_kinds_of_events_are_read_as_by_note_seq() -> None:
    events = (
        b"\0\xff\x51\3\x07\xa1\x20"  # tempo
        b"\0\xff\x58\4\7\3\x18\x08"  # 7/8
        b"\0\xff\x59\2\3\1"  # three sharps, minor
        b"\0\xff\x59\2\xfd\0"  # three flats, major
        b"\0\xff\3\4Drum"
        b"\0\xc0\5\0\xe0\1\x45\0\xb0\x40\x7f"  # program, pitch bend, pedal
        b"\0\x90\x3c\x50\0\x99\x24\x50\x60\x80\x3c\0\0\x89\x24\0"
        b"\x60\xff\x51\3\x0f\x42\x40\0\xff\x2f\0"
    )
    assert assert_read_alike(midi(events, kind=0), "all")
    sequence = read_magenta(midi(events, kind=0))
    fields = {field.name for field, _ in sequence.ListFields()}
    assert fields >= {"key_signatures", "time_signatures", "pitch_bends", "control_changes"}
    assert [tempo.qpm for tempo in sequence.tempos] == [120, 60]
    assert {note.is_drum for note in sequence.notes} == {True, False}


def test_notes_of_one_pitch_are_ended_as_by_note_seq() -> None:
    rng = random.Random(3)
    for case in range(300):
        events = b""
        for _ in range(rng.randint(2, 30)):
            status = rng.choice([0x99, 0x99, 0x89, 0xB9, 0xE9, 0xC9])
            data = [36, rng.choice([0, 64])] if status < 0xB0 else [rng.randint(0, 2), 7]
            events += bytes([rng.choice([0, 0, 5]), status, *data[: 1 if status == 0xC9 else 2]])
        assert_read_alike(midi(events + END, kind=0), f"case {case}")


@pytest.mark.parametrize("delta", [b"\x81\0", b"\x80\x80\x80\x80\x83\x60", b"\x83\xff\x7f"])
def test_delta_times_are_read_as_by_note_seq(delta: bytes) -> None:
    data = midi(b"\0\x99\x24\x40" + delta + b"\x89\x24\0" + END)
    assert assert_read_alike(data, "hit")
    assert len(read_magenta(data).notes) == 1


@pytest.mark.parametrize(
    "data",
    [b"", b"no MIDI", midi(notes([(0, 36)]))[:-9], b"MThd\0\0\0\6" * 9, header(1), midi(b"")],
)
def test_broken_files_are_refused_as_by_note_seq(data: bytes) -> None:
    assert not assert_read_alike(data, "broken")


@pytest.mark.parametrize(
    "event",
    [
        meta(0x58, b"\4\x40\x18\x08"),
        meta(0x58, b"\0\2\x18\x08"),
        meta(0x58, b"\4\2"),
        meta(0x59, b"\x08\0"),
        meta(0x51, b"\0\0\0"),
        meta(0x54, b"\xe0\0\0\0\0"),
        b"\0\xf7\1\x80",
        b"\0\xb9\4\xff",
        b"\0\xf4\0",
    ],
)
def test_odd_events_are_refused_as_by_note_seq(event: bytes) -> None:
    assert not assert_read_alike(midi(event + notes([(0, 36)]) + END), "odd")


def test_forged_times_are_refused_or_read_without_memory() -> None:
    """Memory is bounded by test_midi_reader.py; note_seq takes gigabytes for these."""
    forged = midi(b"\x97\xec\x80\0\x99\x24\x40\x60\x89\x24\0" + END, division=1)
    assert read_magenta(forged).total_time > 10_000_000
    too_far = midi((b"\xff\xff\xff\x7f\xb9\1\1" * 40) + END)
    with pytest.raises(BrokenMidi):
        read_magenta(too_far)
