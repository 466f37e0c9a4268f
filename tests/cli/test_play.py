"""groovae play: the drums of files are played in order by the machine's player."""

import os
import shutil
import wave
from pathlib import Path

import pytest
from conftest import Groovae, assert_one_line
from make_music import write_track

from groovae.music.midi_writer import Note, write_midi

pytest.importorskip("tinysoundfont")


@pytest.fixture
def played(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder in which a player leaves the sounds it got, as 1.wav, 2.wav, ..."""
    folder, programs = tmp_path / "played", tmp_path / "bin"
    folder.mkdir()
    programs.mkdir()
    next_free = f"i=1; while [ -e {folder}/$i.wav ]; do i=$((i + 1)); done"
    (programs / "afplay").write_text(f'#!/bin/sh\n{next_free}; /bin/cp "$1" {folder}/$i.wav\n')
    (programs / "afplay").chmod(0o755)
    monkeypatch.setenv("PATH", str(programs))
    return folder


def seconds_of(played: Path) -> list[int]:
    """Return the lengths of the sounds in order, without the second in which the last hit rings."""
    lengths = []
    for path in sorted(played.iterdir()):
        with wave.open(str(path)) as file:
            lengths.append(round(file.getnframes() / file.getframerate()) - 1)
    return lengths


def write_hits(path: str, seconds: float) -> None:
    Path(path).parent.mkdir(exist_ok=True)
    write_midi(path, [Note(0.0, 0.1, 36, 90)], length_seconds=seconds)


def test_files_and_folders_are_played_in_order(in_process: Groovae, played: Path) -> None:
    write_hits("long.mid", 4.0)
    write_hits("in/b.mid", 2.0)
    write_hits("in/a.mid", 6.0)
    result = in_process("play", "long.mid", "in", "long.mid")
    assert result.returncode == 0, result.stderr
    assert seconds_of(played) == [4, 6, 2, 4]
    assert "in/a.mid: 1 hits, 6.0 s" in result.stderr
    assert result.stdout == ""


def test_a_file_without_drums_is_skipped(in_process: Groovae, played: Path) -> None:
    write_hits("in/b.mid", 2.0)
    write_track(Path("in/piano.mid"), b"\x00\x90\x24\x50\x83\x60\x80\x24\x00")
    result = in_process("play", "in")
    assert (result.returncode, seconds_of(played)) == (1, [2])
    assert_one_line(in_process("play", "in/piano.mid"), 1, "in/piano.mid: no drum notes", "--drums")


def test_errors(in_process: Groovae, played: Path) -> None:
    write_hits("a.mid", 2.0)
    for arguments, code, words in (
        ([], 2, "FILE.mid missing"),
        (["a.mid", "none.mid"], 1, "none.mid: no such file"),
        (["a.mid", "--soundfont=none.sf2"], 1, "none.sf2"),
        (["a.mid", "--drum_map=none.json"], 2, "none.json"),
    ):
        assert_one_line(in_process("play", *arguments), code, words)
    assert os.listdir(played) == []
    shutil.rmtree(os.environ["PATH"])
    assert_one_line(in_process("play", "a.mid"), 1, "no player found")
