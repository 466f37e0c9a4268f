"""Files that are either the old one whole or the new one whole, never in between."""

import contextlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from groovae.errors import GroovaeError


@contextlib.contextmanager
def replacing(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Yields a temporary path beside `path`, which takes its place when the block ends well.

    Parent folders are made. If the block raises, or the file cannot be written, `path` is as it
    was and no temporary file stays behind.

    Raises:
      GroovaeError: the place cannot be written to, or the disk is full.
    """
    path = Path(os.path.realpath(os.path.expanduser(path)))
    with _as_groovae_error(path):
        if path.exists() and not path.is_file():
            raise GroovaeError(f"cannot write {path}: it is not a file")
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".tmp", dir=path.parent)
        os.close(handle)
        temporary = Path(name)
        try:
            yield temporary
            _sync(temporary)
            _put(temporary, path, 0o666)
        finally:
            temporary.unlink(missing_ok=True)


@contextlib.contextmanager
def replacing_directory(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Like `replacing`, for a folder that does not exist yet or is empty."""
    path = Path(os.path.realpath(os.path.expanduser(path)))
    with _as_groovae_error(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = Path(tempfile.mkdtemp(prefix=f".{path.name}.", suffix=".tmp", dir=path.parent))
        try:
            yield temporary
            _put(temporary, path, 0o777)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)


def write_json(path: str | os.PathLike[str], value: Any) -> None:
    """Writes `value` as indented JSON, atomically."""
    with replacing(path) as temporary:
        temporary.write_text(json.dumps(value, indent=2, ensure_ascii=False) + "\n", "utf-8")


@contextlib.contextmanager
def _as_groovae_error(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise GroovaeError(f"cannot write {path}: {error.strerror or error}") from error


def _put(temporary: Path, path: Path, mode: int) -> None:
    os.chmod(temporary, mode & ~_umask())
    os.replace(temporary, path)
    _sync(path.parent)


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
