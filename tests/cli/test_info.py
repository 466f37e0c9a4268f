"""`groovae info` on a folder: the summary of info.csv, and errors in it."""

import json
import struct
from pathlib import Path

import pytest
from conftest import INFO_CSV, Groovae, assert_one_line

from groovae.data.groove_midi_dataset import read_info, summarize
from groovae.errors import GroovaeError


def test_summary_of_a_small_dataset(small_dataset: Path) -> None:
    of_funk = {"files": 2, "hours": 0.51, "beats": 1, "fills": 1, "median_bpm": 110.0}
    of_rock = {"files": 1, "hours": 1.5, "beats": 1, "fills": 0, "median_bpm": 90.0}
    assert summarize(read_info(small_dataset)) == {
        "files": 3,
        "missing_files": 1,
        "hours": 2.01,
        "drummers": 2,
        "tempo_bpm": {"min": 90.0, "median": 100.0, "max": 120.0},
        "splits": {"test": of_rock, "train": of_funk},
        "styles": {"rock": of_rock, "funk": of_funk},
        "meters": {"6-8": of_rock, "4-4": of_funk},
    }
    assert list(summarize(read_info(small_dataset))["splits"]) == ["test", "train"], (
        "most hours first"
    )


def test_each_row_has_whether_its_file_exists(small_dataset: Path) -> None:
    assert read_info(small_dataset)["on_disk"].tolist() == [True, False, True]


def test_info_accepts_the_path_of_info_csv(in_process: Groovae, small_dataset: Path) -> None:
    assert "3 files" in in_process("info", small_dataset / "info.csv").stdout


def test_info_prints_a_summary(in_process: Groovae, small_dataset: Path) -> None:
    result = in_process("info", small_dataset)
    assert result.returncode == 0
    assert "3 files, 2.0 hours, 2 drummers, 90 to 120 bpm (median 100)" in result.stdout
    assert "1 of the files listed in info.csv" in result.stdout
    assert "funk        2   0.51      1      1   110" in result.stdout
    assert result.stderr == ""


def test_info_prints_json(in_process: Groovae, small_dataset: Path) -> None:
    result = in_process("info", "--json", small_dataset)
    assert json.loads(result.stdout) == summarize(read_info(small_dataset))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "not a CSV table"),
        (b"\xff\xfe\x00\x81", "not a CSV table"),
        (b'a,b\n"1', "not a CSV table"),
        (b"drummer,split\nd,train\n", "columns missing: session, id, style, bpm"),
        (INFO_CSV.splitlines()[0].encode(), "no rows"),
        (INFO_CSV.replace("1800", "long").encode(), "duration must be a number"),
        (INFO_CSV.replace("120", "").encode(), "bpm must be a number"),
        (INFO_CSV.replace("120", "inf").encode(), "bpm must be a number from 0 to 1,000,000,000"),
        (INFO_CSV.replace("120", "-1").encode(), "bpm must be a number"),
        (INFO_CSV.replace("120", "True").encode(), "bpm must be a number"),
        (INFO_CSV.replace("1800", 400 * "9").encode(), "duration must be a number"),
        (INFO_CSV.replace("1800", 5000 * "9").encode(), "duration must be a number"),
        (INFO_CSV.replace("1800", "1e300").encode(), "duration must be a number"),
    ],
    ids=lambda value: value.replace(" ", "-") if isinstance(value, str) else "",
)
def test_an_invalid_info_csv_is_an_error(tmp_path: Path, content: bytes, message: str) -> None:
    (tmp_path / "info.csv").write_bytes(content)
    with pytest.raises(GroovaeError, match=f"info.csv: .*{message}"):
        read_info(tmp_path)


def test_a_missing_info_csv_is_an_error_with_the_download_command(in_process: Groovae) -> None:
    assert_one_line(in_process("info", "."), 1, "info.csv", "`groovae download`")


def test_summary_of_the_groove_midi_dataset(gmd: Path) -> None:
    summary = summarize(read_info(gmd))
    assert (summary["files"], summary["missing_files"]) == (1150, 0)
    assert round(summary["hours"], 1) == 13.6
    splits = {name: row["files"] for name, row in summary["splits"].items()}
    assert splits == {"train": 897, "validation": 124, "test": 129}
    assert sum(row["files"] for row in summary["styles"].values()) == 1150


def test_absurd_names_are_missing_files(small_dataset: Path) -> None:
    path = small_dataset / "info.csv"
    names = [256 * "x", "a\x1b[31m.mid", "../" * 2000]
    rows = [path.read_text().splitlines()[1].replace("a.mid", n) for n in names]
    path.write_text("\n".join([path.read_text().splitlines()[0], *rows]))
    assert read_info(small_dataset)["on_disk"].sum() == 0


def test_info_names_the_file_that_is_too_long(in_process: Groovae, tmp_path: Path) -> None:
    hit = b"\xff\xff\xff\x7f\x99\x24\x64"  # at the latest time
    track = hit + b"\x00\xff\x2f\x00"
    header = b"MThd" + struct.pack(">IHHH", 6, 0, 1, 480)
    (tmp_path / "a.mid").write_bytes(header + b"MTrk" + struct.pack(">I", len(track)) + track)
    assert_one_line(in_process("info", "a.mid"), 1, "a.mid: longer than")


def test_long_unexpected_argument_is_shortened(in_process: Groovae) -> None:
    result = in_process("info", "a.mid", "a" * 10_000)
    assert_one_line(result, 2, "unexpected argument")
    assert len(result.stderr) < 200
