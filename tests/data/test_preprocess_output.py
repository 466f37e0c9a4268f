"""Tests that `groovae preprocess` replaces its outputs atomically."""

import multiprocessing
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import pytest
from conftest import ROOT, assert_one_line, file_size_limit, small_disk
from make_music import write_info, write_track

from groovae.cli.main import main
from groovae.data.preprocess import SPLITS, PreprocessOptions, convert_directory, convert_splits
from groovae.music.midi_writer import Note, write_midi
from groovae.system.atomic_files import atomic_write

Command = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A folder with one valid file of 400 notes."""
    hits = [Note(i / 4, i / 4 + 0.1, 36, 90) for i in range(400)]
    write_midi(tmp_path / "tree" / "b.mid", hits)
    return tmp_path / "tree"


@pytest.fixture
def old(tmp_path: Path) -> Path:
    """Outputs of an earlier run, which a failing run must not change."""
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "old.tfrecord").write_bytes(b"old records")
    (tmp_path / "out" / "old.tfrecord.report.json").write_bytes(b"old report")
    return tmp_path / "out" / "old.tfrecord"


def assert_untouched(old: Path) -> None:
    assert sorted(os.listdir(old.parent)) == ["old.tfrecord", "old.tfrecord.report.json"]
    assert old.read_bytes() == b"old records"
    assert Path(f"{old}.report.json").read_bytes() == b"old report"


@pytest.fixture
def command(capsys: pytest.CaptureFixture[str]) -> Command:
    """Run the command line in this process, without another import."""

    def run(*arguments: object) -> subprocess.CompletedProcess[str]:
        code = main(["preprocess", *map(str, arguments)])
        return subprocess.CompletedProcess([], code, *capsys.readouterr())

    return run


@pytest.mark.parametrize(
    ("files", "words"),
    [
        ({}, ["no music file", "0 other files"]),
        ({"readme.txt": b"", "info.csv": b""}, ["no music file", "2 other files", ".mid"]),
        ({"a.mid": b"", "b.abc": b"X:1\n[C]"}, ["none of 2 files", "a.mid", "MThd"]),
        ({"empty.abc": b""}, ["none of 1 files", "empty.abc"]),
    ],
)
def test_folder_without_music_keeps_old_output(
    old: Path, tmp_path: Path, command: Command, files: dict[str, bytes], words: list[str]
) -> None:
    (tmp_path / "in").mkdir()
    for name, content in files.items():
        (tmp_path / "in" / name).write_bytes(content)
    assert_one_line(command(tmp_path / "in", old), 1, *words)
    assert_untouched(old)


@pytest.mark.parametrize(
    ("name", "word"), [("missing", "no such folder"), ("tree/b.mid", "this is a file")]
)
def test_missing_folder_keeps_old_output(
    tree: Path, old: Path, tmp_path: Path, command: Command, name: str, word: str
) -> None:
    assert_one_line(command(tmp_path / name, old), 1, name, word)
    assert_untouched(old)


@pytest.mark.parametrize(
    ("name", "code"), [("tree/b.mid/out", 1), ("tree", 1), ("/proc/out", 2), ("x" * 300, 1)]
)
def test_unwritable_output_is_an_error(
    tree: Path, tmp_path: Path, command: Command, name: str, code: int
) -> None:
    assert_one_line(command(tree, tmp_path / name), code, "cannot write", name)
    assert os.listdir(tmp_path) == ["tree"]


def test_unwritable_report_keeps_old_output(tree: Path, old: Path, command: Command) -> None:
    Path(f"{old}.report.json").unlink()
    Path(f"{old}.report.json").mkdir()
    assert_one_line(command(tree, old), 1, "cannot write", "report.json")
    assert old.read_bytes() == b"old records"
    assert sorted(os.listdir(old.parent)) == ["old.tfrecord", "old.tfrecord.report.json"]


def write_splits(folder: Path) -> None:
    """Write an `info.csv` with the files in the three splits in turn."""
    names = sorted(str(path.relative_to(folder)) for path in folder.rglob("*.mid"))
    write_info(folder, {name: SPLITS[i % 3] for i, name in enumerate(names)})


@pytest.mark.parametrize("flags", [[], ["--shards=2"], ["--splits"]], ids=str)
def test_full_disk_keeps_old_output(
    tree: Path, tmp_path: Path, command: Command, flags: list[str]
) -> None:
    write_splits(tree)
    output = tmp_path / "out" / "x.tfrecord"
    assert command(tree, output, *flags).returncode == 0
    old = contents(output.parent)
    write_midi(tree / "c.mid", [Note(0, 1, 36, 90)])
    with file_size_limit(4000):
        result = command(tree, output, *flags)
    assert_one_line(result, 1, "cannot write", str(output.parent), "File too large")
    assert contents(output.parent) == old


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.mark.parametrize("kilobytes", [16, 40])
def test_small_disk_keeps_old_output(
    tree: Path, tmp_path: Path, command: Command, kilobytes: int
) -> None:
    """The records of one copy of the file take 17 kB."""
    with small_disk(tmp_path / "disk", f"{kilobytes}k") as disk:
        (disk / "x").write_bytes(b"old records")
        for i in range(5):
            (tree / f"{i}.mid").write_bytes((tree / "b.mid").read_bytes())
        assert_one_line(command(tree, disk / "x"), 1, "cannot write", "No space left on device")
        assert contents(disk) == {"x": b"old records"}


def test_ctrl_c_stops_and_keeps_old_output(tree: Path, old: Path) -> None:
    """Send it to all processes, as a terminal does, during a file that takes seconds."""
    write_track(tree / "a.mid", b"\x10\x99\x24\x40\x10\x99\x24\x00" * 200_000)
    with subprocess.Popen(
        [sys.executable, "-m", "groovae", "preprocess", str(tree), str(old)],
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        start_new_session=True,
    ) as process:
        while process.poll() is None and len(os.listdir(old.parent)) == 2:  # no temporary files
            time.sleep(0.05)
        time.sleep(0.3)
        os.killpg(process.pid, signal.SIGINT)
        _, stderr = process.communicate(timeout=60)
    assert_one_line(subprocess.CompletedProcess([], process.returncode, "", stderr), 130, "Ctrl-C")
    assert_untouched(old)


def run(root: Path, output: Path, kind: str, alive: Connection | None = None) -> None:
    """Convert; `alive` stays open as long as this process or one of its workers runs."""
    convert: Callable[..., Any] = convert_splits if kind == "splits" else convert_directory
    convert(
        root, output, options=PreprocessOptions(shards=3 if kind == "shards" else None, workers=2)
    )


@pytest.mark.parametrize("kind", ["one file", "shards", "splits"])
def test_kill_9_leaves_old_or_new_output(patterns: Path, tmp_path: Path, kind: str) -> None:
    """Fork each run from a process with the imports, and kill it after a random time."""
    root, output = tmp_path / "in", tmp_path / "out" / "music.tfrecord"
    shutil.copytree(patterns, root)
    write_splits(root)
    run(root, output, kind)
    started = time.monotonic()
    run(root, output, kind)
    seconds = time.monotonic() - started
    new = contents(output.parent)
    old = {name: b"old " + name.encode() for name in new}
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["groovae.data.preprocess"])
    rng, seen = random.Random(kind), []
    for i in range(4):
        for name, content in old.items():
            (output.parent / name).write_bytes(content)
        reader, writer = context.Pipe(duplex=False)
        process = context.Process(target=run, args=(root, output, kind, writer))
        process.start()
        writer.close()
        time.sleep(rng.uniform(0, 1.2 * seconds) if i else 0)
        process.kill()
        process.join()
        assert reader.poll(60), "workers are still running"
        with atomic_write(output.parent / "next"):
            pass  # completes the renames of the killed process
        (output.parent / "next").unlink()
        now = {name: (output.parent / name).read_bytes() for name in new}
        assert now in (old, new)
        seen.append(now == new)
    assert seen[0] is False, "killed at once"
    run(root, output, kind)
    assert contents(output.parent) == new, "nothing is left of the killed runs"


def test_linked_report_is_replaced_and_named_link_is_followed(tree: Path, tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    (tmp_path / "mine").write_text("mine")
    (tmp_path / "music.tfrecord").symlink_to("there/music.tfrecord")
    report = tmp_path / "music.tfrecord.report.json"
    report.symlink_to("mine")
    run(tree, tmp_path / "music.tfrecord", "one")
    assert (tmp_path / "there" / "music.tfrecord").stat().st_size > 0
    assert (tmp_path / "music.tfrecord").is_symlink()
    assert not report.is_symlink()
    assert (tmp_path / "mine").read_text() == "mine"
