"""Check the index of a TensorFlow checkpoint before TensorFlow reads it.

TensorFlow ends the whole process when a dimension is negative or the number of elements overflows.
The index is a table of LevelDB (tensorflow/core/lib/io/table_format.txt): blocks of sorted keys
with their values, an index of the blocks, and a footer. The values are BundleEntryProto messages
(tensorflow/core/protobuf/tensor_bundle.proto), by the names of the variables.
"""

import math
import os
from collections.abc import Iterator

from groovae.model.protobuf import Value, fields, message, varint
from groovae.system.regular_files import read_regular

MAX_BYTES = 256 << 20
FOOTER_BYTES = 48
MAGIC = 0xDB4775248B80FB57.to_bytes(8, "little")
TRAILER_BYTES = 5  # of a block: its compression, and a checksum that TensorFlow verifies
MAX_RANK = 254  # of TensorFlow
MAX_ELEMENTS = 1 << 40

# Field numbers of BundleHeaderProto, BundleEntryProto and TensorShapeProto.
HEADER_SHARDS, HEADER_ENDIANNESS, HEADER_VERSION = 1, 2, 3
ENTRY_TYPE, ENTRY_SHAPE, ENTRY_SHARD, ENTRY_OFFSET, ENTRY_SIZE, ENTRY_CHECKSUM = range(1, 7)
SHAPE_DIMENSION, DIMENSION_SIZE = 2, 1
# Bytes of an element by type, as of tensorflow/core/framework/types.proto; no model has strings.
TYPE_BYTES = {1: 4, 2: 8, 3: 4, 4: 1, 5: 2, 6: 1, 8: 8, 9: 8, 10: 1, 14: 2, 17: 2, 18: 16, 19: 2}
TYPE_BYTES |= {22: 4, 23: 8}


def check_index(prefix: str | os.PathLike[str]) -> None:
    """Check the shapes in the index of a checkpoint, and that its data is long enough.

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
    num_shards, ends = 1, dict[int, int]()
    for _, value in _entries(_block(data, blocks)):
        for name, entry in _entries(_block(data, _handle(value, 0)[0])):
            if name:
                shard, end = _check_entry(name.decode("utf-8", "backslashreplace")[:80], entry)
                ends[shard] = max(end, ends.get(shard, 0))
            else:
                num_shards = _check_header(entry)
    for shard, end in ends.items():
        path = f"{os.fspath(prefix)}.data-{shard:05}-of-{num_shards:05}"
        if os.path.exists(path) and os.path.getsize(path) < end:
            raise ValueError(f"{os.path.basename(path)} is truncated")


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


def _check_header(header: memoryview) -> int:
    """Check the first entry, which is about the whole checkpoint; return the number of shards."""
    num_shards: Value = 0
    for field, value in _once(header).items():
        if field == HEADER_VERSION:
            versions = _once(message(value))
            is_known = all(isinstance(version, int) for version in versions.values())
        else:
            is_known = field == HEADER_SHARDS or (field == HEADER_ENDIANNESS and value == 0)
        if field == HEADER_SHARDS:
            num_shards = value
        if not is_known:
            raise ValueError("the index is of another version")
    if not isinstance(num_shards, int):
        raise ValueError("the index is of another version")
    return num_shards


def _check_entry(name: str, entry: memoryview) -> tuple[int, int]:
    """Check that a variable has a known type, and a shape that fits its size in bytes.

    Returns:
      The number of its shard, and the position there after its last byte.
    """
    found = _once(entry)
    shape, checksum = found.pop(ENTRY_SHAPE, memoryview(b"")), found.pop(ENTRY_CHECKSUM, None)
    if unknown := found.keys() - {ENTRY_TYPE, ENTRY_SHARD, ENTRY_OFFSET, ENTRY_SIZE}:
        raise ValueError(f"{name} is partitioned, or of a later version (field {min(unknown)})")
    numbers = {field: value for field, value in found.items() if isinstance(value, int)}
    if len(numbers) < len(found) or isinstance(checksum, int):
        raise ValueError(f"{name} has no valid place")
    element_bytes = TYPE_BYTES.get(numbers.get(ENTRY_TYPE, 0))
    if element_bytes is None:
        raise ValueError(f"{name} has an unknown type")
    size = math.prod(_sizes(name, message(shape))) * element_bytes
    if size != numbers.get(ENTRY_SIZE, 0):
        raise ValueError(f"{name} has another size than its shape")
    return numbers.get(ENTRY_SHARD, 0), numbers.get(ENTRY_OFFSET, 0) + size


def _once(data: memoryview) -> dict[int, Value]:
    """Return the fields of a message by number; none may be repeated."""
    found = list(fields(data))
    if len(dict(found)) < len(found):
        raise ValueError("a field is repeated")
    return dict(found)


def _sizes(name: str, shape: memoryview) -> list[int]:
    """Return the dimensions of a shape, which are not negative."""
    sizes = []
    for field, value in fields(shape):
        dimension = _once(message(value))
        size = dimension.get(DIMENSION_SIZE, 0)
        if field != SHAPE_DIMENSION or dimension.keys() - {DIMENSION_SIZE}:
            raise ValueError(f"{name} has no shape")
        # A negative size is a large number here.
        if not isinstance(size, int) or size > MAX_ELEMENTS:
            raise ValueError(f"{name} has a shape that is negative or too large")
        sizes.append(size)
    if len(sizes) > MAX_RANK or math.prod(size or 1 for size in sizes) > MAX_ELEMENTS:
        raise ValueError(f"{name} has a shape that is negative or too large")
    return sizes
