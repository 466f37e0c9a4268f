"""Tests of groovae.data.preprocess: records equal Magenta's, and bad files are skipped."""

import csv
import hashlib
import json
import os
import shutil
import sys
import tempfile
import zipfile
from pathlib import Path

import pytest
from conftest import Groovae
from hypothesis import given, settings
from hypothesis import strategies as st
from make_music import MIDI_HEADER, filenames, read, report_of, write_groove

from groovae.data.preprocess import PreprocessOptions, convert_directory
from groovae.upstream import converter_script, note_seq

SCORE = """<?xml version="1.0"?>
<score-partwise version="3.0">
  <part-list><score-part id="P1"><part-name>Snare</part-name></score-part></part-list>
  <part id="P1"><measure number="1">
    <attributes><divisions>1</divisions><time><beats>4</beats><beat-type>4</beat-type></time>
    </attributes>
    <note><pitch><step>C</step><octave>4</octave></pitch><duration>4</duration></note>
  </measure></part>
</score-partwise>"""
CONTAINER = '<container><rootfiles><rootfile full-path="score.xml"/></rootfiles></container>'
TUNES = "X:1\nT:One\nK:C\nCDEF|\n\nX:7\nT:Seven\nK:G\nGABc|\n"
BROKEN = {
    "empty.mid": b"",
    "text.mid": b"no drums in here",
    "header.mid": MIDI_HEADER,
    "track cut.mid": MIDI_HEADER + b"MTrk\0\0\1\0" + b"\0\x99\x24\x40" * 8,
    "random.mid": hashlib.sha256(b"groove").digest() * 9,
    "png.midi": b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR",
    "empty.xml": b"",
    "cut.xml": SCORE[:300].encode(),
    "no zip.mxl": b"PK\3\4",
    "empty.abc": b"",
    "chord.abc": b"X:1\nK:C\n[CEG]|\n",
    "twice.abc": b"X:1\nK:C\nC|\n\nX:1\nK:C\nD|\n",
}


def write_mxl(path: Path) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("META-INF/container.xml", CONTAINER)
        archive.writestr("score.xml", SCORE)


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """Two valid files, one of them in a subfolder."""
    write_groove(tmp_path / "tree" / "b.mid")
    write_groove(tmp_path / "tree" / "a" / "c.mid", hits=5)
    return tmp_path / "tree"


# Records


@pytest.mark.slow
def test_records_of_gmd_equal_magentas(gmd_records: Path, native: Path) -> None:
    with open(native / "groove_records.tsv", newline="") as file:
        expected = [tuple(row.values()) for row in csv.DictReader(file, delimiter="\t")]
    records = []
    for record in read(gmd_records):
        sequence = note_seq.NoteSequence.FromString(record)
        digest, size, notes = hashlib.sha256(record).hexdigest(), len(record), len(sequence.notes)
        name, collection = sequence.filename, sequence.collection_name
        records.append((name, collection, sequence.id, digest, str(size), str(notes)))
    assert len(records) == 1150
    assert records == expected
    assert report_of(gmd_records)["converted"] == 1150


def test_records_of_all_formats_equal_magentas(tree: Path, tmp_path: Path) -> None:
    write_groove(tree / "UPPER.MIDI", hits=3)
    write_groove(tree / "a" / "deeper" / "x.Midi", hits=4)
    (tree / "score.xml").write_text(SCORE)
    write_mxl(tree / "a" / "packed.mxl")
    (tree / "broken.mid").write_bytes(b"broken")
    (tree / "notes.txt").write_text("not music")
    converter_script.convert_directory(str(tree), str(tmp_path / "theirs"), recursive=True)
    convert_directory(tree, tmp_path / "ours")
    names = ["UPPER.MIDI", "a/c.mid", "a/deeper/x.Midi", "a/packed.mxl", "b.mid", "score.xml"]
    assert filenames(tmp_path / "ours") == names
    assert sorted(read(tmp_path / "ours")) == sorted(read(tmp_path / "theirs"))


