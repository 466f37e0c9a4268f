"""Without a folder for temporary files, commands that need one end in one line."""

import os
import tempfile
from pathlib import Path

import pytest
from conftest import Groovae, assert_one_line

from groovae import upstream
from groovae.errors import GroovaeError
from groovae.system.temporary import temporary_file, temporary_folder


@pytest.fixture(autouse=True)
def no_temporary_files(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "missing"))


def test_missing_folder_is_an_error_that_names_tmpdir() -> None:
    for make in (temporary_file, temporary_folder):
        with pytest.raises(GroovaeError, match="TMPDIR"), make():
            pass


def test_sound_without_temporary_files_is_one_line(in_process: Groovae, tmp_path: Path) -> None:
    pytest.importorskip("tinysoundfont")
    result = in_process("sample", "--wav", "--nopreview", "--out=x.mid")
    assert_one_line(result, 1, "temporary file", "TMPDIR")
    assert sorted(os.listdir(tmp_path)) == ["x.mid"]


def test_tensorflow_is_imported_without_temporary_files(capfd: pytest.CaptureFixture[str]) -> None:
    with upstream._silence_stderr():
        os.write(2, b"TensorFlow's log")
    os.write(2, b"ours")
    assert capfd.readouterr().err == "ours"
