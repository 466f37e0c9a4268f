"""Exit codes and messages of commands that fail: a closed pipe, a full disk, Ctrl-C, a bug."""

import importlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from conftest import Groovae, assert_one_line, ordinary_user

from groovae.cli.main import main
from groovae.music.midi_writer import Note, write_midi

# Pipes


def run_into(stdout: int, folder: Path, *call: str, **env: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "groovae", *call],
        cwd=folder,
        env={**os.environ, **env},
        stdout=stdout,
        stderr=subprocess.PIPE,
        text=True,
        check=False,
    )


@pytest.fixture
def groove(tmp_path: Path) -> Path:
    """The folder of groove.mid."""
    write_midi(tmp_path / "groove.mid", [Note(0, 0.1, 36, 100)], length_seconds=8)
    return tmp_path


INFO = "info groove.mid"


@pytest.mark.parametrize("unbuffered", ["", "1"])
@pytest.mark.parametrize("call", [INFO, f"{INFO} --json", "train --help", "--help"])
def test_a_closed_pipe_is_exit_code_141(groove: Path, call: str, unbuffered: str) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    result = run_into(writer, groove, *call.split(), PYTHONUNBUFFERED=unbuffered)
    os.close(writer)
    assert (result.returncode, result.stderr) == (141, "")


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="there is no /dev/full")
@pytest.mark.parametrize("call", [INFO, "--help"])
def test_stdout_on_a_full_disk_is_one_line(groove: Path, call: str) -> None:
    with open("/dev/full", "w") as full:
        result = run_into(full.fileno(), groove, *call.split())
    assert_one_line(result, 1, "No space left on device")
    assert len(result.stderr.splitlines()) == 1


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="there is no /dev/full")
def test_stderr_on_a_full_disk_does_not_stop_the_command(tmp_path: Path) -> None:
    (tmp_path / "midi").mkdir()
    write_midi(tmp_path / "midi" / "groove.mid", [Note(0, 0.1, 36, 100)], length_seconds=8)
    (tmp_path / "midi" / "broken.mid").write_bytes(b"MThd")
    command = [sys.executable, "-m", "groovae", "preprocess", "midi", "out/music.tfrecord"]
    with open("/dev/full", "w") as full:
        result = subprocess.run(command, cwd=tmp_path, stderr=full, check=False)
        failed = subprocess.run([*command[:3], "no-such"], cwd=tmp_path, stderr=full, check=False)
    assert (result.returncode, failed.returncode) == (0, 2)
    assert (tmp_path / "out" / "music.tfrecord").stat().st_size


