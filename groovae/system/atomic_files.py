"""Files that are either the old one whole or the new one whole, never in between.

So are files that belong together, such as records and their report (`atomic_write_all`): what a
kill -9 leaves half done, the next command that comes by brings to its end (`finish_interrupted`).
For that, a small hidden file lists the renames while they are going on. Locks (flock) keep
processes apart that write into one folder at once, and tell an abandoned temporary file from one at
work. Where the file system has no locks, all of this still holds for one process at a time, but
what a kill -9 abandons stays.
"""

import contextlib
import fcntl
import json
import os
import re
import shutil
import socket
import tempfile
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from groovae.errors import GroovaeError

JOURNAL = ".groovae-commit.json"
LOCK = ".groovae-lock"


@contextlib.contextmanager
def atomic_write(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Yields a temporary path beside `path`, which takes its place when the block ends well.

    Parent folders are made. If the block raises, or the file cannot be written, `path` is as it
    was and no temporary file stays behind.

    Raises:
      GroovaeError: the place cannot be written to, or the disk is full.
    """
    with atomic_write_all([path]) as (temporary,):
        yield temporary


@contextlib.contextmanager
def atomic_write_all(paths: Sequence[str | os.PathLike[str]]) -> Iterator[list[Path]]:
    """Like `atomic_write`, for several files, of which those in one folder are replaced together.

    Raises:
      GroovaeError: as `atomic_write`. Where this happens in the midst of the renames themselves,
      the
        next `finish_interrupted` goes on with them.
    """
    targets = [_real(path) for path in paths]
    with contextlib.ExitStack() as stack:
        temporaries = [stack.enter_context(_temporary(target)) for target in targets]
        with _as_groovae_error(targets[0]):
            yield temporaries
            for temporary in temporaries:
                os.chmod(temporary, 0o666 & ~_umask())
                sync(temporary)
            if len(targets) == 1:
                os.replace(temporaries[0], targets[0])
                sync(targets[0].parent)
            else:
                _put_together(temporaries, targets)


def finish_interrupted(folder: str | os.PathLike[str]) -> None:
    """Ends what a killed `atomic_write_all` began to put in place in `folder`; else does nothing.

    Raises:
      GroovaeError: the folder cannot be written to, or its list of renames is not groovae's.
    """
    path = _real(folder)
    if os.path.lexists(path / JOURNAL):
        with _as_groovae_error(path / JOURNAL), _locked(path):
            _finish(path)


@contextlib.contextmanager
def atomic_directory(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Like `atomic_write`, for a folder that does not exist yet or is empty."""
    path = _real(path)
    with _as_groovae_error(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        with _locked(path.parent):
            _remove_abandoned(path)
            name = tempfile.mkdtemp(prefix=f".{path.name}.", suffix=".tmp", dir=path.parent)
            handle = os.open(name, os.O_RDONLY)
            _try_lock(handle)
        try:
            yield Path(name)
            os.chmod(name, 0o777 & ~_umask())
            os.replace(name, path)
            sync(path.parent)
        finally:
            shutil.rmtree(name, ignore_errors=True)
            os.close(handle)


@contextlib.contextmanager
def exclusive(folder: str | os.PathLike[str], does: str) -> Iterator[None]:
    """Keeps other processes from doing the same in `folder`, until the block or the process ends.

    Args:
      folder: Is made where it is missing, and removed again where it stays empty.
      does: What a second process is told that the first one does, such as "trains here".

    Raises:
      GroovaeError: another process does so, or the folder cannot be written to.
    """
    path = _real(folder) / LOCK
    with _as_groovae_error(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
    try:
        with _as_groovae_error(path):
            _lock_or_raise(handle, path, f"{folder}: another process {does}")
        try:
            yield
        finally:
            path.unlink(missing_ok=True)
            with contextlib.suppress(OSError):
                path.parent.rmdir()
    finally:
        os.close(handle)


def _lock_or_raise(handle: int, path: Path, message: str) -> None:
    """Locks the file and writes into it whose it is."""
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        # One that was removed meanwhile, by the process that has just ended, guards nothing.
        is_ours = path.exists() and os.path.samestat(os.stat(path), os.fstat(handle))
    except BlockingIOError:
        is_ours = False
    except OSError:  # The file system has no locks.
        is_ours = True
    if not is_ours:
        who = os.pread(handle, 200, 0).decode("utf-8", "replace").strip()
        raise GroovaeError(f"{message} ({who}); wait for it, or name another folder")
    os.truncate(handle, 0)
    os.pwrite(handle, f"process {os.getpid()} on {socket.gethostname()}".encode(), 0)


def write_json(path: str | os.PathLike[str], value: Any) -> None:
    """Writes `value` as indented JSON, atomically."""
    with atomic_write(path) as temporary:
        temporary.write_text(json_text(value), "utf-8")


def json_text(value: Any) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False) + "\n"


@contextlib.contextmanager
def _temporary(target: Path) -> Iterator[Path]:
    """A temporary file beside `target`, locked as long as someone is at it."""
    with _as_groovae_error(target):
        if target.exists() and not target.is_file():
            raise GroovaeError(f"cannot write {target}: it is not a file")
        target.parent.mkdir(parents=True, exist_ok=True)
        with _locked(target.parent):
            _finish(target.parent)
            _remove_abandoned(target)
            handle, name = tempfile.mkstemp(
                prefix=f".{target.name}.", suffix=".tmp", dir=target.parent
            )
            _try_lock(handle)
    try:
        yield Path(name)
    finally:
        if not os.path.lexists(target.parent / JOURNAL):
            Path(name).unlink(missing_ok=True)
        os.close(handle)


def _remove_abandoned(target: Path) -> None:
    """Removes what killed processes left behind when they were replacing `target`."""
    (target.parent / f"{JOURNAL}.tmp").unlink(missing_ok=True)
    temporary = _temporary_name(target.name)
    for name in os.listdir(target.parent):
        if temporary.fullmatch(name):
            with contextlib.suppress(OSError):
                handle = os.open(target.parent / name, os.O_RDONLY | os.O_NONBLOCK)
                try:
                    if _try_lock(handle):
                        remove = shutil.rmtree if os.path.isdir(handle) else os.unlink
                        remove(target.parent / name)
                finally:
                    os.close(handle)


def _temporary_name(name: str) -> re.Pattern[str]:
    return re.compile(rf"\.{re.escape(name)}\.[a-z0-9_]{{8}}\.tmp")


def _put_together(temporaries: list[Path], targets: list[Path]) -> None:
    moves: dict[Path, dict[str, str]] = defaultdict(dict)
    for temporary, target in zip(temporaries, targets, strict=True):
        moves[target.parent][temporary.name] = target.name
    for folder, names in moves.items():
        with _locked(folder):
            try:
                _write_journal(folder, names)
                _finish(folder)
            except KeyboardInterrupt:
                _finish(folder)
                raise


def _write_journal(folder: Path, moves: dict[str, str]) -> None:
    temporary = folder / f"{JOURNAL}.tmp"
    temporary.write_text(json.dumps(moves))
    sync(temporary)
    os.replace(temporary, folder / JOURNAL)
    sync(folder)


def _finish(folder: Path) -> None:
    """Does the renames that the journal lists, from wherever they stopped. The lock is held."""
    journal = folder / JOURNAL
    if not os.path.lexists(journal):
        return
    for temporary, name in _read_journal(journal).items():
        with contextlib.suppress(FileNotFoundError):  # This one was done before.
            os.replace(folder / temporary, folder / name)
    sync(folder)
    journal.unlink(missing_ok=True)


def _read_journal(journal: Path) -> dict[str, str]:
    """The renames, of which none can reach out of the folder, or move what is no temporary file."""
    try:
        moves = json.loads(journal.read_text("utf-8"))
        for temporary, name in moves.items():
            if os.path.basename(name) != name or not _temporary_name(name).fullmatch(temporary):
                raise ValueError(f"it would move {temporary} to {name}")
    except (ValueError, AttributeError, TypeError) as error:
        raise GroovaeError(
            f"{journal}: this is not a list of files that groovae was putting in place ({error}); "
            "remove it"
        ) from error
    return moves


@contextlib.contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Waits for the lock of the folder, which others hold only to put files in place."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        with contextlib.suppress(OSError):  # The file system has none.
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        with contextlib.suppress(OSError):
            fcntl.flock(handle, fcntl.LOCK_UN)  # A forked process may have the handle as well.
        os.close(handle)


def _try_lock(handle: int) -> bool:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


@contextlib.contextmanager
def _as_groovae_error(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise GroovaeError(f"cannot write {path}: {error.strerror or error}") from error


def _real(path: str | os.PathLike[str]) -> Path:
    return Path(os.path.realpath(os.path.expanduser(path)))


def sync(path: str | os.PathLike[str]) -> None:
    """Returns when a file, or what a folder lists, is on the disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
