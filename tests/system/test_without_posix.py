"""Playing and preprocessing work without the modules and functions that Windows does not have."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import a_groove

from groovae.data.preprocess import convert_directory
from groovae.music.midi_writer import write_sequence

HIDE_POSIX = """
import os, sys
for name in ("fcntl", "resource", "pwd", "grp", "termios"):
    sys.modules[name] = None  # an import now raises ModuleNotFoundError
del os.fork, os.forkpty
"""
RUN_COMMANDS = """
import json
from groovae.cli.main import main
calls = json.loads(sys.argv[1])
codes = [main(call) for call in calls]
assert codes == [0] * len(calls), codes
"""

# These commands use the bundled model, the others an export for their task.
BUNDLED = {
    "sample": ["--num_outputs=2"],
    "reconstruct": ["beat.mid"],
    "interpolate": ["beat.mid", "other.mid", "--num_steps=2"],
    "vary": ["beat.mid", "--num_outputs=2"],
}
EXPORTED = {
    "humanize": ["beat.mid"],
    "tap2drum": ["beat.mid"],
    "add_hihat": ["beat.mid"],
    "transfer": ["--groove=beat.mid", "--beat=other.mid"],
}


def run_commands(*calls: list[str]) -> None:
    result = subprocess.run(
        [sys.executable, "-c", HIDE_POSIX + RUN_COMMANDS, json.dumps(calls)],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert result.returncode == 0, result.stderr


@pytest.fixture
def beats(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of two beats, which is the current one."""
    write_sequence(tmp_path / "beat.mid", a_groove(bars=4))
    write_sequence(tmp_path / "other.mid", a_groove(bars=4, velocity=77))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_commands_play_the_bundled_model(beats: Path) -> None:
    flags = ["--out=out/x.mid", "--png"]
    run_commands(*([name, *arguments, *flags] for name, arguments in BUNDLED.items()))
    assert (beats / "out" / "x-01.mid").is_file()
    assert (beats / "out" / "x-01.png").is_file()


@pytest.mark.slow
def test_commands_play_exported_models(exported: Callable[[str], Path], beats: Path) -> None:
    run_commands(
        *(
            [name, *arguments, f"--checkpoint={exported(name)}", f"--out=out/{name}.mid"]
            for name, arguments in EXPORTED.items()
        )
    )
    assert {path.stem for path in (beats / "out").iterdir()} == {*EXPORTED}


def test_preprocess_converts_in_its_own_process(beats: Path) -> None:
    convert_directory(beats, beats / "expected.tfrecord")
    run_commands(["preprocess", ".", "found.tfrecord", "--workers=1"])
    assert (beats / "found.tfrecord").read_bytes() == (beats / "expected.tfrecord").read_bytes()
