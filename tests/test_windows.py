"""NoteSequence records to windows: Magenta's windows, and an account of the rest."""

import csv
import hashlib
import math
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from groovae.configs import CONFIG_MAP, get_config
from groovae.errors import GroovaeError
from groovae.upstream import note_seq, tf
from groovae.windows import (
    Report,
    Windows,
    convert,
    load_windows,
    read_sequences,
)

KNOWN = sorted(CONFIG_MAP["groovae_4bar"].data_converter.pitch_class_map)
UNKNOWN = sorted(set(range(128)) - set(KNOWN))
ANY_TIME = st.one_of(st.floats(-99, 99), st.sampled_from([math.nan, math.inf, -math.inf]))


def a_groove(
    bars: int = 4,
    tempos: Sequence[tuple[float, float]] = ((0, 120),),
    meters: Sequence[tuple[float, int, int]] = ((0, 4, 4),),
    first_at: float = 0.0,
    **note: Any,
) -> Any:
    """Eighths at 120 qpm on the known drums in turn, as `preprocess` would store them."""
    sequence = note_seq.NoteSequence(filename="groove.mid", ticks_per_quarter=480)
    for time, qpm in tempos:
        sequence.tempos.add(time=time, qpm=qpm)
    for time, numerator, denominator in meters:
        sequence.time_signatures.add(time=time, numerator=numerator, denominator=denominator)
    for i in range(bars * 8):
        values = {"pitch": KNOWN[i % len(KNOWN)], "velocity": 40 + i % 80, "is_drum": True} | note
        start_time = first_at + i / 4 + 0.01 * (i % 3)
        sequence.notes.add(start_time=start_time, end_time=start_time + 0.1, **values)
    return sequence


def windows_of(sequence: Any) -> tuple[Windows, Report]:
    report = Report()
    return convert(sequence, get_config().data_converter, report), report


def write(path: Path, *records: bytes) -> Path:
    with tf.io.TFRecordWriter(str(path)) as writer:
        for record in records:
            writer.write(record)
    return path


# The windows, and why there are none


@pytest.mark.slow
def test_gmd_gives_the_windows_of_native_magenta(gmd_records: Path, native: Path) -> None:
    with open(native / "groove_windows.tsv", newline="") as file:
        expected = [tuple(row.values()) for row in csv.DictReader(file, delimiter="\t")]
    converter, report, found = get_config().data_converter, Report(), []
    for sequence in read_sequences(str(gmd_records)):
        outputs = convert(sequence, converter, report).outputs
        digest = hashlib.sha256(np.array(outputs, np.float32).tobytes()).hexdigest()
        found.append((sequence.filename, str(len(outputs)), digest if len(outputs) else "-"))
    assert found == expected
    assert (report.sequences, report.used, report.windows) == (1150, 454, 5108)
    assert report.unused == {"shorter than 4 bars": 684, "not in 4/4": 12}
    assert not report.dropped_notes


@pytest.mark.parametrize(
    ("groove", "reason"),
    [
        ({"tempos": [(0, 120), (2, 90)]}, "with tempo changes"),
        ({"tempos": [(1, 90)]}, "with tempo changes"),  # until then it is 120
        ({"tempos": [(0, 0)]}, "with an impossible tempo or time"),
        ({"tempos": [(0, -120)]}, "with an impossible tempo or time"),
        ({"tempos": [(0, math.nan)]}, "with an impossible tempo or time"),
        ({"tempos": [(0, math.inf)]}, "with an impossible tempo or time"),
        ({"meters": [(0, 4, 4), (4, 3, 4)]}, "with meter changes"),
        ({"meters": [(1, 3, 4)]}, "with meter changes"),  # until then it is 4/4
        ({"meters": [(0, 3, 4)]}, "not in 4/4"),
        ({"meters": [(0, 6, 8)]}, "not in 4/4"),
        ({"meters": [(0, 4, 3)]}, "not in 4/4"),
        ({"meters": [(0, 0, 4)]}, "not in 4/4"),
        ({"bars": 3}, "shorter than 4 bars"),
        ({"bars": 0}, "without drum notes"),
        ({"pitch": 39}, "without drum notes"),
        ({"is_drum": False}, "without drum notes"),
        ({"first_at": -1.0}, "with notes at negative times"),
        ({"first_at": math.nan}, "with an impossible tempo or time"),
        ({"first_at": math.inf}, "with an impossible tempo or time"),
    ],
)
def test_a_sequence_without_windows_has_a_reason(groove: dict[str, Any], reason: str) -> None:
    windows, report = windows_of(a_groove(**groove))
    assert [array.shape for array in windows] == [(0, 0, 27), (0, 0, 27), (0, 0, 0)]
    assert (report.sequences, report.used, report.windows) == (1, 0, 0)
    assert report.unused == {reason: 1}
    assert f"no window from 1 {reason}" in str(report)


