"""Files from elsewhere: fetched whole and checked by their SHA-256, or not at all.

A file is known by its address, its SHA-256 and, where somebody has published it, its length. Any
address that Python opens will do: https, http, ftp, and file:// for a copy on a disk.
"""

import contextlib
import dataclasses
import hashlib
import http.client
import tempfile
import urllib.request
from collections.abc import Callable, Iterator
from typing import BinaryIO

from groovae.errors import GroovaeError, UsageError

MAX_BYTES = 256 << 20
TIMEOUT_SECONDS = 60
CHUNK_BYTES = 1 << 16

Progress = Callable[[int], None]


@dataclasses.dataclass(frozen=True)
class RemoteFile:
    """A file to fetch: its address, SHA-256, and length in bytes, None where it is not known."""

    url: str
    sha256: str
    size: int | None = None


@contextlib.contextmanager
def fetched(remote: RemoteFile, progress: Progress = lambda done_bytes: None) -> Iterator[BinaryIO]:
    """Yields a file, read from its start, that is the one asked for; afterwards it is gone.

    Args:
      remote: What to fetch; where its length is not known, at most `MAX_BYTES`.
      progress: Called with the bytes that have come so far.

    Raises:
      UsageError: the address is none.
      GroovaeError: it cannot be reached, what comes is another file, or there is no room for it.
    """
    with contextlib.ExitStack() as stack:
        with _as_groovae_error():
            file = stack.enter_context(tempfile.TemporaryFile())
        digest, done = hashlib.sha256(), 0
        for chunk in _chunks(remote.url):
            with _as_groovae_error():
                file.write(chunk)
                file.flush()
            digest.update(chunk)
            done += len(chunk)
            progress(done)
            if done > (remote.size or MAX_BYTES):
                break
        _check(remote, done, digest.hexdigest())
        file.seek(0)
        yield file


def sha256_of(file: BinaryIO) -> str:
    """The SHA-256 of what is left to read of a file, in hexadecimal digits."""
    digest = hashlib.sha256()
    while chunk := file.read(CHUNK_BYTES):
        digest.update(chunk)
    return digest.hexdigest()


def _chunks(url: str) -> Iterator[bytes]:
    try:
        with urllib.request.urlopen(url, timeout=TIMEOUT_SECONDS) as response:
            while chunk := response.read(CHUNK_BYTES):
                yield chunk
    except (ValueError, http.client.InvalidURL) as error:
        raise UsageError(f"{url}: this is not an address to fetch from ({error})") from error
    except (OSError, http.client.HTTPException) as error:
        reason = getattr(error, "reason", error)
        raise GroovaeError(
            f"cannot fetch {url}: {reason}; try again, or name a mirror with --url"
        ) from error


def _check(remote: RemoteFile, size: int, sha256: str) -> None:
    if remote.size in (None, size) and sha256 == remote.sha256:
        return
    expected = f"{remote.size:,} with" if remote.size else "SHA-256"
    raise GroovaeError(
        f"{remote.url}: this is not the expected file: {size:,} bytes with SHA-256 "
        f"{sha256[:12]}..., expected {expected} {remote.sha256[:12]}..."
    )


@contextlib.contextmanager
def _as_groovae_error() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise GroovaeError(
            f"cannot write a temporary file: {error.strerror or error}; make room, or name another "
            "folder for such files with TMPDIR"
        ) from error
