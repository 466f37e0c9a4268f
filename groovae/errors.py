"""The two exceptions for expected failures; the command line prints one line and exits.

A message names the broken rule, the value, the file, and what to do next.
"""

import numbers
import re
import reprlib
from typing import Any

MAX_NUMBER = 1e9  # of arguments and flags without a bound of their own
MAX_WHOLE = 2**31 - 1

_SHORT = reprlib.Repr()
_SHORT.maxlist = _SHORT.maxtuple = 12
_SHORT.maxstring = _SHORT.maxother = 60


class GroovaeError(Exception):
    """An operation failed: a file, a folder, a checkpoint, the machine. Exit code 1."""

    exit_code = 1


class UsageError(GroovaeError, ValueError):
    """The call is wrong: a flag, an argument, an hparam. Exit code 2."""

    exit_code = 2


def check_number(name: str, value: Any, least: float, most: float = MAX_NUMBER) -> None:
    """Raise a UsageError for an argument that is not a number in a range."""
    is_number = isinstance(value, numbers.Real)
    if not is_number or not least <= value <= most:  # NaN included
        raise UsageError(
            f"{name} must be a number from {least:g} to {most:g}, got {shorten_value(value)}"
        )


def check_whole(name: str, value: Any, least: int, most: int = MAX_WHOLE) -> None:
    """Raise a UsageError for an argument that is not a whole number in a range."""
    is_whole = isinstance(value, numbers.Integral)
    if not is_whole or not least <= value <= most:
        raise UsageError(
            f"{name} must be a whole number from {least:,} to {most:,}, got {shorten_value(value)}"
        )


def first_line(error: Exception) -> str:
    """Return the first line of an error that is neither empty nor a heading, as TensorFlow's have.

    TensorFlow's errors may begin with a stack trace that ends with a line `Node: ...`.

    >>> first_line(ValueError("Error in shapes:\\n  [3] and [4] differ"))
    '[3] and [4] differ'
    """
    after_trace = re.split("^Node: .*$", str(error), maxsplit=1, flags=re.MULTILINE)[-1]
    lines = [line.strip() for line in after_trace.splitlines()]
    return next((line for line in lines if line and not line.endswith(":")), type(error).__name__)


def shorten_value(value: Any) -> str:
    """Return a value for an error message.

    >>> shorten_value([8] * 3000)
    '[8, 8, 8, 8, 8, 8, 8, 8, 8, 8, 8, 8, ...]'
    """
    text = _SHORT.repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."


def missing_package(name: str | None) -> str:
    """Return the message for a package that is not installed."""
    return (
        f"the package {name} is missing (the inference-only install leaves it out); see "
        "docs/install.md in groovae's repository"
    )