@pytest.mark.parametrize(
    "groove",
    [
        {"bars": 5},
        {"tempos": [], "meters": []},
        {"tempos": [(0, 120), (3, 120)], "meters": [(0, 4, 4), (3, 4, 4)]},
        {"meters": [(0, 2, 2)]},
        {"first_at": -0.01},
    ],
)
def test_a_sequence_in_one_tempo_and_4_4_gives_windows(groove: dict[str, Any]) -> None:
    windows, report = windows_of(a_groove(**groove))
    assert [array.shape for array in windows] == [(1, 64, 27), (1, 64, 27), (1, 64, 0)]
    assert (report.sequences, report.used, report.windows, report.unused) == (1, 1, 1, {})


def test_notes_of_no_drum_class_are_counted() -> None:
    sequence = a_groove()
    sequence.notes.add(pitch=39, is_drum=True)
    sequence.notes.add(pitch=56, is_drum=True, start_time=30, end_time=31)
    sequence.notes.add(pitch=36, is_drum=False, start_time=-1)
    windows, report = windows_of(sequence)
    np.testing.assert_array_equal(windows.outputs, windows_of(a_groove())[0].outputs)
    assert report.dropped_notes == {
        "of pitch 39, which no drum class holds": 1,
        "of pitch 56, which no drum class holds": 1,
        "not drums": 1,
    }
    assert "notes left out: 1 of pitch 39" in str(report)


def notes(pitches: Iterable[int], is_drum: bool, times: Any) -> Any:
    return st.builds(
        note_seq.NoteSequence.Note,
        pitch=st.sampled_from(list(pitches)),
        is_drum=st.just(is_drum),
        velocity=st.integers(-(2**31), 2**31 - 1),
        start_time=times,
        end_time=times,
    )


@settings(deadline=None)
@given(
    st.integers(0, 9),
    st.lists(
        st.one_of(notes(UNKNOWN, True, ANY_TIME), notes(range(128), False, ANY_TIME)),
        max_size=8,
    ),
    st.randoms(use_true_random=False),
)
def test_notes_of_no_drum_class_never_change_the_windows(
    bars: int, extra: list[Any], random: Any
) -> None:
    expected, _ = windows_of(a_groove(bars))
    sequence = a_groove(bars)
    for note in extra:
        sequence.notes.insert(random.randint(0, len(sequence.notes)), note)
    windows, report = windows_of(sequence)
    for found, wanted in zip(windows, expected, strict=True):
        np.testing.assert_array_equal(found, wanted)
    assert sum(report.dropped_notes.values()) == len(extra)
    assert len(sequence.notes) == bars * 8 + len(extra)  # the caller's sequence is as it was


@settings(deadline=None)
@given(
    st.lists(st.tuples(st.floats(0, 9), st.floats(max_value=300)), max_size=2),
    st.lists(st.tuples(st.floats(0, 9), st.integers(-1, 9), st.integers(-1, 9)), max_size=2),
    st.lists(notes(range(128), True, st.floats(-1, 40)), max_size=8),
)
def test_every_sequence_gives_windows_or_a_reason(
    tempos: list[Any], meters: list[Any], drums: list[Any]
) -> None:
    sequence = a_groove(0, tempos, meters)
    sequence.notes.extend(drums)
    windows, report = windows_of(sequence)
    assert report.sequences == 1 == report.used + sum(report.unused.values())
    assert report.windows == len(windows.inputs) == len(windows.outputs)


