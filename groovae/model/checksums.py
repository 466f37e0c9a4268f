"""SHA-256 checksums of exported files: stored in `config.json`, verified on loading."""

import hashlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from groovae.errors import GroovaeError
from groovae.system.regular_files import read_regular

MAX_BYTES = 2 << 30  # an ONNX file cannot be larger


def checksums_of(folder: Path, names: Iterable[str]) -> dict[str, dict[str, str]]:
    """Return the value of `files` in `config.json`: `{name: {"sha256": ...}}`."""
    return {name: {"sha256": _sha256((folder / name).read_bytes())} for name in names}


def read_verified(path: Path, files: dict[str, Any]) -> bytes:
    """Read a file and verify its checksum in `files`, which is as from `checksums_of`.

    Raises:
      GroovaeError: the file cannot be read, or its checksum differs or is missing.
    """
    try:
        data = read_regular(path, MAX_BYTES)
    except (OSError, ValueError) as error:  # ValueError: a NUL in the name
        reason = getattr(error, "strerror", None) or error
        raise GroovaeError(f"cannot read {path}: {reason}; export it again") from error
    expected = files.get(path.name)
    if not isinstance(expected, dict) or expected.get("sha256") != _sha256(data):
        raise GroovaeError(
            f"{path}: its SHA-256 differs from the one in config.json; export it again with "
            "`groovae export`"
        )
    return data


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
