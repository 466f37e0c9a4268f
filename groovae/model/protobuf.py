"""Read protobuf messages without their definitions, to check files before a parser in C++ does.

    for field, value in fields(memoryview(data)):
        ...

Everything raises ValueError for data that is no message.
"""

from collections.abc import Iterator

Value = int | memoryview


def fields(data: memoryview) -> Iterator[tuple[int, Value]]:
    """Yield number and value of each field of a protobuf message."""
    position = 0
    while position < len(data):
        key, position = varint(data, position)
        field, wire_type = key >> 3, key & 7
        if not 0 < field < 1 << 29:
            raise ValueError("not a protobuf message")
        if wire_type == 0:
            value, position = varint(data, position)
            yield field, value
            continue
        if wire_type == 2:
            size, position = varint(data, position)
        elif wire_type in (1, 5):
            size = {1: 8, 5: 4}[wire_type]
        else:
            raise ValueError("not a protobuf message")
        if size > len(data) - position:
            raise ValueError("truncated")
        yield field, data[position : position + size]
        position += size


def varint(data: memoryview, position: int) -> tuple[int, int]:
    """Return the variable-length integer at a position, and the position after it."""
    value = 0
    for shift in range(0, 70, 7):
        if position >= len(data):
            raise ValueError("truncated")
        byte = data[position]
        position += 1
        value |= (byte & 127) << shift
        if byte < 128:
            return value, position
    raise ValueError("not a protobuf message")


def varints(data: memoryview) -> Iterator[int]:
    position = 0
    while position < len(data):
        value, position = varint(data, position)
        yield value


def message(value: Value) -> memoryview:
    if isinstance(value, int):
        raise ValueError("not a protobuf message")
    return value


def text(value: Value) -> str:
    return bytes(message(value)).decode("utf-8", "replace")