def test_upper_case_mxl(tree: Path, tmp_path: Path) -> None:
    """Magenta reads it as XML and fails."""
    write_mxl(tree / "low.mxl")
    write_mxl(tree / "CAP.MXL")
    convert_directory(tree, tmp_path / "out")
    capital, *_, low = (note_seq.NoteSequence.FromString(data) for data in read(tmp_path / "out"))
    assert (capital.filename, low.filename) == ("CAP.MXL", "low.mxl")
    assert capital.notes == low.notes
    assert len(capital.notes) == 1


@pytest.mark.parametrize(
    ("cwd", "spelling"),
    [("", "tree"), ("", "tree/"), ("", "./tree//"), ("tree", "."), ("tree/a", ".."), ("", "{}/")],
)
def test_spelling_of_the_folder_does_not_matter(
    tree: Path, monkeypatch: pytest.MonkeyPatch, cwd: str, spelling: str
) -> None:
    expected = tree.parent / "expected"
    convert_directory(tree, expected)
    monkeypatch.chdir(tree.parent / cwd)
    convert_directory(spelling.format(tree), tree.parent / "out")
    assert (tree.parent / "out").read_bytes() == expected.read_bytes()
    assert note_seq.NoteSequence.FromString(read(expected)[0]).collection_name == "tree"


def test_output_is_reproducible(tree: Path, tmp_path: Path) -> None:
    (tree / "broken.mid").write_bytes(b"broken")
    both = []
    for _ in range(2):
        convert_directory(tree, tmp_path / "out")
        both.append((tmp_path / "out").read_bytes() + (tmp_path / "out.report.json").read_bytes())
    assert both[0] == both[1]


def test_abc_file_gives_one_record_per_tune(tree: Path, tmp_path: Path) -> None:
    (tree / "a" / "book.abc").write_text(TUNES)
    report = convert_directory(tree, tmp_path / "out")
    sequences = [note_seq.NoteSequence.FromString(record) for record in read(tmp_path / "out")[:2]]
    assert [sequence.id for sequence in sequences] == [
        f"/id/abc/tree/{hashlib.sha1(f'a/book.abc_{number}'.encode()).hexdigest()}"
        for number in (1, 7)
    ]
    assert [len(sequence.notes) for sequence in sequences] == [4, 4]
    assert (report.files, report.converted, report.records, report.skipped) == (3, 3, 4, [])


def test_damaged_tune_is_skipped(tree: Path, tmp_path: Path) -> None:
    (tree / "book.abc").write_text(TUNES + "\nX:8\nK:C\n[CEG]|\n")
    report = convert_directory(tree, tmp_path / "out")
    assert (report.files, report.converted, report.records) == (3, 3, 4)
    detail = "Chords are not supported."
    assert report.skipped == [{"file": "book.abc", "reason": "broken ABC", "detail": detail}]


# Other files


@pytest.mark.parametrize("name", BROKEN)
def test_damaged_file_is_skipped(tree: Path, tmp_path: Path, name: str) -> None:
    (tree / name).write_bytes(BROKEN[name])
    convert_directory(tree, tmp_path / "out")
    assert filenames(tmp_path / "out") == ["a/c.mid", "b.mid"]
    (skip,) = report_of(tmp_path / "out")["skipped"]
    assert skip["file"] == name
    assert skip["reason"].startswith("broken ")
    assert skip["detail"]


# A worker takes longer to start than to convert these.
ONE_WORKER = PreprocessOptions(workers=1)


@settings(max_examples=30)
@given(
    st.one_of(
        st.binary(),
        st.binary().map(lambda data: MIDI_HEADER[:8] + data),
        st.binary().map(lambda data: MIDI_HEADER + data),
    )
)
def test_any_bytes_are_converted_or_skipped(content: bytes) -> None:
    with tempfile.TemporaryDirectory() as folder:
        tree = Path(folder, "tree")
        write_groove(tree / "good.mid")
        for suffix in ("mid", "xml", "mxl", "abc"):
            (tree / f"any.{suffix}").write_bytes(content)
        report = convert_directory(tree, Path(folder, "out"), options=ONE_WORKER)
        assert "good.mid" in filenames(Path(folder, "out"))
    assert report.files == 5
    assert report.converted + len({skip["file"] for skip in report.skipped}) == 5


