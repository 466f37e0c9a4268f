"""Fuzz test of `groovae preprocess` with hundreds of damaged MIDI files."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from damaged_midi import a_band, a_groove, damaged
from make_music import filenames

MUTANTS, GOOD = 150, 15
MAX_MEMORY_KB = 3 << 20


@pytest.mark.slow
def test_damaged_files_are_skipped_and_reported(tmp_path: Path) -> None:
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
    assert len(skipped) > MUTANTS / 10, "most files are not damaged"
    assert "worker lost" not in report["skipped_by_reason"], report["skipped_by_reason"]
    assert report["windows"]["sequences"] == report["records"]
    assert memory_kb < MAX_MEMORY_KB


def run(folder: Path, output: Path) -> tuple[dict, int]:
    """Return the report, and the peak memory of the main process in KiB."""
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