# Files


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """A TFRecord of three sequences."""
    path = tmp_path_factory.mktemp("small") / "small.tfrecord"
    return write(path, *(a_groove(bars).SerializeToString() for bars in (1, 2, 1))).read_bytes()


def test_a_truncated_file_is_named(small: bytes, tmp_path: Path) -> None:
    sizes = [len(a_groove(bars).SerializeToString()) + 16 for bars in (1, 2, 1)]
    whole_until = [0, sizes[0], sizes[0] + sizes[1]]
    path = tmp_path / "cut.tfrecord"
    within_headers = [start + i for start in whole_until for i in (1, 5, 11)]
    for length in [*range(0, len(small), 37), *whole_until, *within_headers]:
        path.write_bytes(small[:length])
        if length in whole_until:
            assert len(list(read_sequences(str(path)))) == whole_until.index(length)
        else:
            with pytest.raises(GroovaeError, match=r"cut\.tfrecord: damaged after record \d"):
                list(read_sequences(str(path)))


@settings(deadline=None)
@given(st.integers(0), st.integers(1, 255))
def test_a_changed_byte_is_found(
    small: bytes, tmp_path_factory: pytest.TempPathFactory, place: int, change: int
) -> None:
    changed = bytearray(small)
    changed[place % len(small)] ^= change
    path = tmp_path_factory.getbasetemp() / "changed.tfrecord"
    path.write_bytes(changed)
    with pytest.raises(GroovaeError, match=r"changed\.tfrecord: damaged after record \d"):
        list(read_sequences(str(path)))


def an_example(**features: bytes) -> bytes:
    example = tf.train.Example()
    for name, value in features.items():
        example.features.feature[name].bytes_list.value.append(value)
    return example.SerializeToString()


@pytest.mark.parametrize(
    "record",
    [
        an_example(text=b"abc"),
        an_example(image=b"\xff\xd8\xff", label=b"cat"),
        hashlib.sha256(b"random").digest() * 5,
        b"a line of text",
        b"\0",
    ],
)
def test_records_of_something_else_are_named(tmp_path: Path, record: bytes) -> None:
    path = write(tmp_path / "else.tfrecord", a_groove().SerializeToString(), record)
    with pytest.raises(GroovaeError, match=r"else\.tfrecord: damaged after record 1, or not"):
        list(read_sequences(str(path)))


@pytest.mark.parametrize("content", [b"a line of text\n", b"short", b"MThd" * 40, b"\0" * 99])
def test_files_of_something_else_are_named(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "else.mid").write_bytes(content)
    with pytest.raises(GroovaeError, match=r"else\.mid: damaged after record 0, or"):
        list(read_sequences(str(tmp_path / "else.mid")))


def test_an_empty_tfrecord_gives_nothing(tmp_path: Path) -> None:
    report = Report()
    empty = str(write(tmp_path / "empty.tfrecord"))
    assert list(load_windows(empty, get_config().data_converter, report)) == []
    assert str(report) == "0 windows from 0 of 0 sequences"


@pytest.mark.parametrize("name", ["missing.tfrecord", "*.tfrecord", "in/a/missing/folder", "[a"])
def test_a_missing_file_is_named(tmp_path: Path, name: str) -> None:
    with pytest.raises(
        GroovaeError, match="no such file; make it with `groovae preprocess"
    ) as error:
        list(read_sequences(str(tmp_path / name)))
    assert str(tmp_path / name) in str(error.value)


def test_a_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(GroovaeError, match=str(tmp_path)):
        list(read_sequences(str(tmp_path)))


def test_a_glob_is_read_in_sorted_order(tmp_path: Path) -> None:
    for name in ("b", "c", "a"):
        write(
            tmp_path / f"{name}.tfrecord",
            note_seq.NoteSequence(id=name, total_time=1).SerializeToString(),
        )
    found = [sequence.id for sequence in read_sequences(f"{tmp_path}/*.tfrecord")]
    assert found == ["a", "b", "c"]


def test_a_file_may_be_called_like_a_glob(tmp_path: Path) -> None:
    path = write(tmp_path / "take[1]*.tfrecord", a_groove().SerializeToString())
    assert len(list(read_sequences(str(path)))) == 1
