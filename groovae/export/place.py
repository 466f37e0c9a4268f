"""The folder that an export goes to: a new one whole, or an earlier export in its stead."""

import contextlib
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

from groovae.errors import GroovaeError
from groovae.files import replacing_directory

IsExport = Callable[[Path], bool]


def check_place(out: str | os.PathLike[str], is_export: IsExport) -> None:
    """Checks that `out` is missing, empty, or an earlier export.

    Raises:
      GroovaeError: it is something else, which stays as it is.
    """
    path = Path(out).expanduser()
    if os.path.lexists(path) and not path.is_dir():
        raise GroovaeError(f"cannot write {out}: it is not a folder")
    if path.is_dir() and any(path.iterdir()) and not is_export(path):
        raise GroovaeError(
            f"{out}: this folder holds something else than an earlier export; name another one, "
            "or empty it"
        )


@contextlib.contextmanager
def replacing_export(out: str | os.PathLike[str], is_export: IsExport) -> Iterator[Path]:
    """Yields a temporary folder, which becomes `out` when the block ends well.

    If the block raises, `out` is as it was. An earlier export is moved aside for the moment in
    which the new one takes its place, and removed then.

    Raises:
      GroovaeError: as `check_place`, or the place cannot be written to.
    """
    check_place(out, is_export)
    path = Path(os.path.realpath(os.path.expanduser(out)))
    aside = None
    try:
        with replacing_directory(path) as folder:
            yield folder
            check_place(path, is_export)
            if path.is_dir() and any(path.iterdir()):
                aside = Path(tempfile.mkdtemp(prefix=f".{path.name}.", dir=path.parent))
                os.replace(path, aside)
    except BaseException:
        if aside and not path.exists():
            os.replace(aside, path)
        raise
    finally:
        if aside:
            shutil.rmtree(aside, ignore_errors=True)
