"""Files at addresses such as gs://bucket/name, which TensorFlow reads.

Errors are raised as OSError or DamagedRecords, as those of local files.
"""

import contextlib
from collections.abc import Iterator

from groovae import upstream
from groovae.data.tfrecord import DamagedRecords
from groovae.errors import first_line
from groovae.upstream import tf

READ_BYTES = 1 << 20


@contextlib.contextmanager
def _os_errors() -> Iterator[None]:
    try:
        yield
    except tf.errors.OpError as error:
        raise OSError(first_line(error)) from error


def exists(path: str) -> bool:
    with _os_errors():
        return tf.gfile.Exists(path)


def find(pattern: str) -> list[str]:
    with _os_errors():
        return tf.gfile.Glob(pattern)


def is_folder(path: str) -> bool:
    with _os_errors():
        return tf.gfile.IsDirectory(path)


def read(path: str) -> tuple[int, Iterator[bytes]]:
    """Return the size of a file, and its bytes in parts."""
    with _os_errors():
        return tf.gfile.Stat(path).length, _parts(path)


def read_records(path: str) -> Iterator[bytes]:
    """Yield the records of a TFRecord file."""
    try:
        yield from upstream.read_records(path)
    except tf.errors.OpError as error:
        raise DamagedRecords(first_line(error)) from error


def _parts(path: str) -> Iterator[bytes]:
    with _os_errors(), tf.gfile.GFile(path, "rb") as file:
        while data := file.read(READ_BYTES):
            yield data
