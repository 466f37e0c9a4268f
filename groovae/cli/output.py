"""Output of the commands: the log goes to stderr, data to stdout."""

import io
import json
import math
import os
import sys
from typing import Any

from groovae.system.log import escape_controls, log_to_stderr

log = log_to_stderr


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


def print_text(text: str) -> None:
    """Print text for people, with control characters as escapes."""
    print(escape_controls(text), flush=True)


def print_json(value: dict[str, Any]) -> None:
    """Print one JSON object; a non-finite number becomes null."""
    print(json.dumps(_finite(value), indent=2, allow_nan=False))


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
