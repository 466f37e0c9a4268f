"""Run `groovae reconstruct` on 80 good, odd and damaged files: each is played or skipped."""

import json
import os
import random
import subprocess
import sys
from pathlib import Path
from typing import Any

import mido
import pytest
from damaged_midi import a_band, a_groove, an_odd_beat, damaged, damaged_performance, saved
from make_music import write_track

from groovae.generation.bundled import FOLDER
from groovae.music.midi_writer import Note, to_midi

FILES = 80
MAX_MEMORY_KB = 1_500_000


def with_hits(hits: int, seconds: float, tempo_qpm: float = 120.0) -> bytes:
    """Return a MIDI file with a number of hits, evenly spaced."""
    step = seconds / hits
    notes = [Note(i * step, i * step + 0.01, 35 + i % 25, 1 + i % 127) for i in range(hits)]
    return saved(to_midi(notes, tempo_qpm)[0])


def with_tempo(microseconds: int) -> bytes:
    midi = mido.MidiFile(type=0, ticks_per_beat=480)
    tempo = mido.MetaMessage("set_tempo", tempo=microseconds)
    notes = [
        mido.Message(kind, channel=9, note=36 + i % 9, velocity=80, time=60)
        for i in range(32)
        for kind in ("note_on", "note_off")
    ]
    midi.tracks.append(mido.MidiTrack([tempo, *notes]))
    return saved(midi)


def write_files(folder: Path, gmd: Path) -> set[str]:
    """Write FILES files to a folder; return the names of the playable ones."""
    good = {f"good {i:02}.mid": a_groove(i) for i in range(8)}
    good["many hits.mid"] = with_hits(10_000, 300.0)
    good["an hour.mid"] = with_hits(400, 3600.0)
    good["fast.mid"] = with_hits(100, 10.0, tempo_qpm=990.0)
    bad = {
        **{f"tempo {tempo}.mid": with_tempo(tempo) for tempo in (0, 1, 50_000, 0xFFFFFF)},
        "empty.mid": b"",
        "zeros.mid": bytes(3000),
        "noise.mid": random.Random(0).randbytes(3000),
        "four hours.mid": with_hits(100, 14_400.0),
    }
    fills = sorted(gmd.glob("drummer1/session1/*_fill_4-4.mid"))[:7]
    for i, fill in enumerate(fills):
        bad[f"fill {i:02}.mid"] = damaged_performance(fill.read_bytes(), i)
    bands = {f"band {i:02}.mid": a_band(i) for i in range(5)}
    odd = {f"odd {i:03}.mid": an_odd_beat(i) for i in range(17)}
    files = {**good, **bad, **bands, **odd}
    files |= {f"mutant {i:03}.mid": damaged(i) for i in range(FILES - len(files) - 1)}
    folder.mkdir()
    for name, data in files.items():
        (folder / name).write_bytes(data)
    write_track(folder / "three four.mid", b"\0\xff\x58\x04\x03\x02\x18\x08\0\x99\x24\x50")
    return set(good)


def run(folder: Path, out: Path, checkpoint: Path) -> tuple[str, dict[str, Any], int]:
    """Return the log, the report and the peak memory in KiB of a run."""
    command = [sys.executable, "-m", "groovae", "reconstruct", str(folder)]
    command += [f"--out={out}", f"--checkpoint={checkpoint}", "--seed=1", "--temperature=0.5"]
    with subprocess.Popen(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stderr is not None
        stderr = process.stderr.read()
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0, stderr[-2000:]
    return stderr, json.loads((out / "reconstruct.report.json").read_text("utf-8")), usage.ru_maxrss


@pytest.mark.slow
def test_damaged_files_are_skipped(gmd: Path, tmp_path: Path) -> None:
    good = write_files(tmp_path / "in", gmd)
    stderr, report, memory_kb = run(tmp_path / "in", tmp_path / "out", FOLDER)
    assert "Traceback" not in stderr
    assert "unexpected" not in stderr
    played = {Path(take["source"]).name for take in report["takes"]}
    skipped = {Path(skip["source"]).name for skip in report["skipped"]}
    assert len(played) + len(skipped) == len(played | skipped) == FILES
    assert good <= played, good - played
    assert len(played) > FILES / 4
    assert len(skipped) > FILES / 8
    logged = [line for line in stderr.splitlines() if line.startswith("skipped: ")]
    assert len(logged) == len(skipped)
    assert f"{len(played)} of {FILES} files" in stderr.splitlines()[-1]
    outputs = [output for take in report["takes"] for output in take["outputs"]]
    assert {path.name for path in (tmp_path / "out").iterdir()} == {
        "reconstruct.report.json",
        *played,
    }
    for output in outputs:
        midi = mido.MidiFile(output["file"])
        starts = [m for m in midi.tracks[0] if m.type == "note_on" and m.velocity]
        assert len(starts) == output["hits"]
    assert memory_kb < MAX_MEMORY_KB
