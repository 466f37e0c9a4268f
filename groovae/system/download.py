"""Download a file and verify its SHA-256.

A file is known by its URL, its SHA-256 and, if published, its length. Any URL that Python opens
will do: https, http, ftp, and file:// for a local copy.
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
from groovae.system.temporary import cannot_write

MAX_BYTES = 256 << 20
TIMEOUT_SECONDS = 60
CHUNK_BYTES = 1 << 16

Progress = Callable[[int], None]


@dataclasses.dataclass(frozen=True)
class RemoteFile:
    """A file to download: its URL, SHA-256, and length in bytes, or None if unknown."""

    url: str
    sha256: str
    size: int | None = None


@contextlib.contextmanager
def fetched(remote: RemoteFile, progress: Progress = lambda done_bytes: None) -> Iterator[BinaryIO]:
    """Download a file and yield it, open at its start; it is deleted after the block.

    Args:
      remote: The file; if its length is unknown, at most `MAX_BYTES` are downloaded.
      progress: Called with the number of bytes received so far.

    Raises:
      UsageError: the URL is invalid.
      GroovaeError: the download failed, its length or SHA-256 differs, or the disk is full.
    """
    with contextlib.ExitStack() as stack:
        try:
            file = stack.enter_context(tempfile.TemporaryFile())
            size = 0
            for chunk in _chunks(remote.url):
                file.write(chunk)
                file.flush()
                size += len(chunk)
                progress(size)
                if size > (remote.size or MAX_BYTES):
                    break
            file.seek(0)
        except OSError as error:
            raise cannot_write(error) from error
        _check(remote, size, sha256_of(file))
        file.seek(0)
        yield file


def sha256_of(file: BinaryIO) -> str:
    """Return the SHA-256 of the rest of a file, in hexadecimal digits.

    >>> import io
    >>> sha256_of(io.BytesIO(b"groove"))[:16]
    '82ee927c614909da'
    """
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
        raise UsageError(f"{url}: invalid URL ({error})") from error
    except (OSError, http.client.HTTPException) as error:
        reason = getattr(error, "reason", error)
        raise GroovaeError(
            f"cannot download {url}: {reason}; try again, or name a mirror with --url"
        ) from error


def _check(remote: RemoteFile, size: int, sha256: str) -> None:
    if remote.size in (None, size) and sha256 == remote.sha256:
        return
    expected = f"{remote.size:,} bytes with " if remote.size else ""
    raise GroovaeError(
        f"{remote.url}: not the expected file: {size:,} bytes with SHA-256 {sha256[:12]}..., "
        f"expected {expected}SHA-256 {remote.sha256[:12]}..."
    )
