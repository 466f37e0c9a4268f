"""Tests of the options of `groovae preprocess`: workers, shards, splits, limits, windows."""

import dataclasses
import json
import multiprocessing
import os
import shutil
import subprocess
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import Groovae, assert_one_line
from make_music import (
    MIDI_HEADER,
    filenames,
    read,
    report_of,
    write_groove,
    write_info,
    write_track,
)

from groovae.cli.main import main
from groovae.config import config_map
from groovae.data.conversion import Limits
from groovae.data.grid import count_windows
from groovae.data.preprocess import SPLITS, PreprocessOptions, convert_directory, convert_splits
from groovae.data.window_report import WindowReport
from groovae.errors import GroovaeError, UsageError
from groovae.upstream import note_seq

GROOVES = {f"{i:02}.mid": i + 1 for i in range(10)}
SPLIT_OF = {
    name: ("train", "train", "validation", "test", "other")[i % 5] for i, name in enumerate(GROOVES)
}


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """Ten valid files of one to ten notes, and a damaged one."""
    for name, hits in GROOVES.items():
        write_groove(tmp_path / "tree" / name, hits)
    (tmp_path / "tree" / "05 broken.mid").write_bytes(b"broken")
    return tmp_path / "tree"


# Workers


def test_number_of_workers_does_not_matter(tree: Path, tmp_path: Path) -> None:
    written = set()
    for workers in (1, 2, 3, 20, None):
        convert_directory(tree, tmp_path / "out", options=PreprocessOptions(workers=workers))
        report = report_of(tmp_path / "out")
        written.add(((tmp_path / "out").read_bytes(), json.dumps(report)))
    assert len(written) == 1


def test_file_of_killed_worker_is_skipped(tree: Path, tmp_path: Path) -> None:
    """Kill the only worker during a file that takes seconds."""
    write_track(tree / "05 large.mid", b"\0\x99\x24\x40\0\x24\0" * 700_000)

    def kill(done: int, _: int) -> None:
        if done == 6:
            (worker,) = multiprocessing.active_children()
            worker.kill()

    report = convert_directory(tree, tmp_path / "out", kill, PreprocessOptions(workers=1))
    assert filenames(tmp_path / "out") == list(GROOVES)
    assert (report.files, report.converted) == (12, 10)
    assert report.skipped[1] == {
        "file": "05 large.mid",
        "reason": "worker lost",
        "detail": "its worker was killed by SIGKILL (out of memory?)",
    }


def test_file_over_time_limit_is_skipped(tree: Path, tmp_path: Path) -> None:
    write_track(tree / "05 large.mid", b"\0\x99\x24\x40\0\x24\0" * 700_000)
    report = convert_directory(
        tree, tmp_path / "out", options=PreprocessOptions(timeout_seconds=0.5)
    )
    assert filenames(tmp_path / "out") == list(GROOVES)
    assert [tuple(skip.values()) for skip in report.skipped[1:]] == [
        ("05 large.mid", "worker lost", "took over 0.5 s of CPU time")
    ]


@pytest.mark.parametrize("name", ["a.mid", "A.MID", "x.abc"])
def test_output_with_music_suffix_is_rejected(tree: Path, name: str) -> None:
    before = sorted((path, path.stat().st_size) for path in tree.iterdir() if path.is_file())
    with pytest.raises(UsageError, match="suffix"):
        convert_directory(tree, tree / name)
    after = sorted((path, path.stat().st_size) for path in tree.iterdir() if path.is_file())
    assert after == before


# Shards


@pytest.mark.parametrize("shards", [1, 2, 3, 11, 256])
def test_shards_equal_the_single_file(tree: Path, tmp_path: Path, shards: int) -> None:
    convert_directory(tree, tmp_path / "one")
    report = convert_directory(
        tree, tmp_path / "out" / "x", options=PreprocessOptions(shards=shards)
    )
    names = [f"x-{i:05}-of-{shards:05}" for i in range(shards)]
    assert sorted(os.listdir(tmp_path / "out")) == [*names, "x.report.json"]
    assert [os.path.basename(path) for path in report.outputs] == names
    together = [record for name in names for record in read(tmp_path / "out" / name)]
    assert together == read(tmp_path / "one")
    sizes = [len(read(tmp_path / "out" / name)) for name in names]
    assert max(sizes) - min(sizes) <= 2, "about the same in each"
    assert report.as_dict() == report_of(tmp_path / "out" / "x")