@pytest.mark.parametrize("closed", ["2>&-", "<&- >&- 2>&-"])
def test_closed_streams_do_not_spoil_the_output(tmp_path: Path, closed: str) -> None:
    (tmp_path / "midi").mkdir()
    write_midi(tmp_path / "midi" / "groove.mid", [Note(0, 0.1, 36, 100)], length_seconds=8)
    (tmp_path / "midi" / "broken.mid").write_bytes(b"MThd")
    command = f'"{sys.executable}" -m groovae preprocess midi out/music.tfrecord --workers=1'
    shell = ["sh", "-c", f"{command} {closed}"]
    result = subprocess.run(shell, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (result.returncode, result.stdout) == (0, "")
    assert (tmp_path / "out" / "music.tfrecord").stat().st_size


# Ctrl-C


def is_importing(process: subprocess.Popen[str], _: Path) -> bool:
    return "numpy" in Path(f"/proc/{process.pid}/maps").read_text()


def is_working(_: subprocess.Popen[str], out: Path) -> bool:
    return any(path.stat().st_size for path in out.glob(".music.tfrecord.*"))


@pytest.fixture
def slow_folder(tmp_path: Path) -> Path:
    """A folder of MIDI files that take `groovae preprocess` longer than the test waits."""
    folder = tmp_path / "midi"
    folder.mkdir()
    write_midi(folder / "0.mid", [Note(i / 8, i / 8 + 0.1, 42, 80) for i in range(2000)])
    for i in range(1, 300):
        shutil.copy(folder / "0.mid", folder / f"{i}.mid")
    return folder


# Tests that run in the background ignore Ctrl-C, and so would their child processes.
IN_FOREGROUND = """
import signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)
from groovae.cli.main import main
sys.exit(main())
"""


@pytest.mark.skipif(not os.path.exists("/proc/self/maps"), reason="there is no /proc")
@pytest.mark.parametrize("is_time", [is_importing, is_working])
def test_ctrl_c_is_one_line_and_leaves_no_file(
    slow_folder: Path, tmp_path: Path, is_time: Callable[[Any, Path], bool]
) -> None:
    out = tmp_path / "out"
    with subprocess.Popen(
        [sys.executable, "-c", IN_FOREGROUND, "preprocess", slow_folder, out / "music.tfrecord"],
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as process:
        while process.poll() is None and not is_time(process, out):
            time.sleep(0.01)
        os.killpg(process.pid, signal.SIGINT)  # a terminal sends it to all processes of a command
        _, stderr = process.communicate(timeout=120)
    assert process.returncode == 130, stderr
    assert stderr.strip() == "groovae preprocess: stopped by Ctrl-C"
    assert not out.exists() or os.listdir(out) == []


# Errors


@pytest.fixture
def broken_info(monkeypatch: pytest.MonkeyPatch) -> None:
    """Give `groovae info` a bug, and undo --debug at the end."""

    def run(values: Any, positional: list[str]) -> None:
        raise RuntimeError("a bug\nin two lines")

    monkeypatch.setattr(importlib.import_module("groovae.cli.commands.info"), "run", run)
    monkeypatch.setenv("GROOVAE_DEBUG", "0")


@pytest.mark.usefixtures("broken_info")
def test_an_unexpected_error_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["info", "debug"]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("groovae info: unexpected RuntimeError: a bug in two lines")
    assert "--debug" in line


@pytest.mark.usefixtures("broken_info")
@pytest.mark.parametrize("flag", ["--debug", "--debug=true", "-debug"])
def test_debug_shows_the_traceback(capsys: pytest.CaptureFixture[str], flag: str) -> None:
    assert main(["info", ".", flag]) == 1
    stderr = capsys.readouterr().err
    assert stderr.startswith("Traceback")
    assert "in two lines" in stderr


def test_debug_shows_the_traceback_of_an_expected_error_too(groovae: Groovae) -> None:
    result = groovae("info", "missing", "--debug")
    assert result.returncode == 1
    assert result.stderr.startswith("Traceback")
    assert result.stderr.splitlines()[-1].startswith("groovae info: missing/info.csv: ")


# Surroundings


def test_removed_working_directory_is_one_line(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "gone").mkdir()
    monkeypatch.chdir(tmp_path / "gone")
    (tmp_path / "gone").rmdir()
    assert main(["preprocess", ".", "music.tfrecord"]) == 1
    expected = "groovae preprocess: the working directory: No such file or directory; it may have"
    assert capsys.readouterr().err.startswith(expected)
    assert main(["--version"]) == 0


@pytest.mark.parametrize("call", ["info {}", "info {}/x.mid"])
def test_unreadable_folder_is_one_line(call: str, capsys: pytest.CaptureFixture[str]) -> None:
    main(call.format("missing").split())  # imports what an ordinary user may not read
    capsys.readouterr()
    with ordinary_user(), tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0)
        assert main(call.format(folder).split()) == 1
        os.chmod(folder, 0o700)
    (line,) = capsys.readouterr().err.splitlines()
    assert f" {folder}" in line
    assert "Permission denied" in line
    assert "unexpected" not in line


@pytest.mark.parametrize(
    "call",
    ["train --train_dir=", "demo --dir=", "sample --drum_map=", "preprocess,,a.tfrecord", "serve,"],
)
def test_empty_name_is_a_usage_error(
    call: str, capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(call.split("," if "," in call else " ")) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "is empty" in line
    assert not os.listdir(tmp_path)


def test_lack_of_memory_is_one_line(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def fail(*_: object) -> bytes:
        raise MemoryError

    (tmp_path / "a.mid").touch()
    monkeypatch.setattr("groovae.system.regular_files.read_regular", fail)
    assert main(["info", str(tmp_path / "a.mid")]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert "not enough memory" in line
    assert "unexpected" not in line


def test_path_in_an_unknown_home_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["sample", "--out=~nobody-of-this-name/x.mid"]) == 1
    assert "there is no home folder" in capsys.readouterr().err
