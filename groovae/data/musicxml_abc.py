"""MusicXML and ABC files to NoteSequences, by Magenta's own converters.

They come with TensorFlow and note_seq, which nothing else that reads music needs.
"""

import contextlib
import logging
import os
import tempfile
from collections.abc import Callable, Iterator
from typing import Any

from groovae.data.music_files import printable
from groovae.upstream import converter_script, tf

CONVERTERS: dict[str, Callable[[str, str, str], Any]] = {
    "MusicXML": converter_script.convert_musicxml,
    "ABC": converter_script.convert_abc,
}


def convert(kind: str, root: str, file: str) -> tuple[list[Any], list[str]]:
    """What is in a file: NoteSequences, and why some of it could not be converted.

    Args:
      kind: A key of CONVERTERS.
      root: The folder that was named.
      file: The path relative to it.

    Raises:
      OSError: it cannot be opened.
      Exception: whatever a broken file makes the parsers raise.
    """
    try:
        with _told() as reasons, _utf8_path(os.path.join(root, file)) as path:
            found = CONVERTERS[kind](printable(root), printable(os.path.dirname(file)), path) or []
    except tf.errors.OpError as error:
        raise OSError(str(error)) from error
    return (found if isinstance(found, list) else [found]), reasons


@contextlib.contextmanager
def _utf8_path(path: str) -> Iterator[str]:
    """TensorFlow opens only paths in UTF-8: for any other, a link whose name is printable."""
    if printable(path) == path:
        yield path
        return
    with tempfile.TemporaryDirectory() as folder:
        link = os.path.join(folder, printable(os.path.basename(path)))
        os.symlink(path, link)
        yield link


@contextlib.contextmanager
def _told() -> Iterator[list[str]]:
    """Collects why Magenta's converters skipped something: they tell only the log."""
    reasons: list[str] = []

    class Collector(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            if record.levelno == logging.WARNING:
                # 'Could not parse ... %s. It will be skipped. Error was: %s'
                reasons.append(str(tuple(record.args)[-1]) if record.args else record.getMessage())

    logger, collector = tf.get_logger(), Collector()
    level = logger.level
    handlers = logger.handlers[:]
    logger.handlers[:] = [collector]
    logger.setLevel(min(level, logging.WARNING) or logging.WARNING)
    try:
        yield reasons
    finally:
        logger.handlers[:] = handlers
        logger.setLevel(level)
