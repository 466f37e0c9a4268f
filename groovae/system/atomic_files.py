"""Atomic replacement of files and folders: readers see the old content or the new, never a mix.

    with atomic_write("groove.mid") as temporary:
        midi.save(temporary)

`atomic_write_all` gives the same promise for files that belong together, such as records and their
report, even after kill -9: a hidden journal lists the renames while they run, and the next write in
that folder completes them. The journal is needed because a report written last, with the SHA-256 of
its records, would only detect half-replaced shards or splits: the old ones would be gone and the
new ones incomplete. Readers would also have to hash every file of a set, whichever of them they
use. Readers complete nothing; `check_complete` tells them that renames are left to do. Only a
journal of the same user is obeyed: in a folder such as /tmp, anyone can put one.

Links are followed for paths that the user named. A file whose name groovae chose replaces a link in
its place (`follow_links=False`), which may lead anywhere.

Locks (flock) keep apart the writers of a journal, and mark the temporary files of running
processes, so that those of killed ones can be removed. A lock that another process holds for long
is an error. Locks are on files of their own, since other programs lock folders. On Windows and on
file systems without locks, only one process may write into a folder at a time, and temporary files
of killed processes stay.
"""

import contextlib
import errno
import json
import math
import os
import re
import shutil
import stat
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from groovae.errors import GroovaeError, UsageError
from groovae.system.regular_files import read_json

JOURNAL = ".groovae-commit.json"
JOURNAL_LOCK = ".groovae-commit.lock"
LOCK = ".groovae-lock"
LOCK_SECONDS = 10.0  # groovae itself holds the locks that are waited for for milliseconds
TEMPORARY = re.compile(r"\.(.+)\.[a-z0-9_]{8}\.tmp", re.DOTALL)
LISTING_PAUSE_SECONDS = 5e-5  # for each file in a folder, a hundred times what listing takes
NO_LOCKS = (errno.ENOSYS, errno.ENOLCK, errno.ENOTSUP)  # what flock raises where it is missing

# For each folder, when to list it again, and the temporary files in it.
_listings: dict[Path, tuple[float, dict[str, list[str]]]] = {}


@contextlib.contextmanager
def atomic_write(path: str | os.PathLike[str], follow_links: bool = True) -> Iterator[Path]:
    """Yield a temporary path beside `path`, and rename it to `path` at the end of the block.

    Parent folders are created. If the block raises, or the file cannot be written, `path` keeps its
    content and the temporary file is removed.

    Args:
      path: The file to write or replace.
      follow_links: Write the target of a link, as for a path that the user named; otherwise
        replace the link.

    Raises:
      UsageError: see `refuse_devices`.
      GroovaeError: the folder is not writable, or the disk is full.
    """
    with atomic_write_all([path], follow_links) as (temporary,):
        yield temporary


@contextlib.contextmanager
def atomic_write_all(
    paths: Sequence[str | os.PathLike[str]], follow_links: bool = True
) -> Iterator[list[Path]]:
    """Do the same as `atomic_write` for several files; those in one folder are replaced together.

    Raises:
      GroovaeError: as `atomic_write`. If a rename itself failed, the next write in the folder
        continues.
    """
    targets = [_resolve(path, follow_links) for path in paths]
    for path in (*paths, *targets):
        _refuse_device_folder(path)
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


def check_complete(folder: str | os.PathLike[str]) -> None:
    """Check that no killed `atomic_write_all` left renames to be done in `folder`.

    Waits for a running one. A journal counts if it belongs to this user or the folder's owner.

    Raises:
      GroovaeError: files were replaced in part.
    """
    path = _resolve(folder)
    journal = path / JOURNAL
    if not _belongs_to(journal, _user(), _owner(path)):
        return
    with contextlib.suppress(OSError), _journal_lock(path):
        pass  # The files of a running process are in place now.
    if _belongs_to(journal, _user(), _owner(path)):
        raise GroovaeError(
            f"{journal}: a command was stopped while it replaced files in this folder, so they may "
            "not belong together; run it again to complete them"
        )


