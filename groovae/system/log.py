"""Lines for the user: the type of a log, and the log that goes to stderr.

Functions of the library take a log and print nothing; the command line passes `log_to_stderr`.
"""

import contextlib
import re
import sys
from collections.abc import Callable

Log = Callable[[str], None]

# Control characters other than tab and newline, marks that change the direction of text, line
# separators, and bytes of file names that are not UTF-8.
_UNPRINTABLE = re.compile(
    r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]"
)


def no_log(line: str) -> None:
    """Drop the line."""


def log_to_stderr(line: str) -> None:
    """Write a line to stderr, with control characters as escapes.

    A failure to write, such as on a full disk, does not stop the command.
    """
    with contextlib.suppress(OSError):
        print(escape_controls(line), file=sys.stderr, flush=True)


def escape_controls(text: str) -> str:
    """Return the text with control characters as backslash escapes.

    Names of files and texts in models may hold sequences that a terminal would obey.

    >>> print(escape_controls("take" + chr(27) + "[2J.mid"))
    take\\x1b[2J.mid
    """
    return _UNPRINTABLE.sub(lambda match: match[0].encode("unicode_escape").decode(), text)
