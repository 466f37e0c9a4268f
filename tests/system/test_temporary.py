"""Without a folder for temporary files, commands that need one end in one line."""

import contextlib
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from conftest import Groovae, assert_one_line

from groovae import upstream
from groovae.errors import GroovaeError
from groovae.system.temporary import temporary_file, temporary_folder


@contextlib.contextmanager
def no_temporary_files(folder: Path) -> Iterator[None]:
    """Not a fixture: pytest captures output in temporary files."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tempfile, "tempdir", str(folder / "missing"))
        yield


@pytest.mark.parametrize("make", [temporary_file, temporary_folder])
def test_missing_folder_is_an_error_that_names_tmpdir(make: Any, tmp_path: Path) -> None:
    with no_temporary_files(tmp_path), pytest.raises(GroovaeError, match="TMPDIR"), make():
        pass


def test_sound_without_temporary_files_is_one_line(in_process: Groovae, tmp_path: Path) -> None:
    pytest.importorskip("tinysoundfont")
    with no_temporary_files(tmp_path):
        result = in_process("sample", "--wav", "--nopreview", "--out=x.mid")
    assert_one_line(result, 1, "temporary file", "TMPDIR")
    assert sorted(os.listdir(tmp_path)) == ["x.mid"]


def test_tensorflow_is_imported_without_temporary_files(
    capfd: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    with no_temporary_files(tmp_path), upstream._silence_stderr():
        os.write(2, b"TensorFlow's log")
    os.write(2, b"ours")
    assert capfd.readouterr().err == "ours"
