"""The folder that an export goes to: a new one whole, or an earlier export in its stead.

A kill -9 at any time leaves the one or the other: in its place, or hidden beside it, from where the
next export puts it back.
"""

import contextlib
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

from groovae.errors import GroovaeError
from groovae.system.atomic_files import atomic_directory

IsReplaceable = Callable[[Path], bool]


def check_place(out: str | os.PathLike[str], is_replaceable: IsReplaceable) -> None:
    """Checks that `out` is missing, empty, or an earlier export.

    Raises:
      GroovaeError: it is something else, which stays as it is, or the current folder.
    """
    path = Path(out).expanduser()
    if os.path.lexists(path) and not path.is_dir():
        raise GroovaeError(f"cannot write {out}: it is not a folder")
    if os.path.realpath(path) == os.getcwd():
        raise GroovaeError(f"cannot write {out}: it would be replaced while one stands in it")
    if _is_filled(path) and not is_replaceable(path):
        raise GroovaeError(
            f"{out}: this folder holds something else than an earlier export; name another one, "
            "or empty it"
        )


@contextlib.contextmanager
def replacing_export(out: str | os.PathLike[str], is_replaceable: IsReplaceable) -> Iterator[Path]:
    """Yields a temporary folder, which becomes `out` when the block ends well.

    If the block raises, `out` is as it was. An earlier export is moved aside for the moment in
    which the new one takes its place, and removed then.

    Raises:
      GroovaeError: as `check_place`, or the place cannot be written to.
    """
    check_place(out, is_replaceable)
    path = Path(os.path.realpath(os.path.expanduser(out)))
    aside = path.with_name(f".{path.name}.groovae-old")
    _settle(aside, path, is_replaceable)
    try:
        with atomic_directory(path) as folder:
            yield folder
            check_place(path, is_replaceable)
            if _is_filled(path):
                os.replace(path, aside)
    finally:
        _settle(aside, path, is_replaceable)


def _settle(aside: Path, path: Path, is_replaceable: IsReplaceable) -> None:
    """Puts back what was moved aside where nothing has taken its place; else removes it."""
    if os.path.isdir(aside) and not path.exists() and is_replaceable(aside):
        with contextlib.suppress(OSError):  # It stays aside, and whole.
            os.replace(aside, path)
    else:
        shutil.rmtree(aside, ignore_errors=True)


def _is_filled(path: Path) -> bool:
    return path.is_dir() and any(path.iterdir())
