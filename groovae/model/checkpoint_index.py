"""Check the index of a TensorFlow checkpoint before TensorFlow reads it.

TensorFlow ends the whole process when a dimension is negative or the number of elements overflows.
The index is a table of LevelDB (tensorflow/core/lib/io/table_format.txt): blocks of sorted keys
with their values, an index of the blocks, and a footer. The values are BundleEntryProto messages
(tensorflow/core/protobuf/tensor_bundle.proto), by the names of the variables.
"""

import math
import os
from collections.abc import Iterator

from groovae.model.protobuf import fields, message, varint
from groovae.system.regular_files import read_regular

MAX_BYTES = 256 << 20
FOOTER_BYTES = 48
MAGIC = 0xDB4775248B80FB57.to_bytes(8, "little")
TRAILER_BYTES = 5  # of a block: its compression, and a checksum that TensorFlow verifies
MAX_RANK = 254  # of TensorFlow
MAX_ELEMENTS = 1 << 40

# Field numbers of BundleEntryProto and TensorShapeProto.
ENTRY_TYPE, ENTRY_SHAPE, ENTRY_CHECKSUM = 1, 2, 6  # the last field of an unpartitioned variable
SHAPE_DIMENSION, DIMENSION_SIZE = 2, 1
KNOWN_TYPES = 23  # DT_FLOAT is 1, DT_HALF is 19, DT_UINT64 is 23


def check_index(prefix: str | os.PathLike[str]) -> None:
    """Check the shapes in the index of a checkpoint.

    Raises:
      OSError: it cannot be read.
      ValueError: it is damaged; the message gives the reason.
    """
    data = memoryview(read_regular(f"{os.fspath(prefix)}.index", MAX_BYTES))
    if len(data) < FOOTER_BYTES or data[-8:] != MAGIC:
        raise ValueError("the index is truncated, or not one of a checkpoint")
    footer = data[-FOOTER_BYTES:]
    _, position = _handle(footer, 0)  # of the block of metadata
    blocks, _ = _handle(footer, position)
    for _, value in _entries(_block(data, blocks)):
        for name, entry in _entries(_block(data, _handle(value, 0)[0])):
            if name:  # the first one is about the whole checkpoint
                _check_entry(name, entry)


def _handle(data: memoryview, position: int) -> tuple[slice, int]:
    """Return where a block is, and the position after this handle."""
    start, position = varint(data, position)
    size, position = varint(data, position)
    return slice(start, start + size), position


def _block(data: memoryview, where: slice) -> memoryview:
    """Return the entries of a block, without the list of restarts at its end."""
    block = data[where]
    if where.stop + TRAILER_BYTES > len(data) or len(block) < 4:
        raise ValueError("the index is truncated")
    if data[where.stop] != 0:
        raise ValueError("the index is compressed, as TensorFlow never does")
    restarts = 4 * int.from_bytes(block[-4:], "little") + 4
    if restarts > len(block):
        raise ValueError("the index is damaged")
    return block[:-restarts]


def _entries(block: memoryview) -> Iterator[tuple[bytes, memoryview]]:
    """Yield keys and values; a key repeats the start of the one before."""
    position, key = 0, b""
    while position < len(block):
        shared, position = varint(block, position)
        size, position = varint(block, position)
        value_size, position = varint(block, position)
        end = position + size
        if shared > len(key) or end + value_size > len(block):
            raise ValueError("the index is damaged")
        key = key[:shared] + bytes(block[position:end])
        position = end + value_size
        yield key, block[end:position]


def _check_entry(name: bytes, entry: memoryview) -> None:
    shown = name.decode("utf-8", "backslashreplace")[:80]
    types = []
    for field, value in fields(entry):
        if not 0 < field <= ENTRY_CHECKSUM:
            raise ValueError(f"{shown} is partitioned, or of a later version")
        if field == ENTRY_TYPE:
            types.append(value)
        elif field == ENTRY_SHAPE:
            _check_shape(shown, message(value))
    if len(types) != 1 or not isinstance(types[0], int) or not 0 < types[0] <= KNOWN_TYPES:
        raise ValueError(f"{shown} has an unknown type")


def _check_shape(name: str, shape: memoryview) -> None:
    sizes = []
    for field, value in fields(shape):
        if field != SHAPE_DIMENSION:
            raise ValueError(f"{name} has no shape")
        sizes.append(_size(message(value)))
    # A negative size is a large number here.
    if len(sizes) > MAX_RANK or math.prod(size or 1 for size in sizes) > MAX_ELEMENTS:
        raise ValueError(f"{name} has a shape that is negative or too large")


def _size(dimension: memoryview) -> int:
    size = 0
    for field, value in fields(dimension):
        if field == DIMENSION_SIZE:
            if not isinstance(value, int):
                raise ValueError("the index is damaged")
            size = value
    return size
