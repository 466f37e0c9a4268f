"""Atomic replacement of files and folders: readers see the old content or the new, never a mix.

    with atomic_write("groove.mid") as temporary:
        midi.save(temporary)

`atomic_write_all` gives the same promise for files that belong together, such as records and their
report, even after kill -9: a hidden journal lists the renames while they run, and the next command
in that folder completes them (`finish_interrupted`). The journal is needed because a report
written last, with the SHA-256 of its records, would only detect half-replaced shards or splits:
the old ones would be gone and the new ones incomplete. Readers would also have to hash every file
of a set, whichever of them they use.

Locks (flock) keep writers of one folder apart, and mark the temporary files of running processes,
so that those of killed ones can be removed. They are on open handles, where filelock would leave a
lock file in every output folder and take 0.1 s to import. On Windows and on file systems without
locks, only one process may write into a folder at a time, and temporary files of killed processes
stay.
"""

import contextlib
import errno
import json
import os
import re
import shutil
import tempfile
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from groovae.errors import GroovaeError

JOURNAL = ".groovae-commit.json"
LOCK = ".groovae-lock"
NO_LOCKS = (errno.ENOSYS, errno.ENOLCK, errno.ENOTSUP)  # what flock raises where it is missing


@contextlib.contextmanager
def atomic_write(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Yield a temporary path beside `path`, and rename it to `path` at the end of the block.

    Parent folders are created. If the block raises, or the file cannot be written, `path` keeps its
    content and the temporary file is removed.

    Raises:
      GroovaeError: the folder is not writable, or the disk is full.
    """
    with atomic_write_all([path]) as (temporary,):
        yield temporary


@contextlib.contextmanager
def atomic_write_all(paths: Sequence[str | os.PathLike[str]]) -> Iterator[list[Path]]:
    """Do the same as `atomic_write` for several files; those in one folder are replaced together.

    Raises:
      GroovaeError: as `atomic_write`. If a rename itself failed, the next `finish_interrupted`
        continues.
    """
    targets = [_resolve(path) for path in paths]
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
                _replace_together(temporaries, targets)


def finish_interrupted(folder: str | os.PathLike[str]) -> None:
    """Complete the renames in `folder` that a killed `atomic_write_all` had begun, if any.

    Raises:
      GroovaeError: the folder is not writable, or its journal was not written by groovae.
    """
    path = _resolve(folder)
    if os.path.lexists(path / JOURNAL):
        with _as_groovae_error(path / JOURNAL), _locked(path, wait=True):
            _finish(path)


@contextlib.contextmanager
def atomic_directory(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Do the same as `atomic_write` for a folder that does not exist yet or is empty."""
    path = _resolve(path)
    with _temporary(path, is_folder=True) as temporary, _as_groovae_error(path):
        yield temporary
        os.chmod(temporary, 0o777 & ~_umask())
        os.replace(temporary, path)
        sync(path.parent)


@contextlib.contextmanager
def exclusive(folder: str | os.PathLike[str], activity: str) -> Iterator[None]:
    """Hold the lock file of `folder` during the block, which only one process at a time can.

    Args:
      folder: Created if missing, and removed again if it stays empty.
      activity: For the error message of a second process, such as "trains here".

    Raises:
      GroovaeError: another process holds the lock, or the folder is not writable.
    """
    from filelock import FileLock, Timeout  # 0.1 s, which only training and evaluation need

    path = _resolve(folder) / LOCK
    lock = FileLock(path, blocking=False, on_acquired=_write_holder)
    with _as_groovae_error(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            lock.acquire()
        except Timeout as error:
            raise GroovaeError(
                f"{folder}: another process {activity} ({_holder(path)}); wait for it, or name "
                "another folder"
            ) from error
        except OSError as error:
            if error.errno not in NO_LOCKS:
                raise
    try:
        yield
    finally:
        with contextlib.suppress(OSError):  # Windows removes the file on release.
            path.unlink()
        lock.release()
        with contextlib.suppress(OSError):
            path.parent.rmdir()


def write_json(path: str | os.PathLike[str], value: Any) -> None:
    """Write `value` as indented JSON, atomically."""
    with atomic_write(path) as temporary:
        temporary.write_text(json_text(value), "utf-8")


def json_text(value: Any) -> str:
    """Return `value` as indented JSON with a final newline.

    >>> json_text({"bars": [1, 2]})
    '{\\n  "bars": [\\n    1,\\n    2\\n  ]\\n}\\n'
    """
    return json.dumps(value, indent=2, ensure_ascii=False) + "\n"


def sync(path: str | os.PathLike[str]) -> None:
    """Flush a file, or the entries of a folder, to the disk."""
    if os.name == "nt" and os.path.isdir(path):
        return  # Windows cannot open folders.
    handle = os.open(path, os.O_RDWR if os.name == "nt" else os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _write_holder(handle: int) -> None:
    import socket  # which playing does without

    os.ftruncate(handle, 0)
    os.write(handle, f"process {os.getpid()} on {socket.gethostname()}".encode())


def _holder(lock: Path) -> str:
    try:
        return lock.read_text("utf-8", "replace")[:200].strip()
    except OSError:  # Released meanwhile; or Windows, where a locked file is not readable.
        return "unknown process"


@contextlib.contextmanager
def _temporary(target: Path, is_folder: bool = False) -> Iterator[Path]:
    """Create a temporary file or folder beside `target`, and remove it unless it was renamed.

    It is locked during the block. Until it is, the lock of the parent folder protects it from
    other processes that remove abandoned ones.
    """
    with contextlib.ExitStack() as stack:
        with _as_groovae_error(target):
            if not is_folder and target.exists() and not target.is_file():
                raise GroovaeError(f"cannot write {target}: it is not a file")
            target.parent.mkdir(parents=True, exist_ok=True)
            with _locked(target.parent, wait=True):
                _finish(target.parent)
                _remove_abandoned(target)
                affixes = (".tmp", f".{target.name}.", target.parent)
                if is_folder:
                    temporary = Path(tempfile.mkdtemp(*affixes))
                else:
                    handle, name = tempfile.mkstemp(*affixes)
                    os.close(handle)  # Windows cannot rename an open file.
                    temporary = Path(name)
                stack.enter_context(_locked(temporary))
        try:
            yield temporary
        finally:
            if is_folder:
                shutil.rmtree(temporary, ignore_errors=True)
            elif not os.path.lexists(target.parent / JOURNAL):
                temporary.unlink(missing_ok=True)


def _remove_abandoned(target: Path) -> None:
    """Remove the temporary files and folders of killed processes that were writing `target`."""
    (target.parent / f"{JOURNAL}.tmp").unlink(missing_ok=True)
    pattern = _temporary_name(target.name)
    for name in filter(pattern.fullmatch, os.listdir(target.parent)):
        path = target.parent / name
        with contextlib.suppress(OSError), _locked(path) as is_locked:
            if is_locked:
                shutil.rmtree(path) if path.is_dir() else path.unlink()


def _temporary_name(name: str) -> re.Pattern[str]:
    return re.compile(rf"\.{re.escape(name)}\.[a-z0-9_]{{8}}\.tmp")


def _replace_together(temporaries: list[Path], targets: list[Path]) -> None:
    moves: dict[Path, dict[str, str]] = defaultdict(dict)
    for temporary, target in zip(temporaries, targets, strict=True):
        moves[target.parent][temporary.name] = target.name
    for folder, names in moves.items():
        with _locked(folder, wait=True):
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
    """Do the renames in the journal that are still to be done. The caller locks the folder."""
    journal = folder / JOURNAL
    if not os.path.lexists(journal):
        return
    for temporary, name in _read_journal(journal).items():
        with contextlib.suppress(FileNotFoundError):  # already renamed
            os.replace(folder / temporary, folder / name)
    sync(folder)
    journal.unlink(missing_ok=True)


def _read_journal(journal: Path) -> dict[str, str]:
    """Read the renames; refuse any from or to another folder, or of any but temporary files."""
    try:
        moves = json.loads(journal.read_text("utf-8"))
        for temporary, name in moves.items():
            if os.path.basename(name) != name or not _temporary_name(name).fullmatch(temporary):
                raise ValueError(f"it would move {temporary} to {name}")
    except (ValueError, AttributeError, TypeError) as error:
        raise GroovaeError(
            f"{journal}: this is not a journal of groovae ({error}); remove it"
        ) from error
    return moves


@contextlib.contextmanager
def _locked(path: Path, wait: bool = False) -> Iterator[bool]:
    """Lock a file or folder until the end of the block or process; yield whether it is locked."""
    fcntl = _fcntl()
    if fcntl is None:
        yield False
        return
    handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)
            is_locked = True
        except OSError:  # held by another process, or the file system has no locks
            is_locked = False
        yield is_locked
    finally:
        with contextlib.suppress(OSError):
            fcntl.flock(handle, fcntl.LOCK_UN)  # A forked process may hold the handle too.
        os.close(handle)


def _fcntl() -> Any:
    try:
        import fcntl
    except ImportError:  # Windows
        return None
    return fcntl


@contextlib.contextmanager
def _as_groovae_error(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise GroovaeError(f"cannot write {path}: {error.strerror or error}") from error


def _resolve(path: str | os.PathLike[str]) -> Path:
    return Path(os.path.realpath(os.path.expanduser(path)))


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