@contextlib.contextmanager
def atomic_directory(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Do the same as `atomic_write` for a folder that does not exist yet or is empty."""
    path = _resolve(path)
    with _temporary(path, is_folder=True) as temporary, _as_groovae_error(path):
        yield temporary
        os.chmod(temporary, 0o777 & ~_umask())
        os.replace(temporary, path)
        sync(path.parent)


def refuse_links(folder: str | os.PathLike[str], *names: str) -> None:
    """Check that subfolders whose names groovae chose are not links, which may lead anywhere.

    Raises:
      GroovaeError: one is.
    """
    for path in (Path(folder).expanduser() / name for name in names):
        if path.is_symlink():
            raise GroovaeError(
                f"{path}: this is a link, but files in it would be replaced; remove it, or name "
                "another folder"
            )


def refuse_devices(path: str | os.PathLike[str]) -> None:
    """Check that a file to write is neither a device nor a pipe, nor in a folder of them.

    Raises:
      UsageError: it is.
    """
    _refuse_device_folder(path)
    full = os.path.expanduser(path)
    if os.path.exists(full) and not (os.path.isfile(full) or os.path.isdir(full)):
        raise _device_error(path)


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
        _check_lock_file(path)
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
    """Write `value` as indented JSON, atomically; replace a link."""
    with atomic_write(path, follow_links=False) as temporary:
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


def _refuse_device_folder(path: str | os.PathLike[str]) -> None:
    """Refuse /dev/stdout and the like, which may be regular files: others are written beside it."""
    folder = os.path.realpath(os.path.dirname(os.path.abspath(os.path.expanduser(path))))
    if folder == "/dev" or f"{folder}/".startswith("/proc/"):
        raise _device_error(path)


def _device_error(path: str | os.PathLike[str]) -> UsageError:
    return UsageError(f"cannot write {path}: this is a device or a pipe; name a file")


def _check_lock_file(path: Path) -> None:
    """Raise an OSError unless a lock file may be opened and emptied: not if it is a link."""
    if os.path.lexists(path):
        status = os.lstat(path)
        if not stat.S_ISREG(status.st_mode) or status.st_nlink > 1:
            raise OSError(errno.EINVAL, "it is a link, or not a regular file; remove it")


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
    """Create a temporary file or folder beside `target`, and remove it unless it was renamed."""
    with contextlib.ExitStack() as stack:
        with _as_groovae_error(target):
            if not (is_folder or target.is_symlink()) and target.exists() and not target.is_file():
                raise GroovaeError(f"cannot write {target}: it is not a file")
            target.parent.mkdir(parents=True, exist_ok=True)
            _finish(target.parent)
            _remove_abandoned(target)
            temporary = stack.enter_context(_locked_temporary(target, is_folder))
        try:
            yield temporary
        finally:
            if is_folder:
                shutil.rmtree(temporary, ignore_errors=True)
            elif not _belongs_to(target.parent / JOURNAL, _user()):
                temporary.unlink(missing_ok=True)


@contextlib.contextmanager
def _locked_temporary(target: Path, is_folder: bool) -> Iterator[Path]:
    """Create a temporary file or folder, and lock it during the block."""
    while True:
        temporary = _new_temporary(target, is_folder)
        with contextlib.ExitStack() as stack:
            with contextlib.suppress(FileNotFoundError):
                stack.enter_context(_locked(temporary, wait=True))
            if temporary.exists():  # no process took it for abandoned before it was locked
                yield temporary
                return


def _new_temporary(target: Path, is_folder: bool) -> Path:
    affixes = (".tmp", f".{target.name}.", target.parent)
    if is_folder:
        return Path(tempfile.mkdtemp(*affixes))
    handle, name = tempfile.mkstemp(*affixes)
    os.close(handle)  # Windows cannot rename an open file.
    return Path(name)


def _remove_abandoned(target: Path) -> None:
    """Remove the temporary files and folders of killed processes that were writing `target`."""
    for name in _temporaries_in(target.parent).pop(target.name, []):
        path = target.parent / name
        with contextlib.suppress(OSError), _locked(path) as is_locked:
            if is_locked and os.lstat(path).st_uid == _user():
                shutil.rmtree(path) if path.is_dir() else path.unlink()


def _temporaries_in(folder: Path) -> dict[str, list[str]]:
    """Return the temporary files in a folder by target, as listed now or shortly before.

    A folder of many files is listed less often, so that writing them takes linear time.
    """
    next_listing, found = _listings.get(folder, (-math.inf, {}))
    if time.monotonic() >= next_listing:
        names = os.listdir(folder)
        found = defaultdict(list)
        for match in filter(None, map(TEMPORARY.fullmatch, names)):
            found[match[1]].append(match[0])
        _listings[folder] = time.monotonic() + len(names) * LISTING_PAUSE_SECONDS, found
    return found


def _replace_together(temporaries: list[Path], targets: list[Path]) -> None:
    moves: dict[Path, dict[str, str]] = defaultdict(dict)
    for temporary, target in zip(temporaries, targets, strict=True):
        moves[target.parent][temporary.name] = target.name
    for folder, names in moves.items():
        with _journal_lock(folder):
            try:
                _complete(folder)
                _write_journal(folder, names)
                _complete(folder)
            except KeyboardInterrupt:
                _complete(folder)
                raise


def _write_journal(folder: Path, moves: dict[str, str]) -> None:
    journal, temporary = folder / JOURNAL, folder / f"{JOURNAL}.tmp"
    if os.path.lexists(journal):
        raise GroovaeError(
            f"{journal}: this belongs to another user, or is not a file; remove it, or write to "
            "another folder"
        )
    temporary.unlink(missing_ok=True)
    with open(temporary, "x", encoding="utf-8") as file:  # a new file, never the target of a link
        json.dump(moves, file)
    sync(temporary)
    os.replace(temporary, journal)
    sync(folder)


def _finish(folder: Path) -> None:
    """Complete the renames that a killed process of this user had begun in `folder`, if any."""
    if _belongs_to(folder / JOURNAL, _user()):
        with _journal_lock(folder):
            _complete(folder)


def _complete(folder: Path) -> None:
    """Do the renames in the journal that are still to be done. The caller locks the journal."""
    journal = folder / JOURNAL
    if not _belongs_to(journal, _user()):
        return
    for temporary, name in _read_journal(journal).items():
        if _belongs_to(folder / temporary, _user()):  # not yet renamed
            os.replace(folder / temporary, folder / name)
    sync(folder)
    journal.unlink(missing_ok=True)


def _read_journal(journal: Path) -> dict[str, str]:
    """Read the renames; refuse any from or to another folder, or of any but temporary files."""
    try:
        moves = read_json(journal)
        for temporary, name in moves.items():
            match = TEMPORARY.fullmatch(temporary)
            if os.path.basename(name) != name or not match or match[1] != name:
                raise ValueError(f"it would move {temporary} to {name}")
    except (ValueError, AttributeError, TypeError) as error:
        raise GroovaeError(
            f"{journal}: this is not a journal of groovae ({error}); remove it"
        ) from error
    return moves


def _belongs_to(path: Path, *users: int) -> bool:
    """Return whether `path` is a regular file, not a link, of one of these users."""
    with contextlib.suppress(OSError):
        status = os.lstat(path)
        return stat.S_ISREG(status.st_mode) and status.st_uid in users
    return False


def _user() -> int:
    return os.geteuid() if hasattr(os, "geteuid") else 0  # as os.stat on Windows


def _owner(folder: Path) -> int:
    try:
        return os.stat(folder).st_uid
    except OSError:
        return _user()


@contextlib.contextmanager
def _journal_lock(folder: Path) -> Iterator[None]:
    """Lock the journal of a folder during the block, by a file that is removed at its end."""
    if _fcntl() is None:
        yield
        return
    path = folder / JOURNAL_LOCK
    while True:
        with _opened(path, os.O_RDONLY | os.O_CREAT) as handle:
            _lock(handle, path, wait=True)
            if _is_same_file(path, handle):  # The process that held the lock removed its file.
                try:
                    yield
                finally:
                    with contextlib.suppress(OSError):
                        path.unlink()
                return


def _is_same_file(path: Path, handle: int) -> bool:
    try:
        return os.path.samestat(os.lstat(path), os.fstat(handle))
    except FileNotFoundError:
        return False


@contextlib.contextmanager
def _locked(path: Path, wait: bool = False) -> Iterator[bool]:
    """Lock a file or folder until the end of the block or process; yield whether it is locked."""
    if _fcntl() is None:
        yield False
        return
    with _opened(path, os.O_RDONLY) as handle:
        yield _lock(handle, path, wait)


@contextlib.contextmanager
def _opened(path: Path, flags: int) -> Iterator[int]:
    handle = os.open(path, flags | os.O_NONBLOCK | os.O_NOFOLLOW, 0o666)
    try:
        yield handle
    finally:
        with contextlib.suppress(OSError):
            _fcntl().flock(handle, _fcntl().LOCK_UN)  # A forked process may hold the handle too.
        os.close(handle)


def _lock(handle: int, path: Path, wait: bool) -> bool:
    """Lock an open file; return False if another process holds it, or there are no locks.

    Raises:
      GroovaeError: `wait`, and another process holds it for `LOCK_SECONDS`.
    """
    fcntl, deadline = _fcntl(), time.monotonic() + LOCK_SECONDS
    while True:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return True
        except OSError as error:
            if not wait or error.errno not in (errno.EAGAIN, errno.EACCES):
                return False
        if time.monotonic() >= deadline:
            raise GroovaeError(
                f"cannot write {path}: another process has locked it for {LOCK_SECONDS:g} s; end "
                "that process, or write to another folder"
            )
        time.sleep(0.005)


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


def _resolve(path: str | os.PathLike[str], follow_links: bool = True) -> Path:
    """Return an absolute path without links; without `follow_links`, the last part may be one."""
    path = os.path.expanduser(path)
    if follow_links:
        return Path(os.path.realpath(path))
    return Path(os.path.realpath(os.path.dirname(path)), os.path.basename(path))


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
