"""What the commands write to stdout and stderr: unprintable text, and streams that fail."""

import io
import sys
from pathlib import Path

import pytest

from groovae.cli.main import main
from groovae.cli.output import log
from groovae.generation.loading import load_model
from groovae.music.midi_writer import Note, write_midi
from groovae.system.log import escape_controls


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a\x1b]0;title\x07b", r"a\x1b]0;title\x07b"),
        ("\x7f\x9b31m\r", r"\x7f\x9b31m\r"),
        ("gnp.\u202edim", r"gnp.\u202edim"),
        ("\udcff", r"\udcff"),
        (
            "a\tb\nc \u9f13 \ub4dc\ub7fc \U0001f941 \u3000\\",
            "a\tb\nc \u9f13 \ub4dc\ub7fc \U0001f941 \u3000\\",
        ),
    ],
)
def test_control_characters_are_shown_as_escapes(
    capsys: pytest.CaptureFixture[str], text: str, shown: str
) -> None:
    assert escape_controls(text) == shown
    log(text)
    assert capsys.readouterr().err == f"{shown}\n"


def test_names_of_files_do_not_reach_the_terminal_raw(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    path = tmp_path / "a\x1b[31m.mid"
    assert main(["info", str(path)]) == 1
    write_midi(path, [Note(0, 0.1, 36, 100)])
    assert main(["info", str(path)]) == 0
    out, err = capsys.readouterr()
    assert main(["vary", str(path), f"--out={path}-vary", "--nopreview"]) == 0
    vary_out, vary_err = capsys.readouterr()
    out, err = out + vary_out, err + vary_err
    assert r"a\x1b[31m.mid-vary.mid" in vary_out
    assert r"a\x1b[31m.mid" in out
    assert r"a\x1b[31m.mid" in err
    assert "\x1b" not in out + err


def test_default_log_of_a_model_escapes_names(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    path = tmp_path / "a\x1b[31m.mid"
    write_midi(path, [Note(0, 0.1, 36, 100)], length_seconds=8)
    model = load_model(seed=1)
    model.reconstruct(path)
    model.log("a\x1b[31m")
    assert r"a\x1b[31m" in (err := capsys.readouterr().err)
    assert "\x1b" not in err


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "cp1252"])
def test_any_name_is_written_in_any_encoding(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, encoding: str
) -> None:
    path = tmp_path / "\ub4dc\ub7fc.mid"
    write_midi(path, [Note(0, 0.1, 36, 100)])
    with io.TextIOWrapper(io.BytesIO(), encoding) as stdout:
        monkeypatch.setattr(sys, "stdout", stdout)
        assert main(["info", str(path)]) == 0
        stdout.seek(0)
        assert r"\ub4dc\ub7fc.mid: 1 bars" in stdout.read()
