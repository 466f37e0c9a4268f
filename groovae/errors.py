"""The two errors that reach the user as one line; `groovae.cli` turns them into exit codes.

A message names the rule that was broken, the value, the file, and what to do next.
"""


class GroovaeError(Exception):
    """Something failed: a file, a folder, a checkpoint, the machine. Exit code 1."""

    exit_code = 1


class UsageError(GroovaeError, ValueError):
    """The call itself is wrong: a flag, an argument, an hparam. Exit code 2."""

    exit_code = 2
