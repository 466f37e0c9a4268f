"""The output of `groovae preprocess`: the old one whole or the new one whole, come what may."""

import _thread
import gc
import multiprocessing
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from conftest import assert_one_line

from groovae.cli import main
from groovae.midi import Note, write_midi
from groovae.patterns import write_dataset
from groovae.preprocess import convert_directory

Command = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A folder of one good file, of 400 notes."""
    hits = [Note(i / 4, i / 4 + 0.1, 36, 90) for i in range(400)]
    write_midi(tmp_path / "tree" / "b.mid", hits)
    return tmp_path / "tree"


@pytest.fixture
def old(tmp_path: Path) -> Path:
    """An output of an earlier run, which a run that fails must leave alone."""
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
    """Runs the command line in this process, which spares the imports."""

    def run(*arguments: object) -> subprocess.CompletedProcess[str]:
        code = main(["preprocess", *map(str, arguments)])
        return subprocess.CompletedProcess([], code, *capsys.readouterr())

    return run


@pytest.fixture
def no_gc() -> Iterator[None]:
    """An interrupt that meets a callback of the garbage collector is lost."""
    gc.disable()
    yield
    gc.enable()


@pytest.mark.parametrize(
    ("files", "words"),
    [
        ({}, ["no music file", "0 other files"]),
        ({"readme.txt": b"", "info.csv": b""}, ["no music file", "2 other files", ".mid"]),
        ({"a.mid": b"", "b.abc": b"X:1\n[C]"}, ["none of 2 files", "a.mid", "EOFError"]),
        ({"empty.abc": b""}, ["none of 1 files", "empty.abc"]),
    ],
)
def test_a_folder_without_music_keeps_the_old_output(
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
def test_no_folder_keeps_the_old_output(
    tree: Path, old: Path, tmp_path: Path, command: Command, name: str, word: str
) -> None:
    assert_one_line(command(tmp_path / name, old), 1, name, word)
    assert_untouched(old)


@pytest.mark.parametrize("name", ["tree/b.mid/out", "tree", "/proc/out", "x" * 300])
def test_an_output_that_cannot_be_written(
    tree: Path, tmp_path: Path, command: Command, name: str
) -> None:
    assert_one_line(command(tree, tmp_path / name), 1, "cannot write", name)
    assert os.listdir(tmp_path) == ["tree"]


def test_a_report_that_cannot_be_written_keeps_the_old_output(
    tree: Path, old: Path, command: Command
) -> None:
    Path(f"{old}.report.json").unlink()
    Path(f"{old}.report.json").mkdir()
    assert_one_line(command(tree, old), 1, "cannot write", "report.json")
    assert old.read_bytes() == b"old records"
    assert sorted(os.listdir(old.parent)) == ["old.tfrecord", "old.tfrecord.report.json"]


def test_a_full_disk_keeps_the_old_output(tree: Path, old: Path) -> None:
    code = (
        "import resource, sys; from groovae.cli import main; import groovae.preprocess; "
        "resource.setrlimit(resource.RLIMIT_FSIZE, (4000, 4000)); sys.exit(main(sys.argv[1:]))"
    )
    arguments = [sys.executable, "-c", code, "preprocess", str(tree), str(old)]
    result = subprocess.run(arguments, capture_output=True, text=True, timeout=300, check=False)
    assert_one_line(result, 1, "cannot write", "old.tfrecord", "File too large")
    assert_untouched(old)


def test_ctrl_c_stops_the_run(tree: Path, old: Path, command: Command, no_gc: None) -> None:
    """note_seq would take it for a broken file and go on with the next."""
    track = b"\x10\x99\x24\x40\x10\x99\x24\x00" * 200_000 + b"\0\xff\x2f\0"
    header = b"MThd\0\0\0\6\0\0\0\1\x01\xe0MTrk"
    (tree / "a.mid").write_bytes(header + len(track).to_bytes(4, "big") + track)
    threading.Timer(0.3, _thread.interrupt_main).start()
    assert_one_line(command(tree, old), 130, "Ctrl-C")
    assert_untouched(old)


def test_kill_9_leaves_the_old_output_or_the_new_one(tmp_path: Path) -> None:
    """Each run is forked from a process that holds the imports, and killed a moment later."""
    for seed in range(3):
        write_dataset(tmp_path / "in" / str(seed), seed=seed)
    output = tmp_path / "out" / "music.tfrecord"
    started = time.monotonic()
    convert_directory(tmp_path / "in", output)
    seconds = time.monotonic() - started
    new, states = output.read_bytes(), []
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["groovae.preprocess"])
    for i in range(7):
        output.write_bytes(b"old")
        before = set(os.listdir(output.parent))
        process = context.Process(target=convert_directory, args=(tmp_path / "in", output))
        process.start()
        while set(os.listdir(output.parent)) == before and process.is_alive():
            time.sleep(0.001)
        time.sleep(seconds * i / 5)
        process.kill()
        process.join()
        states.append(output.read_bytes())
    assert states[0] == b"old"
    assert set(states) <= {b"old", new}
    convert_directory(tmp_path / "in", output)
    assert output.read_bytes() == new
