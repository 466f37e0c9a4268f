"""TFRecord files equal those of TensorFlow, and damage is found."""

import struct
from pathlib import Path

import pytest
from conftest import TINY_HPARAMS, Groovae, assert_one_line
from hypothesis import given
from hypothesis import strategies as st

from groovae.data import tfrecord
from groovae.data.tfrecord import DamagedRecords, read_records, write_record
from groovae.upstream import tf

RECORDS = [b"", b"a", bytes(range(256)) * 40, b"\xff" * 3]


def written(path: Path, records: list[bytes]) -> Path:
    with open(path, "wb") as file:
        for record in records:
            write_record(file, record)
    return path


def test_files_equal_those_of_tensorflow(tmp_path: Path) -> None:
    with tf.io.TFRecordWriter(str(tmp_path / "theirs")) as writer:
        for record in RECORDS:
            writer.write(record)
    ours = written(tmp_path / "ours", RECORDS)
    assert ours.read_bytes() == (tmp_path / "theirs").read_bytes()
    assert list(read_records(ours)) == RECORDS


@given(st.data())
def test_any_damage_is_found(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    path = written(tmp_path_factory.mktemp("damaged") / "file", RECORDS)
    content = bytearray(path.read_bytes())
    at = data.draw(st.integers(0, len(content) - 1))
    if data.draw(st.booleans()):
        content[at] ^= data.draw(st.integers(1, 255))
    else:
        del content[at:]
    path.write_bytes(content)
    try:
        found = list(read_records(path))
    except DamagedRecords:
        return
    assert found == RECORDS[: len(found)]  # cut off between two records
    assert len(written(path, found).read_bytes()) == len(content)


def test_forged_length_allocates_nothing(tmp_path: Path) -> None:
    path = written(tmp_path / "file", [b"x"])
    header = (1 << 60).to_bytes(8, "little")
    path.write_bytes(header + path.read_bytes()[8:])
    with pytest.raises(DamagedRecords, match="at 0"):
        list(read_records(path))


def test_forged_length_ends_no_command_without_a_line(
    in_process: Groovae, trained: Path, tmp_path: Path
) -> None:
    length = struct.pack("<Q", 1 << 40)
    crc = tfrecord._masked_crc(length).to_bytes(4, "little")
    path = tmp_path / "forged.tfrecord"
    path.write_bytes(length + crc + bytes(100))
    for arguments in (
        ["info", path],
        ["evaluate", f"--examples_path={path}", f"--checkpoint={trained}"],
        ["train", f"--examples_path={path}", f"--hparams={TINY_HPARAMS}"],
    ):
        assert_one_line(in_process(*arguments), 1, f"{path}: damaged after record 0", "truncated")
