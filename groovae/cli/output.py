"""Output of the commands: the log goes to stderr, data to stdout."""

import contextlib
import io
import json
import math
import os
import re
import sys
from typing import Any

# Control characters other than tab and newline, marks that change the direction of text, line
# separators, and bytes of file names that are not UTF-8.
_UNPRINTABLE = re.compile(
    r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]"
)


def open_missing_streams() -> None:
    """Open the null device in the place of closed file descriptors 0, 1 and 2.

    Otherwise the next file that is opened would get their number, and what is written to stderr,
    also by C++, would land in it.
    """
    for number, name, mode in ((0, "stdin", "r"), (1, "stdout", "w"), (2, "stderr", "w")):
        try:
            os.fstat(number)
        except OSError:
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)
            setattr(sys, name, os.fdopen(number, mode, encoding="utf-8", closefd=False))


def accept_any_text() -> None:
    """Write characters that the encoding of stdout or stderr lacks as escapes, not as an error."""
    for stream in (sys.stdout, sys.stderr):
        # This pair, of the C locale, writes any file name as it is.
        if isinstance(stream, io.TextIOWrapper) and (
            (stream.encoding.lower(), stream.errors) != ("utf-8", "surrogateescape")
        ):
            stream.reconfigure(errors="backslashreplace")


def escape_controls(text: str) -> str:
    """Return the text with control characters as backslash escapes.

    Names of files and texts in models may hold sequences that a terminal would obey.

    >>> print(escape_controls("take" + chr(27) + "[2J.mid"))
    take\\x1b[2J.mid
    """
    return _UNPRINTABLE.sub(lambda match: match[0].encode("unicode_escape").decode(), text)


def log(line: str) -> None:
    """Write a line to stderr, with control characters as escapes.

    A failure to write, such as on a full disk, does not stop the command.
    """
    with contextlib.suppress(OSError):
        print(escape_controls(line), file=sys.stderr, flush=True)


def print_text(text: str) -> None:
    """Print text for people, with control characters as escapes."""
    print(escape_controls(text))


def print_json(value: dict[str, Any]) -> None:
    """Print one JSON object; a non-finite number becomes null."""
    print(json.dumps(_finite(value), indent=2, allow_nan=False))


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
