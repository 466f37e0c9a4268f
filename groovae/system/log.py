"""The type of a log: a function that takes one line for the user.

The library never prints; the command line passes a function that writes to stderr.
"""

from collections.abc import Callable

Log = Callable[[str], None]


def no_log(line: str) -> None:
    """Drop the line."""
