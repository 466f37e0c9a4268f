"""read_events reads on over whatever is wrong with a file, lists it, and stays bounded."""

import contextlib
import random
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from damaged_midi import damaged, damaged_performance
from make_midi import END, beat, chunk, header, meta, midi, name, notes

from groovae.music.midi_complete import read_complete
from groovae.music.midi_reader import NOTE_ON, BrokenMidi, read_events

HITS = beat()
BEAT = notes(HITS) + END


def num_notes(data: bytes) -> int:
    return sum(track.count_notes(9) for track in read_events(data).tracks)


def test_events_of_a_plain_file() -> None:
    file = read_events(midi(name("Drums") + BEAT))
    assert (file.format, file.ticks_per_quarter, file.faults) == (1, 480, [])
    (track,) = file.tracks
    assert track.name == "Drums"
    events = track.events
    assert events.ticks.dtype == np.int64
    on = (events.kinds == NOTE_ON) & (events.second > 0)
    found = zip(events.ticks[on].tolist(), events.first[on].tolist(), strict=True)
    assert sorted(found) == HITS
    assert track.end_tick == HITS[-1][0] + 60


ODD_FILES = {
    "RIFF container": b"RIFF\0\0\0\0RMIDdata"
    + len(midi(BEAT)).to_bytes(4, "little")
    + midi(BEAT)
    + b"LIST\4\0\0\0INFO",
    "bytes before the header": b"garbage" + midi(BEAT),
    "too few tracks counted": midi(END, BEAT, count=1),
    "no tracks counted": midi(END, BEAT, count=0),
    "too many tracks counted": midi(BEAT, count=9),
    "an impossible format": midi(BEAT, kind=7),
    "a longer header": header(1)[:4] + b"\0\0\0\7" + header(1)[8:] + b"\0" + chunk(b"MTrk", BEAT),
    "a vendor chunk": header(1) + chunk(b"XFIH", b"abc") + chunk(b"MTrk", BEAT),
    "bytes between tracks": header(2) + chunk(b"MTrk", END) + b"\1\2\3" + chunk(b"MTrk", BEAT),
    "a length that is too long": midi(BEAT)[:18] + b"\xff\xff\xff\x7f" + BEAT,
    "a length that is too short": midi(BEAT)[:18] + b"\0\0\0\5" + BEAT,
    "no end of track": midi(BEAT[:-4]),
    "a missing last byte": midi(BEAT)[:-1],
    "a data byte over 127": midi(b"\0\xb9\4\xff" + BEAT),
    "an F7 escape": midi(b"\0\xf7\2\xf3\1" + BEAT),
    "a sysex byte over 127": midi(b"\0\xf0\3\x7e\xff\xf7" + BEAT),
    "an undefined status": midi(b"\0\xf4" + BEAT),
    "data without a status": midi(b"\0\1" + BEAT),
    "a key of 9 sharps": midi(meta(0x59, b"\x09\0") + BEAT),
    "a short meter": midi(meta(0x58, b"\4\2") + BEAT),
    "an SMPTE offset out of range": midi(meta(0x54, b"\xff\xff\xff\xff\xff") + BEAT),
    "an unknown meta event": midi(meta(0x60, b"xyz") + BEAT),
    "an empty track": header(2) + chunk(b"MTrk", b"") + chunk(b"MTrk", BEAT),
    "a system real-time message": midi(b"\0\xf8" + BEAT),
}


@pytest.mark.parametrize("case", ODD_FILES)
def test_no_hit_of_an_odd_file_is_lost(case: str) -> None:
    sequence, _ = read_complete(ODD_FILES[case])
    found = sorted((round(note.start_time * 960), note.pitch) for note in sequence.notes)
    assert found == HITS


@pytest.mark.parametrize(
    "case",
    ["RIFF container", "too few tracks counted", "a vendor chunk", "a missing last byte"],
)
def test_faults_are_listed(case: str) -> None:
    assert len(read_events(ODD_FILES[case]).faults) >= 1


@pytest.mark.parametrize(
    ("data", "word"),
    [
        (b"", "header"),
        (b"no MIDI at all", "header"),
        (header(1), "no tracks"),
        (midi(BEAT, division=0), "resolution"),
        (midi(BEAT, division=0xE250), "SMPTE"),
    ],
)
def test_file_without_music_is_refused_with_advice(data: bytes, word: str) -> None:
    with pytest.raises(BrokenMidi) as error:
        read_events(data)
    assert word in str(error.value)
    assert "export it" in str(error.value)


def test_names_are_decoded() -> None:
    names = [meta(0x03, text) + END for text in ("드럼".encode(), b"B\xfccher", b"Kit\0 ")]
    assert [track.name for track in read_events(midi(*names)).tracks] == ["드럼", "Bücher", "Kit"]
    instrument = meta(0x04, b"Standard Kit") + END
    assert read_events(midi(instrument)).tracks[0].name == "Standard Kit"


def test_any_bytes_are_read_or_refused_within_a_second(gmd: Path) -> None:
    """600 files here; scripts/fuzz_midi.py reads any number of them."""
    whole = sorted(gmd.rglob("*.mid"))[0].read_bytes()[:3000]
    rng = random.Random(1)
    for seed in range(200):
        junk = header(rng.randrange(9)) + chunk(b"MTrk", rng.randbytes(rng.randrange(400)))
        for data in (damaged(seed), damaged_performance(whole, seed), junk):
            started = time.process_time()
            with contextlib.suppress(BrokenMidi):
                read_complete(data)
            assert time.process_time() - started < 1, seed


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="needs /proc of Linux")
def test_forged_times_take_little_memory(tmp_path: Path) -> None:
    """Four tiny files that claim 49.9 million ticks each."""
    forged = notes([(0, 36), (49_900_000, 38)]) + END
    path = tmp_path / "forged.mid"
    path.write_bytes(midi(forged, forged, forged, forged))
    code = (
        "import re, sys\n"
        "from pathlib import Path\n"
        "from groovae.music.midi_complete import read_complete\n"
        "from groovae.music.midi_magenta import read_magenta\n"
        "data = Path(sys.argv[1]).read_bytes()\n"
        "assert len(read_complete(data)[0].notes) == len(read_magenta(data).notes) == 8\n"
        "status = Path('/proc/self/status').read_text()\n"
        "print(re.search(r'VmHWM:\\s+(\\d+) kB', status)[1])"
    )
    run = subprocess.run([sys.executable, "-c", code, path], capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    assert int(run.stdout) < 300 * 1024
