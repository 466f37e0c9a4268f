"""read_midi equals note_seq's reader, except for files that take gigabytes or minutes."""

import io
import random
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from damaged_midi import a_band, an_odd_beat, damaged, damaged_performance

from groovae.music import midi_reader
from groovae.music.midi_reader import BrokenMidi, TooMuch, read_midi
from groovae.upstream import note_seq


def _one_hit(delta: bytes) -> bytes:
    track = b"\0\x99\x24\x40" + delta + b"\x89\x24\0" + b"\0\xff\x2f\0"
    return b"MThd\0\0\0\6\0\0\0\1\x01\xe0MTrk" + len(track).to_bytes(4, "big") + track


def outcome(read: Callable[[bytes], Any], midi: bytes) -> Any:
    """Return the sequence, or the message of the error."""
    try:
        return read(midi)
    except (BrokenMidi, note_seq.MIDIConversionError) as error:
        return f"broken: {error}"
    except Exception as error:
        return f"{type(error).__name__}: {error}"


def assert_read_alike(midi: bytes, name: str) -> bool:
    """Assert that both readers agree, fields or error; return whether the file is valid."""
    theirs = outcome(note_seq.midi_to_note_sequence, midi)
    assert outcome(read_midi, midi) == theirs, name
    return not isinstance(theirs, str)


@pytest.mark.filterwarnings("ignore")
def test_gmd_is_read_as_by_note_seq(gmd: Path) -> None:
    """A sample of it; test_preprocess.py compares the SHA-256 of all records."""
    for path in sorted(gmd.rglob("*.mid"))[::10]:
        assert assert_read_alike(path.read_bytes(), str(path))


@pytest.mark.filterwarnings("ignore")
def test_odd_and_damaged_files_are_read_as_by_note_seq(gmd: Path) -> None:
    fills = sorted(gmd.glob("drummer1/session1/*_fill_4-4.mid"))[:60]
    files: dict[str, bytes] = {
        **{f"odd {i}": an_odd_beat(i) for i in range(200)},
        **{f"band {i}": a_band(i) for i in range(20)},
        **{f"fill {i}": damaged_performance(fill.read_bytes(), i) for i, fill in enumerate(fills)},
        **{f"mutant {i}": damaged(i) for i in range(200)},
        "noise": random.Random(0).randbytes(3000),
    }
    read = [assert_read_alike(data, name) for name, data in files.items() if _is_small(data)]
    assert len(read) > 470
    assert 200 < sum(read) < len(read) - 20, "some are whole, some are damaged"


def _is_small(midi: bytes) -> bool:
    try:
        read_midi(midi)
    except TooMuch:
        return False
    except Exception:
        return True
    return True


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
    midi = b"MThd\0\0\0\6\0\1\0\1\x01\xe0MTrk" + len(events).to_bytes(4, "big") + events
    assert assert_read_alike(midi, "all")
    sequence = read_midi(midi)
    fields = {field.name for field, _ in sequence.ListFields()}
    assert fields >= {"key_signatures", "time_signatures", "pitch_bends", "control_changes"}
    assert [tempo.qpm for tempo in sequence.tempos] == [120, 60]
    assert {note.is_drum for note in sequence.notes} == {True, False}


@pytest.mark.parametrize("delta", [b"\x81\0", b"\x80\x80\x80\x80\x83\x60", b"\x83\xff\x7f"])
def test_delta_times_are_read_as_by_note_seq(delta: bytes) -> None:
    assert assert_read_alike(_one_hit(delta), "hit")
    assert len(read_midi(_one_hit(delta)).notes) == 1


@pytest.mark.parametrize("content", [b"", b"no MIDI", _one_hit(b"\1")[:-9], b"MThd\0\0\0\6" * 9])
def test_errors_have_the_messages_of_note_seq(content: bytes) -> None:
    assert not assert_read_alike(content, "broken")


def test_huge_meter_denominator_is_an_error_as_for_note_seq() -> None:
    meter = b"\0\xff\x58\4\4\x40\x18\x08\0\xff\x2f\0"
    midi = b"MThd\0\0\0\6\0\0\0\1\x01\xe0MTrk" + len(meter).to_bytes(4, "big") + meter
    with pytest.raises(BrokenMidi, match="Invalid time signature denominator 1844674407370955161"):
        read_midi(midi)
    assert not assert_read_alike(midi, "meter")


def test_note_seq_still_reports_ctrl_c_as_a_broken_file(monkeypatch: pytest.MonkeyPatch) -> None:
    def press_ctrl_c(_: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(midi_reader.midifiles, "read_file_header", press_ctrl_c)
    with pytest.raises(note_seq.MIDIConversionError):
        note_seq.midi_to_note_sequence(b"")
    with pytest.raises(KeyboardInterrupt):
        read_midi(b"")


def test_note_seq_still_accepts_a_forged_time() -> None:
    midi = _one_hit(b"\x97\xec\x80\0")  # 49.9 million ticks
    assert note_seq.midi_to_note_sequence(midi).total_time > 50_000
    assert midi_reader.pretty_midi.pretty_midi.MAX_TICK > 1e9, "and would so for 7 GB"
    midi = _one_hit(b"\x98\x80\x80\0")
    with pytest.raises(TooMuch, match=r"50,331,648 ticks, over 50,000,000"):
        read_midi(midi)


def test_mido_still_reads_numbers_of_any_length() -> None:
    read, ours = midi_reader.mido_read_variable_int, midi_reader.midifiles.read_variable_int
    many = b"\xff" * 1000 + b"\1"
    assert read(io.BytesIO(many)) > 2**7000
    with pytest.raises(OSError, match="too long"):
        ours(io.BytesIO(many))
    for data in (b"\0", b"\x7f", b"\x81\0", b"\x80" * 99 + b"\5", b"\xff\xff\xff\x7f"):
        assert read(io.BytesIO(data)) == ours(io.BytesIO(data))
    for read_one in (read, ours):
        with pytest.raises(EOFError):
            read_one(io.BytesIO(b"\xff"))


def test_mido_still_checks_bytes_against_an_abstract_class() -> None:
    code = (
        "import numbers\n"
        "from mido.messages import checks\n"
        "assert (checks.Integral, checks.Real) == (numbers.Integral, numbers.Real)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
