"""Temporary files and folders, removed at the end of the block."""

import contextlib
import tempfile
from collections.abc import Iterator
from typing import IO

from groovae.errors import GroovaeError


@contextlib.contextmanager
def temporary_folder() -> Iterator[str]:
    """Yield the path of an empty folder; see `cannot_write` for its error."""
    with contextlib.ExitStack() as stack:
        try:
            folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="groovae-"))
        except OSError as error:
            raise cannot_write(error) from error
        yield folder


@contextlib.contextmanager
def temporary_file() -> Iterator[IO[bytes]]:
    """Yield a file that has no name; see `cannot_write` for its error."""
    with contextlib.ExitStack() as stack:
        try:
            file = stack.enter_context(tempfile.TemporaryFile())
        except OSError as error:
            raise cannot_write(error) from error
        yield file


def cannot_write(error: OSError) -> GroovaeError:
    """Return the error for a temporary file that cannot be made, or written."""
    return GroovaeError(
        f"cannot write a temporary file: {error.strerror or error}; free some space, or set TMPDIR "
        "to another folder"
    )
