"""The two errors that reach the user as one line; `groovae.cli` turns them into exit codes.

A message names the rule that was broken, the value, the file, and what to do next.
"""


class GroovaeError(Exception):
    """Something failed: a file, a folder, a checkpoint, the machine. Exit code 1."""

    exit_code = 1


class UsageError(GroovaeError, ValueError):
    """The call itself is wrong: a flag, an argument, an hparam. Exit code 2."""

    exit_code = 2


def first_line(error: Exception) -> str:
    """The first line of an error that says something; TensorFlow's open with a heading."""
    lines = [line.strip() for line in str(error).splitlines()]
    return next((line for line in lines if line and not line.endswith(":")), type(error).__name__)


def missing(package: str | None) -> str:
    """What there is to say where a package is not installed."""
    return (
        f"the package {package} is missing, as in an install that only plays; see Installing in "
        "groovae's README"
    )
