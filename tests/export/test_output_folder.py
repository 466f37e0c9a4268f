"""An export takes the place of an earlier one whole, or leaves it, even after a kill -9."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from groovae.errors import GroovaeError
from groovae.export import output_folder
from groovae.export.output_folder import replacing_export

# Killed in place of a rename, once it has done so many.
KILLED = """
import os, signal, sys
from pathlib import Path
from groovae.export.output_folder import replacing_export
left, replace = int(sys.argv[2]), os.replace
def rename(source, target):
    global left
    left -= 1
    if left < 0:
        os.kill(os.getpid(), signal.SIGKILL)
    replace(source, target)
os.replace = rename
with replacing_export(sys.argv[1], lambda folder: (folder / "model").exists()) as folder:
    (folder / "model").write_text("new")
    if not left:
        rename("x", "y")
"""


def is_replaceable(folder: Path) -> bool:
    return (folder / "model").exists()


def write(out: Path, text: str, then: Callable[[], object] = lambda: None) -> None:
    with replacing_export(out, is_replaceable) as folder:
        (folder / "model").write_text(text)
        then()


def fail() -> None:
    raise GroovaeError("it failed")


# While it writes, and between the two renames.
@pytest.mark.parametrize("renames", [0, 1])
def test_after_a_kill_the_next_export_finds_the_earlier_one(tmp_path: Path, renames: int) -> None:
    out = tmp_path / "out"
    write(out, "old")
    result = subprocess.run([sys.executable, "-c", KILLED, out, str(renames)], check=False)
    assert result.returncode == -signal.SIGKILL
    assert out.exists() == (renames != 1)
    with pytest.raises(GroovaeError, match="it failed"):
        write(out, "new", fail)
    assert (out / "model").read_text() == "old"
    assert os.listdir(tmp_path) == ["out"]
    write(out, "newer")
    assert (out / "model").read_text() == "newer"
    assert os.listdir(tmp_path) == ["out"]


def test_what_a_kill_has_left_aside_goes(tmp_path: Path) -> None:
    aside = tmp_path / ".out.groovae-old"
    for text in ("first", "second"):
        aside.mkdir()
        (aside / "half of a model").touch()
        write(tmp_path / "out", text)
        assert (tmp_path / "out" / "model").read_text() == text
        assert os.listdir(tmp_path) == ["out"]


def test_an_earlier_export_comes_back_where_the_new_one_cannot_take_its_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out, replace = tmp_path / "out", os.replace
    write(out, "old")

    def rename(source: Path | str, target: Path) -> None:
        if str(source).endswith(".tmp"):
            raise OSError(28, "No space left on device")
        replace(source, target)

    monkeypatch.setattr(output_folder.os, "replace", rename)
    with pytest.raises(GroovaeError, match=r"cannot write .*out: No space left on device"):
        write(out, "new")
    assert (out / "model").read_text() == "old"
    assert os.listdir(tmp_path) == ["out"]


def test_what_is_put_there_meanwhile_stays(tmp_path: Path) -> None:
    out = tmp_path / "out"

    def put_there() -> None:
        out.mkdir()
        (out / "thesis.txt").touch()

    with pytest.raises(GroovaeError, match="holds something else"):
        write(out, "new", put_there)
    assert os.listdir(out) == ["thesis.txt"]
    assert os.listdir(tmp_path) == ["out"]


def test_the_current_folder_is_not_replaced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(GroovaeError, match="while one stands in it"):
        write(Path("."), "new")
