"""Convert MusicXML and ABC files to NoteSequences by Magenta's converters."""

import contextlib
import logging
import os
from collections.abc import Callable, Iterator
from typing import Any

from groovae.data.music_files import printable
from groovae.system.temporary import temporary_folder
from groovae.upstream import converter_script, tf

CONVERTERS: dict[str, Callable[[str, str, str], Any]] = {
    "MusicXML": converter_script.convert_musicxml,
    "ABC": converter_script.convert_abc,
}


def convert(kind: str, root: str, file: str) -> tuple[list[Any], list[str]]:
    """Convert a file; return its NoteSequences, and the reasons why tunes were skipped.

    Args:
      kind: A key of CONVERTERS.
      root: The input folder.
      file: The path relative to it.

    Raises:
      OSError: the file cannot be opened.
      Exception: an error of any type by the parser of a damaged file.
    """
    try:
        with _skip_reasons() as reasons, _utf8_path(os.path.join(root, file)) as path:
            found = CONVERTERS[kind](printable(root), printable(os.path.dirname(file)), path) or []
    except tf.errors.OpError as error:
        raise OSError(str(error)) from error
    return (found if isinstance(found, list) else [found]), reasons


@contextlib.contextmanager
def _utf8_path(path: str) -> Iterator[str]:
    """Yield the path, or a link with a UTF-8 name, since TensorFlow opens no other names."""
    if printable(path) == path:
        yield path
        return
    with temporary_folder() as folder:
        link = os.path.join(folder, printable(os.path.basename(path)))
        os.symlink(path, link)
        yield link


@contextlib.contextmanager
def _skip_reasons() -> Iterator[list[str]]:
    """Collect the reasons that Magenta's converters write to TensorFlow's log only."""
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
