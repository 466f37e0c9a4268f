"""Read files that must be regular: a pipe or device in their place would block or never end."""

import errno
import json
import os
import stat
from pathlib import Path
from typing import Any, BinaryIO

MAX_TEXT_BYTES = 16 << 20  # of JSON and CSV files that groovae writes


def open_regular(path: str | os.PathLike[str]) -> BinaryIO:
    """Open a file for reading; follow links.

    Raises:
      OSError: it cannot be opened, or is not a regular file.
    """
    handle = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
    if not stat.S_ISREG(os.fstat(handle).st_mode):
        os.close(handle)
        raise OSError(errno.EINVAL, "not a regular file", os.fspath(path))
    return open(handle, "rb")


def read_regular(path: str | os.PathLike[str], max_bytes: int = MAX_TEXT_BYTES) -> bytes:
    """Return the content of a file.

    Raises:
      OSError: it cannot be read, is not a regular file, or is larger than `max_bytes`.
    """
    with open_regular(path) as file:
        data = file.read(max_bytes + 1)
    if len(data) > max_bytes:
        raise OSError(errno.EFBIG, f"larger than {max_bytes:,} bytes", os.fspath(path))
    return data


def read_text(path: str | os.PathLike[str], max_bytes: int = MAX_TEXT_BYTES) -> str:
    """Return the content of a UTF-8 file; see `read_regular`.

    Raises:
      OSError: as `read_regular`.
      ValueError: it is not UTF-8.
    """
    return read_regular(path, max_bytes).decode("utf-8")


def parse_json(text: str | bytes) -> Any:
    """Return the value of a JSON text.

    Raises:
      ValueError: it is not JSON, or too deeply nested for Python's parser.
    """
    try:
        return json.loads(text)
    except RecursionError as error:
        raise ValueError("JSON that is nested too deeply") from error


def read_json(path: str | os.PathLike[str], max_bytes: int = MAX_TEXT_BYTES) -> Any:
    """Return the value of a JSON file; see `read_regular` and `parse_json`."""
    return parse_json(read_text(Path(path), max_bytes))
