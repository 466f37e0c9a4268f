"""Forged indices of checkpoints are refused before TensorFlow, which they would abort."""

import shutil
import tarfile
from collections.abc import Sequence
from pathlib import Path

import pytest
from conftest import Groovae, assert_one_line

from groovae.data.tfrecord import _masked_crc
from groovae.errors import GroovaeError
from groovae.model.checkpoint_index import (
    FOOTER_BYTES,
    MAGIC,
    _block,
    _entries,
    _handle,
    check_index,
)
from groovae.model.checkpoints import check_readable, variable_shapes

Entry = tuple[bytes, bytes]


def varint(value: int) -> bytes:
    value &= (1 << 64) - 1
    groups = [value >> shift & 127 for shift in range(0, 70, 7)]
    while len(groups) > 1 and not groups[-1]:
        groups.pop()
    return bytes([*(group | 128 for group in groups[:-1]), groups[-1]])


def field(number: int, value: int | bytes) -> bytes:
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    return varint(number << 3 | 2) + varint(len(value)) + value


def entry(dims: Sequence[int], dtype: int = 1, size: int = 4) -> bytes:
    shape = b"".join(field(2, field(1, dim)) for dim in dims)
    return field(1, dtype) + field(2, shape) + field(5, size)


def read_index(prefix: Path) -> list[Entry]:
    data = memoryview(Path(f"{prefix}.index").read_bytes())
    _, position = _handle(data[-FOOTER_BYTES:], 0)
    blocks, _ = _handle(data[-FOOTER_BYTES:], position)
    return [
        (key, bytes(value))
        for _, handle in _entries(_block(data, blocks))
        for key, value in _entries(_block(data, _handle(handle, 0)[0]))
    ]


def write_index(prefix: Path, entries: Sequence[Entry]) -> None:
    """Write an index of one block, with valid checksums."""
    data = b""

    def add_block(entries: Sequence[Entry]) -> bytes:
        nonlocal data
        block = b"".join(
            varint(0) + varint(len(key)) + varint(len(value)) + key + value
            for key, value in entries
        )
        block += (0).to_bytes(4, "little") + (1).to_bytes(4, "little")
        handle = varint(len(data)) + varint(len(block))
        data += block + b"\0" + _masked_crc(block + b"\0").to_bytes(4, "little")
        return handle

    handle = add_block(sorted(entries))
    footer = add_block([]) + add_block([(b"z", handle)])
    Path(f"{prefix}.index").write_bytes(data + footer.ljust(FOOTER_BYTES - 8, b"\0") + MAGIC)


@pytest.fixture
def checkpoint(trained: Path, tmp_path: Path) -> Path:
    for file in trained.glob("model.ckpt-3.*"):
        shutil.copy(file, tmp_path)
    return tmp_path / "model.ckpt-3"


FORGED = {
    "negative": (entry([-1]), "negative"),
    "two negative": (entry([-1, -1]), "negative"),
    "overflowing": (entry([1 << 40, 1 << 40]), "too large"),
    "large beside zero": (entry([0, 1 << 62, 1 << 62]), "too large"),
    "many dimensions": (entry([1] * 300), "too large"),
    "unknown type": (entry([1], dtype=99), "unknown type"),
    "no type": (field(2, b""), "unknown type"),
    "two types": (entry([1]) + field(1, 1), "repeated"),
    "text": (entry([1], dtype=7), "unknown type"),
    "size": (entry([2]), "another size"),
    "offset": (entry([1]) + field(4, 1 << 40), "truncated"),
    "message as offset": (entry([1]) + field(4, b"1"), "no valid place"),
    "slices": (entry([1]) + field(7, field(1, b"\x08\x03")), "partitioned"),
    "unknown rank": (field(1, 1) + field(2, field(3, b"")), "no shape"),
    "field 0": (field(1, 1) + field(2, field(2, b"\0\1")), "protobuf"),
    "no message": (b"\x0f", "protobuf"),
}


def test_index_written_by_the_test_is_read_by_tensorflow(checkpoint: Path) -> None:
    shapes = variable_shapes(str(checkpoint))
    entries = read_index(checkpoint)
    assert {key.decode() for key, _ in entries if key} == shapes.keys()
    write_index(checkpoint, entries)
    assert variable_shapes(str(checkpoint)) == shapes
    check_readable(str(checkpoint))


@pytest.mark.parametrize("name", FORGED)
def test_forged_entry_is_an_error(checkpoint: Path, name: str) -> None:
    forged, words = FORGED[name]
    write_index(checkpoint, [*read_index(checkpoint), (b"zzz", forged)])
    for read in (check_readable, variable_shapes):
        with pytest.raises(GroovaeError, match=f"model.ckpt-3: .*{words}"):
            read(str(checkpoint))


@pytest.mark.parametrize("size", [0, 10, 48, 100, 1000])
def test_truncated_index_is_an_error(checkpoint: Path, size: int) -> None:
    data = Path(f"{checkpoint}.index").read_bytes()
    for cut in (data[:size], data[: len(data) - 48 - size] + data[-48:], data[size:]):
        if cut != data:
            Path(f"{checkpoint}.index").write_bytes(cut)
            with pytest.raises(GroovaeError):
                variable_shapes(str(checkpoint))


def test_forged_archive_ends_no_command_without_a_line(
    in_process: Groovae, checkpoint: Path, cache_home: Path
) -> None:
    write_index(checkpoint, [*read_index(checkpoint), (b"zzz", entry([-1]))])
    with tarfile.open(checkpoint.parent / "x.tar", "w") as tar:
        for file in checkpoint.parent.glob("model.ckpt-3.*"):
            tar.add(file, f"x/{file.name}")
    for name in ("x.tar", checkpoint):
        result = in_process("sample", f"--checkpoint={name}", "--config=groovae_4bar")
        assert_one_line(result, 1, "model.ckpt-3: ", "negative")


def test_index_of_one_variable(tmp_path: Path) -> None:
    write_index(tmp_path / "x", [(b"", b""), (b"a", entry([2, 3], size=24))])
    check_index(tmp_path / "x")
    for header in (field(2, 1), field(1, b""), field(3, field(1, b"")), field(9, 0), b"\xff"):
        write_index(tmp_path / "x", [(b"", header)])
        with pytest.raises(ValueError, match=r"version|message|truncated"):
            check_index(tmp_path / "x")