@pytest.mark.skipif(sys.platform != "linux", reason="other systems have no such names")
def test_file_names_that_are_not_utf8(tree: Path, tmp_path: Path) -> None:
    folder = os.fsencode(tree)
    os.mkdir(folder + b"/\xff")
    (tree / "book.abc").write_text(TUNES)
    (tree / "score.xml").write_text(SCORE)
    for source, name in (
        ("b.mid", b"\xff/d.mid"),
        ("b.mid", b"d\xff.mid"),
        ("b.mid", b"d.\xff"),
        ("score.xml", b"d\xe9.xml"),
        ("book.abc", b"d\xe9.abc"),
    ):
        shutil.copy(tree / source, os.fsdecode(folder + b"/" + name))
    convert_directory(tree, tmp_path / "out")
    assert filenames(tmp_path / "out") == [
        *("a/c.mid", "b.mid", "book.abc", "book.abc"),
        *(r"d\xe9.abc", r"d\xe9.abc", r"d\xe9.xml", r"d\xff.mid", "score.xml", r"\xff/d.mid"),
    ]
    report = report_of(tmp_path / "out")
    assert (report["files"], report["converted"], report["skipped"]) == (8, 8, [])
    assert report["other_files"] == {r".\xff": 1}


@pytest.mark.skipif(sys.platform != "linux", reason="other systems have no such names")
def test_folder_name_that_is_not_utf8(tree: Path, tmp_path: Path) -> None:
    folder = os.fsdecode(os.fsencode(tmp_path) + b"/\xe9")
    shutil.copytree(tree, folder)
    (tree / "broken.mid").write_bytes(b"broken")
    shutil.copy(tree / "broken.mid", folder)
    report = convert_directory(folder, os.path.join(folder, "out"))
    convert_directory(tree, tmp_path / "expected")
    ours, theirs = read(Path(folder, "out")), read(tmp_path / "expected")
    sequences = [note_seq.NoteSequence.FromString(record) for record in ours]
    assert {sequence.collection_name for sequence in sequences} == {r"\xe9"}
    for sequence, record in zip(sequences, theirs, strict=True):
        expected = note_seq.NoteSequence.FromString(record)
        sequence.collection_name, sequence.id = expected.collection_name, expected.id
        assert sequence == expected
    assert report.input == rf"{tmp_path}/\xe9"
    assert [skip["file"] for skip in report.skipped] == ["broken.mid"]
    assert report.as_dict() == report_of(Path(folder, "out"))


def test_file_name_may_be_all_suffix(tree: Path, tmp_path: Path) -> None:
    write_groove(tree / ".mid", hits=3)
    write_groove(tree / "a" / ".MIDI", hits=4)
    converter_script.convert_directory(str(tree), str(tmp_path / "theirs"), recursive=True)
    convert_directory(tree, tmp_path / "ours")
    assert filenames(tmp_path / "ours") == [".mid", "a/.MIDI", "a/c.mid", "b.mid"]
    assert sorted(read(tmp_path / "ours")) == sorted(read(tmp_path / "theirs"))


# Links


@pytest.mark.parametrize(
    ("link", "target"), [("itself", "."), ("a/up", ".."), ("a/root", "../../tree"), ("0", "a")]
)
def test_linked_folder_is_read_once(tree: Path, tmp_path: Path, link: str, target: str) -> None:
    (tree / link).symlink_to(target)
    report = convert_directory(tree, tmp_path / "out")
    assert filenames(tmp_path / "out") == ["a/c.mid", "b.mid"]
    assert report.files == 2