# Splits


def test_split_selects_files(tree: Path, tmp_path: Path) -> None:
    write_groove(tree / "unlisted.mid")
    write_info(tree, {**SPLIT_OF, "gone.mid": "train", "gone too.mid": "test"})
    report = convert_directory(tree, tmp_path / "out", options=PreprocessOptions(split="train"))
    assert filenames(tmp_path / "out") == ["00.mid", "01.mid", "05.mid", "06.mid"]
    assert (report.files, report.converted, report.records) == (6, 4, 4)
    assert dict(report.other_splits) == {"validation": 2, "test": 2, "other": 2}
    assert [(skip["file"], skip["reason"]) for skip in report.skipped] == [
        ("05 broken.mid", "not in info.csv"),
        ("unlisted.mid", "not in info.csv"),
        ("gone.mid", "missing"),
    ]
    assert report_of(tmp_path / "out")["split"] == "train"


def test_names_in_info_csv_are_used_of_duplicates(tree: Path, tmp_path: Path) -> None:
    os.link(tree / "03.mid", tree / "00 first.mid")
    (tree / "link.mid").symlink_to("04.mid")
    write_info(tree, {"03.mid": "test", "link.mid": "test"})
    convert_directory(tree, tmp_path / "out", options=PreprocessOptions(split="test"))
    assert filenames(tmp_path / "out") == ["03.mid", "link.mid"]


@pytest.mark.parametrize("shards", [None, 2])
def test_splits_equal_single_splits(tree: Path, tmp_path: Path, shards: int | None) -> None:
    (tree / "05 broken.mid").unlink()
    write_info(tree, SPLIT_OF)
    options = PreprocessOptions(shards=shards)
    reports = convert_splits(tree, tmp_path / "out" / "music.tfrecord", options=options)
    assert list(reports) == list(SPLITS)
    for split, report in reports.items():
        path = tmp_path / "alone" / f"music-{split}.tfrecord"
        alone = convert_directory(tree, path, options=dataclasses.replace(options, split=split))
        values = report.as_dict()
        assert values == report_of(tmp_path / "out" / path.name)
        assert values["output"] == str(tmp_path / "out" / path.name)
        assert {**values, "output": 0, "outputs": 0} == {
            **alone.as_dict(),
            "output": 0,
            "outputs": 0,
        }
    written = sorted(path.name for path in (tmp_path / "out").iterdir())
    assert written == sorted(path.name for path in (tmp_path / "alone").iterdir())
    assert len(written) == 3 * (1 + (shards or 1))
    for name in written:
        if not name.endswith("json"):
            records = (tmp_path / "out" / name).read_bytes()
            assert records == (tmp_path / "alone" / name).read_bytes()


@pytest.mark.parametrize(("name", "stem"), [("music", "music-{}"), ("a.b/c", "a.b/c-{}")])
def test_splits_of_output_without_suffix(tree: Path, tmp_path: Path, name: str, stem: str) -> None:
    write_info(tree, SPLIT_OF)
    convert_splits(tree, tmp_path / "out" / name)
    for split, count in zip(SPLITS, (4, 2, 2), strict=True):
        assert len(read(tmp_path / "out" / stem.format(split))) == count


def test_split_without_records_is_empty(tree: Path, tmp_path: Path) -> None:
    write_info(tree, {"00.mid": "train", "05 broken.mid": "test"})
    reports = convert_splits(tree, tmp_path / "out.tfrecord")
    assert [report.records for report in reports.values()] == [1, 0, 0]
    assert (tmp_path / "out-test.tfrecord").read_bytes() == b""
    assert reports["test"].skipped_by_reason() == {"not in info.csv": 9, "broken MIDI": 1}


@pytest.mark.parametrize(
    ("table", "split", "error", "words"),
    [
        (None, "train", GroovaeError, "info.csv: no such file"),
        (SPLIT_OF, "dev", UsageError, "no split 'dev'; it has other, test, train, validation"),
        ({"gone.mid": "test"}, "test", GroovaeError, "gone.mid: missing .info.csv lists it"),
        ({"05 broken.mid": "test"}, "test", GroovaeError, "broken.mid: broken MIDI"),
    ],
)
def test_failing_split_keeps_old_output(
    tree: Path,
    tmp_path: Path,
    table: dict[str, str] | None,
    split: str,
    error: type[Exception],
    words: str,
) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "x").write_text("old")
    if table:
        write_info(tree, table)
    with pytest.raises(error, match=words):
        convert_directory(tree, tmp_path / "out" / "x", options=PreprocessOptions(split=split))
    assert os.listdir(tmp_path / "out") == ["x"]
    assert (tmp_path / "out" / "x").read_text() == "old"


