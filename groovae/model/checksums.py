"""SHA-256 of exported files: `config.json` has them, and no other file is taken for one of them."""

import hashlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from groovae.errors import GroovaeError


def sums_of(folder: Path, names: Iterable[str]) -> dict[str, dict[str, str]]:
    """What `config.json` says below `files`: `{name: {"sha256": ...}}`."""
    return {name: {"sha256": sha256_of((folder / name).read_bytes())} for name in names}


def read_whole(path: Path, files: dict[str, Any]) -> bytes:
    """The bytes of a file that `sums_of` tells of in `files`.

    Raises:
      GroovaeError: it cannot be read, or it is another one than was exported.
    """
    try:
        if path.exists() and not path.is_file():  # a pipe would be waited for
            raise ValueError("it is no file")
        data = path.read_bytes()
    except (OSError, ValueError) as error:  # of a name with a NUL
        why = getattr(error, "strerror", None) or error
        raise GroovaeError(f"cannot read {path}: {why}; export it again") from error
    known = files.get(path.name)
    if not isinstance(known, dict) or known.get("sha256") != sha256_of(data):
        raise GroovaeError(
            f"{path}: this is not the file that config.json beside it tells of (its SHA-256 "
            "differs); export it again with `groovae export`"
        )
    return data


def sha256_of(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