def test_linked_files_are_read_once(tree: Path, tmp_path: Path) -> None:
    (tree / "0 link.mid").symlink_to("b.mid")
    (tree / "a" / "0 link.mid").symlink_to("../a/c.mid")
    os.link(tree / "b.mid", tree / "z hard link.mid")
    report = convert_directory(tree, tmp_path / "out")
    assert filenames(tmp_path / "out") == ["a/c.mid", "b.mid"]
    assert (report.files, report.skipped) == (2, [])
    assert report_of(tmp_path / "out")["duplicates"] == {
        "0 link.mid": "b.mid",
        "a/0 link.mid": "a/c.mid",
        "z hard link.mid": "b.mid",
    }


def test_links_to_other_folders_are_followed_once(tree: Path, tmp_path: Path) -> None:
    write_groove(tmp_path / "far" / "folder" / "x.mid", hits=3)
    write_groove(tmp_path / "far" / "y.mid", hits=4)
    (tree / "a" / "folder").symlink_to("../../far/folder")
    (tree / "far").symlink_to("../far")
    (tree / "1 y.mid").symlink_to("../far/y.mid")
    (tree / "2 y.mid").symlink_to("1 y.mid")
    (tmp_path / "far" / "back").symlink_to("../tree")
    report = convert_directory(tree, tmp_path / "out")
    assert filenames(tmp_path / "out") == ["1 y.mid", "a/c.mid", "a/folder/x.mid", "b.mid"]
    assert report.duplicates == {"2 y.mid": "1 y.mid", "far/y.mid": "1 y.mid"}


def test_link_to_itself_is_skipped(tree: Path, tmp_path: Path) -> None:
    (tree / "self.mid").symlink_to("self.mid")
    report = convert_directory(tree, tmp_path / "out")
    assert filenames(tmp_path / "out") == ["a/c.mid", "b.mid"]
    assert [skip["file"] for skip in report.skipped] == ["self.mid"]


def test_command_reports_what_it_wrote(tree: Path, groovae: Groovae) -> None:
    """In a subprocess, since reading a named pipe would block this one."""
    os.mkfifo(tree / "pipe.mid")
    (tree / "dangling.mid").symlink_to("nowhere.mid")
    (tree / "broken.mid").write_bytes(b"broken")
    (tree / "folder.mid").mkdir()
    write_groove(tree / "folder.mid" / "in.mid")
    (tree / "readme.txt").touch()
    result = groovae("preprocess", tree, "data/out", "--json", timeout=120)
    assert result.returncode == 0, result.stderr
    output = tree.parent / "data" / "out"
    report = json.loads(result.stdout)
    assert report == report_of(output)
    assert filenames(output) == ["a/c.mid", "b.mid", "folder.mid/in.mid"]
    assert (report["files"], report["converted"], report["records"]) == (6, 3, 3)
    skipped = ["broken.mid", "dangling.mid", "pipe.mid"]
    assert [skip["file"] for skip in report["skipped"]] == skipped
    assert report["skipped_by_reason"] == {"unreadable file": 2, "broken MIDI": 1}
    assert "broken.mid" in result.stderr
    assert report["other_files"] == {".txt": 1}
    assert "3 records from 3 of 6 files" in result.stderr


def test_unreadable_folder_is_reported(
    tree: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The path is too long to open, since root may read all other folders."""
    monkeypatch.chdir(tree)
    for _ in range(17):
        os.mkdir("d" * 250)
        os.chdir("d" * 250)
    report = convert_directory(tree, tmp_path / "out")
    assert filenames(tmp_path / "out") == ["a/c.mid", "b.mid"]
    assert [skip["reason"] for skip in report.skipped] == ["unreadable folder"]
    assert "File name too long" in report.skipped[0]["detail"]


def test_progress_counts_all_files(tree: Path, tmp_path: Path) -> None:
    (tree / "broken.mid").write_bytes(b"broken")
    seen: list[tuple[int, int]] = []
    report = convert_directory(tree, tmp_path / "out", lambda *done: seen.append(done))
    assert seen == [(1, 3), (2, 3), (3, 3)]
    assert report.as_dict() == report_of(tmp_path / "out")