def test_gmd_splits(gmd_test_records: Path) -> None:
    report = report_of(gmd_test_records)
    assert (report["records"], report["windows"]["windows"]) == (129, 526)
    assert report["other_splits"] == {"train": 897, "validation": 124}


# Limits


def too_large(path: Path) -> None:
    path.write_bytes(MIDI_HEADER + bytes(20_000))


def zip_bomb(path: Path) -> None:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("score.xml", bytes(300_000))


def forged_zip_bomb(path: Path) -> None:
    """Claim a size of 100 bytes and their CRC-32, with which Python unpacks all in one piece."""
    zip_bomb(path)
    data = path.read_bytes()
    for whole, forged in (
        ((300_000).to_bytes(4, "little"), (100).to_bytes(4, "little")),
        (
            zlib.crc32(bytes(300_000)).to_bytes(4, "little"),
            zlib.crc32(bytes(100)).to_bytes(4, "little"),
        ),
    ):
        assert data.count(whole) == 2
        data = data.replace(whole, forged)
    path.write_bytes(data)


def lzma_zip(path: Path) -> None:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_LZMA) as archive:
        archive.writestr("score.xml", b"x")


def too_many_ticks(path: Path) -> None:
    write_track(path, b"\0\x99\x24\x40\xff\xff\xff\x7f\x24\0")


def too_many_minutes(path: Path) -> None:
    write_track(path, b"\0\x99\x24\x40\x81\x80\x80\0\x24\0")


def too_many_notes(path: Path) -> None:
    write_groove(path, 51)


def too_many_tunes(path: Path) -> None:
    path.write_text("X:1\nT:One\nK:C\n" + "C" * 51 + "|\n\nX:2\nT:Two\nK:C\nC|\n")


@pytest.mark.parametrize(
    ("name", "write", "reason", "detail"),
    [
        ("x.mid", too_large, "too large", "0.0 MB, over 0.01 MB"),
        ("x.abc", too_large, "too large", "0.0 MB, over 0.01 MB"),
        ("x.mxl", zip_bomb, "too large", "over 0.1 MB unpacked"),
        ("x.MXL", zip_bomb, "too large", "over 0.1 MB unpacked"),
        ("x.mxl", forged_zip_bomb, "too large", "over 0.1 MB unpacked"),
        ("x.mxl", lzma_zip, "unsupported compression", "an .mxl file is compressed by deflate"),
        ("x.mid", too_many_ticks, "too long", "4,660 minutes, over 30 minutes"),
        ("x.mid", too_many_minutes, "too long", "36 minutes, over 30 minutes"),
        ("x.mid", too_many_notes, "too many notes", "51 notes, over 50 notes"),
        ("x.abc", too_many_tunes, "too many notes", "51 notes, over 50 notes"),
    ],
)
def test_files_over_limits_are_skipped(
    tree: Path, tmp_path: Path, name: str, write: Callable[[Path], None], reason: str, detail: str
) -> None:
    (tree / "05 broken.mid").unlink()
    write(tree / name)
    write_groove(tree / "just.mid", 50)
    limits = Limits(max_file_mb=0.01, max_minutes=30, max_notes=50)
    report = convert_directory(tree, tmp_path / "out", options=PreprocessOptions(limits=limits))
    assert report.skipped == [{"file": name, "reason": reason, "detail": detail}]
    names = filenames(tmp_path / "out")
    assert names == [*GROOVES, "just.mid", *(["x.abc"] if write is too_many_tunes else [])]


@pytest.mark.parametrize(
    "wrong",
    [
        lambda: PreprocessOptions(workers=0),
        lambda: PreprocessOptions(shards=0),
        lambda: PreprocessOptions(shards=257),
        lambda: PreprocessOptions(timeout_seconds=0),
        lambda: Limits(max_file_mb=0),
        lambda: Limits(max_minutes=-1),
        lambda: Limits(max_notes=0),
        lambda: Limits(max_minutes=float("nan")),
    ],
)
def test_options_out_of_range_raise(wrong: Callable[[], object]) -> None:
    with pytest.raises(UsageError, match="must be"):
        wrong()


