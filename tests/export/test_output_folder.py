"""An export replaces an earlier one as a whole or not at all, even if the process is killed."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from groovae.errors import GroovaeError
from groovae.export import output_folder
from groovae.export.output_folder import replace_export

# Exports to argv[1], and is killed instead of the rename after the first argv[2] ones.
KILLED_EXPORT = """
import os, signal, sys
from pathlib import Path
from groovae.export.output_folder import replace_export
renames_left, replace = int(sys.argv[2]), os.replace
def rename(source, target):
    global renames_left
    renames_left -= 1
    if renames_left < 0:
        os.kill(os.getpid(), signal.SIGKILL)
    replace(source, target)
os.replace = rename
with replace_export(sys.argv[1], lambda folder: (folder / "model").exists()) as folder:
    (folder / "model").write_text("new")
    if not renames_left:
        rename("x", "y")
"""


def is_replaceable(folder: Path) -> bool:
    return (folder / "model").exists()


def export(out: Path, text: str, then: Callable[[], object] = lambda: None) -> None:
    with replace_export(out, is_replaceable) as folder:
        (folder / "model").write_text(text)
        then()


def fail() -> None:
    raise GroovaeError("it failed")


@pytest.mark.parametrize("renames", [0, 1])  # killed while writing, and between the two renames
def test_killed_export_is_restored_by_the_next(tmp_path: Path, renames: int) -> None:
    out = tmp_path / "out"
    export(out, "old")
    result = subprocess.run([sys.executable, "-c", KILLED_EXPORT, out, str(renames)], check=False)
    assert result.returncode == -signal.SIGKILL
    assert out.exists() == (renames != 1)
    with pytest.raises(GroovaeError, match="it failed"):
        export(out, "new", fail)
    assert (out / "model").read_text() == "old"
    assert os.listdir(tmp_path) == ["out"]
    export(out, "newer")
    assert (out / "model").read_text() == "newer"
    assert os.listdir(tmp_path) == ["out"]


def test_abandoned_backup_is_removed(tmp_path: Path) -> None:
    backup = tmp_path / ".out.groovae-old"
    for text in ("first", "second"):
        backup.mkdir()
        (backup / "part of a model").touch()
        export(tmp_path / "out", text)
        assert (tmp_path / "out" / "model").read_text() == text
        assert os.listdir(tmp_path) == ["out"]


def test_earlier_export_is_restored_if_the_new_one_cannot_be_moved(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out, replace = tmp_path / "out", os.replace
    export(out, "old")

    def rename(source: Path | str, target: Path) -> None:
        if str(source).endswith(".tmp"):
            raise OSError(28, "No space left on device")
        replace(source, target)

    monkeypatch.setattr(output_folder.os, "replace", rename)
    with pytest.raises(GroovaeError, match=r"out: No space left on device"):
        export(out, "new")
    assert (out / "model").read_text() == "old"
    assert os.listdir(tmp_path) == ["out"]


def test_folder_created_during_the_export_is_kept(tmp_path: Path) -> None:
    out = tmp_path / "out"

    def create_folder() -> None:
        out.mkdir()
        (out / "thesis.txt").touch()

    with pytest.raises(GroovaeError, match="not from an export"):
        export(out, "new", create_folder)
    assert os.listdir(out) == ["thesis.txt"]
    assert os.listdir(tmp_path) == ["out"]


def test_current_directory_is_not_replaced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(GroovaeError, match="current directory"):
        export(Path("."), "new")


def test_file_in_place_of_the_folder_is_kept(tmp_path: Path) -> None:
    (tmp_path / "out").write_text("a file")
    with pytest.raises(GroovaeError, match="is not a folder"):
        export(tmp_path / "out", "new")
    assert (tmp_path / "out").read_text() == "a file"
