"""Thousands of damaged MIDI files through `groovae preprocess`: none stops it, none is lost."""

import io
import json
import os
import random
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import mido
import pytest
from music import filenames

from groovae.music.midi_writer import Note, to_midi

MUTANTS, GOOD = 2_500, 40
MAX_MEMORY_KB = 3 << 20


def a_groove(seed: int) -> bytes:
    """Type 0, as GMD's files are."""
    rng = random.Random(seed)
    hits = [Note(i / 8, i / 8 + 0.1, rng.randint(35, 59), rng.randint(1, 127)) for i in range(60)]
    return saved(to_midi(hits, tempo_qpm=rng.randint(60, 180))[0])


def a_band(seed: int) -> bytes:
    """Type 1: a tempo track, and three tracks with all sorts of events."""
    rng = random.Random(seed)
    midi = mido.MidiFile(type=1, ticks_per_beat=rng.choice([96, 220, 480]))
    tempo = mido.MetaMessage(
        "set_tempo", tempo=rng.randint(300_000, 900_000), time=rng.randint(0, 99)
    )
    meter = mido.MetaMessage("time_signature", numerator=rng.randint(1, 12), denominator=8)
    key = mido.MetaMessage("key_signature", key="F#m")
    midi.tracks.append(mido.MidiTrack([tempo, meter, key, mido.MetaMessage("text", text="Größe")]))
    for channel in (0, 9, 15):
        track = mido.MidiTrack([mido.MetaMessage("track_name", name=f"channel {channel}")])
        for _ in range(30):
            note, time = rng.randint(0, 127), rng.randint(0, 500)
            track += [
                mido.Message("note_on", channel=channel, note=note, velocity=90, time=time),
                mido.Message("control_change", channel=channel, control=4, value=note),
                mido.Message("pitchwheel", channel=channel, pitch=note, time=3),
                mido.Message("note_off", channel=channel, note=note, time=time),
            ]
        track += [mido.Message("sysex", data=[1, 2, 3]), mido.Message("program_change", program=5)]
        midi.tracks.append(track)
    return saved(midi)


def saved(midi: mido.MidiFile) -> bytes:
    file = io.BytesIO()
    midi.save(file=file)
    return file.getvalue()


# Each damages a file, and keeps it a bytearray.


def flip_bits(data: bytearray, rng: random.Random) -> None:
    for _ in range(rng.choice([1, 1, 2, 8, 64])):
        data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)


def overwrite(data: bytearray, rng: random.Random) -> None:
    at = rng.randrange(len(data))
    value = rng.choice([0x00, 0x7F, 0x80, 0xF0, 0xF7, 0xFF, rng.randrange(256)])
    data[at : at + rng.randint(1, 40)] = bytes([value]) * rng.randint(1, 40)


def cut(data: bytearray, rng: random.Random) -> None:
    del data[rng.randrange(len(data)) :]


def leave_out(data: bytearray, rng: random.Random) -> None:
    at = rng.randrange(len(data))
    del data[at : at + rng.randint(1, 60)]


def repeat(data: bytearray, rng: random.Random) -> None:
    at = rng.randrange(len(data))
    data[at:at] = data[at : at + rng.randint(1, 200)] * rng.choice([1, 2, 50])


def forge_header(data: bytearray, rng: random.Random) -> None:
    """Its length, the type, the number of tracks, the division."""
    at, size = rng.choice([(4, 4), (8, 2), (10, 2), (12, 2), (12, 2), (12, 2)])
    value = rng.choice([0, 1, 0x7FFF, 0x8000, 0xE250, 0xFFFF, rng.randrange(1 << 16)])
    data[at : at + size] = value.to_bytes(size, "big")


def forge_length(data: bytearray, rng: random.Random) -> None:
    at = data.find(b"MTrk", rng.randrange(len(data)))
    value = rng.choice([0, 1, 0xFFFFFFFF, 0x7FFFFFFF, len(data), rng.randrange(1 << 32)])
    data[at + 4 : at + 8] = value.to_bytes(4, "big")


def forge_time(data: bytearray, rng: random.Random) -> None:
    """Four bytes that are a number of up to 28 bits, wherever they land."""
    value = 1 << rng.randrange(28)
    at = rng.randrange(22, len(data))
    data[at : at + 1] = bytes([value >> 21 | 0x80, value >> 14 & 0x7F | 0x80, 0x80, 0])


def append(data: bytearray, rng: random.Random) -> None:
    data += rng.choice([b"MTrk\0\0\0\0", b"\xff" * 3000, rng.randbytes(300)])


DAMAGE: list[Callable[[bytearray, random.Random], None]] = [
    *(flip_bits, overwrite, cut, leave_out, repeat),
    *(forge_header, forge_length, forge_time, append),
]


def damaged(seed: int) -> bytes:
    rng = random.Random(seed)
    data = bytearray(rng.choice([a_groove, a_band])(seed))
    for _ in range(rng.choice([1, 1, 1, 2, 5])):
        rng.choice(DAMAGE)(data, rng)
        if len(data) < 30:
            break
    return bytes(data)


@pytest.mark.slow
def test_no_damage_stops_the_run(tmp_path: Path) -> None:
    folder = tmp_path / "fuzz"
    folder.mkdir()
    for i in range(MUTANTS):
        (folder / f"{i:04} bad.mid").write_bytes(damaged(i))
    step = MUTANTS // GOOD
    good = [f"{i * step:04} good.mid" for i in range(GOOD)]
    for i, name in enumerate(good):
        (folder / name).write_bytes((a_groove, a_band)[i % 2](10_000 + i))
    report, memory_kb = run(folder, tmp_path / "out.tfrecord")
    assert set(good) <= set(filenames(tmp_path / "out.tfrecord"))
    skipped = {skip["file"] for skip in report["skipped"]}
    assert report["files"] == report["converted"] + len(skipped) == MUTANTS + GOOD
    assert not skipped.intersection(good)
    assert len(skipped) > MUTANTS / 10, "the damage is real"
    assert "worker lost" not in report["skipped_by_reason"], report["skipped_by_reason"]
    assert report["windows"]["sequences"] == report["records"]
    assert memory_kb < MAX_MEMORY_KB


def run(folder: Path, output: Path) -> tuple[dict, int]:
    """The report, and the most memory that a process of the run had, in KiB."""
    command = [sys.executable, "-m", "groovae", "preprocess"]
    command += [str(folder), str(output), "--timeout=60"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        stderr = process.stderr.read()
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0, stderr
    assert "Traceback" not in stderr
    return json.loads(Path(f"{output}.report.json").read_text("utf-8")), usage.ru_maxrss