def test_split_and_splits_are_mutually_exclusive(tree: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="not both"):
        convert_splits(tree, tmp_path / "out", options=PreprocessOptions(split="train"))


# Windows


def test_report_counts_windows(tmp_path: Path) -> None:
    for name, hits in {"4 bars.mid": 32, "16 bars.mid": 128, "short.mid": 5}.items():
        write_groove(tmp_path / "tree" / name, hits)
    layout = config_map.layout("groovae_4bar", hop_bars=1)
    options = PreprocessOptions(layout=layout, config="groovae_4bar")
    report = convert_directory(tmp_path / "tree", tmp_path / "out", options=options)
    expected = WindowReport()
    for record in read(tmp_path / "out"):
        expected.add(count_windows(note_seq.NoteSequence.FromString(record), layout))
    assert report.windows == expected
    values = report_of(tmp_path / "out")["windows"]
    assert (values["config"], values["layout"]["hop_bars"]) == ("groovae_4bar", 1)
    assert (
        WindowReport.from_dict(
            {name: value for name, value in values.items() if name not in ("config", "layout")}
        )
        == expected
    )
    assert (expected.windows, expected.unused) == (14, {"shorter than 4 bars": 1})


def test_report_counts_tempos_in_later_tracks(tree: Path, tmp_path: Path) -> None:
    track = b"MTrk\0\0\0\x0b\0\xff\x51\3\7\xa1\x20\0\xff\x2f\0"
    first = track.replace(b"\7\xa1\x20", b"\6\xa1\x20")
    for name in ("x.mid", "y.mid"):
        (tree / name).write_bytes(b"MThd\0\0\0\6\0\1\0\2\x01\xe0" + first + track)
    report = convert_directory(tree, tmp_path / "out", options=PreprocessOptions(workers=1))
    lost = {"hits": 0, "tempo": 1, "meter": 0}
    assert report.complete_keeps == {"x.mid": lost, "y.mid": lost}


# The command line


def test_command_reports_skipped_files_and_windows(tree: Path, groovae: Groovae) -> None:
    write_info(tree, {**SPLIT_OF, "05 broken.mid": "train"})
    write_groove(tree / "07.mid", 130)
    (tree / "link.mid").symlink_to("07.mid")
    flags = ["--splits", "--shards=2", "--workers=2", "--max_notes=140", "--hop_bars=2", "--json"]
    result = groovae("preprocess", tree, "out/music.tfrecord", *flags)
    assert result.returncode == 0, result.stderr
    out = tree.parent / "out"
    assert json.loads(result.stdout) == {
        split: report_of(out / f"music-{split}.tfrecord") for split in SPLITS
    }
    stderr = result.stderr
    assert "05 broken.mid" in stderr
    assert "link.mid" in stderr
    assert f"4 records from 4 of 6 files to {out}/music-train.tfrecord in 2 shards" in stderr
    assert "  for groovae_4bar: 7 windows from 1 of 2 sequences" in stderr
    assert f"{out}/music-test.tfrecord.report.json" in stderr


def test_command_reports_other_splits_and_duplicates(tree: Path, groovae: Groovae) -> None:
    write_info(tree, SPLIT_OF)
    shutil.copy(tree / "00.mid", tree / "copy.mid")
    os.link(tree / "02.mid", tree / "02 too.mid")
    write_info(tree, {**SPLIT_OF, "02 too.mid": "validation"})
    result = groovae("preprocess", tree, "out", "--split=validation", "--unmapped_pitches=error")
    assert result.returncode == 0, result.stderr
    assert "4 train, 2 test, 2 other" in result.stderr
    assert "02 too.mid" in result.stderr


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (["--split=train", "--splits"], ["--split"]),
        (["--shards=0"], ["--shards"]),
        (["--shards=257"], ["--shards"]),
        (["--workers=0"], ["--workers"]),
        (["--max_minutes=0"], ["max_minutes", "over 0"]),
        (["--config=groovae_5bar"], ["groovae_5bar"]),
        (["--split=dev"], ["no split 'dev'"]),
    ],
)
def test_invalid_flags_are_usage_errors(
    tree: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    flags: list[str],
    words: list[str],
) -> None:
    write_info(tree, SPLIT_OF)
    code = main(["preprocess", str(tree), str(tmp_path / "out"), *flags])
    assert_one_line(subprocess.CompletedProcess([], code, *capsys.readouterr()), 2, *words)
    assert not (tmp_path / "out").exists()
