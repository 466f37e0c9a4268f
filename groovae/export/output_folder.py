"""Write an export folder as a whole, replacing an earlier export only when the new one is complete.

A process killed at any time leaves the earlier export intact: in place, or in a hidden folder
beside it from which the next export restores it.
"""

import contextlib
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

from groovae.errors import GroovaeError
from groovae.system.atomic_files import atomic_directory

IsReplaceable = Callable[[Path], bool]


def check_output_folder(out: str | os.PathLike[str], is_replaceable: IsReplaceable) -> None:
    """Check that `out` is missing, empty or an earlier export.

    Raises:
      GroovaeError: If it is anything else, or the current directory.
    """
    path = Path(out).expanduser()
    if os.path.lexists(path) and not path.is_dir():
        raise GroovaeError(f"cannot write {out}: it is not a folder")
    if os.path.realpath(path) == os.getcwd():
        raise GroovaeError(f"cannot write {out}: it is the current directory; choose another one")
    if _has_files(path) and not is_replaceable(path):
        raise GroovaeError(
            f"cannot write {out}: it holds files that are not from an export; choose another "
            "folder, or empty it"
        )


@contextlib.contextmanager
def replace_export(out: str | os.PathLike[str], is_replaceable: IsReplaceable) -> Iterator[Path]:
    """Yield a temporary folder that becomes `out` when the block succeeds.

    If the block raises, `out` is unchanged. An earlier export is renamed to a hidden folder while
    the new one is moved into place, then removed.

    Raises:
      GroovaeError: As `check_output_folder`, or if `out` cannot be written.
    """
    check_output_folder(out, is_replaceable)
    path = Path(os.path.realpath(os.path.expanduser(out)))
    backup = path.with_name(f".{path.name}.groovae-old")
    _restore_or_remove(backup, path, is_replaceable)
    try:
        with atomic_directory(path) as folder:
            yield folder
            check_output_folder(path, is_replaceable)
            if _has_files(path):
                os.replace(path, backup)
    finally:
        _restore_or_remove(backup, path, is_replaceable)


def _restore_or_remove(backup: Path, path: Path, is_replaceable: IsReplaceable) -> None:
    """Rename the backup to `path` if nothing is there, else remove it."""
    if os.path.isdir(backup) and not path.exists() and is_replaceable(backup):
        with contextlib.suppress(OSError):  # the backup stays as it is
            os.replace(backup, path)
    else:
        shutil.rmtree(backup, ignore_errors=True)


def _has_files(path: Path) -> bool:
    return path.is_dir() and any(path.iterdir())
