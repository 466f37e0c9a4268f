"""List and remove the files of TensorFlow checkpoints, by exactly the names that TensorFlow makes.

    model.ckpt-400.index                 with .tempstate and digits while it is written
    model.ckpt-400.data-00000-of-00001   the same
    model.ckpt-400.meta                  with .tmp and 32 hexadecimal digits while it is written
    model.ckpt-400_temp/part-...         shards that are still to be merged

A training folder is also its owner's: `model.ckpt-400.tar` and `model.ckpt-400_best.mid` are never
touched, nor are links and folders, whatever their names are.
"""

import contextlib
import os
import re
from pathlib import Path

_PART = r"(?:index|data-\d{5}-of-\d{5})"
_COMPLETE = re.compile(rf"\.(?:{_PART}|meta)")
_ANY = re.compile(rf"\.(?:{_PART}(?:\.tempstate\d+)?|meta(?:\.tmp[0-9a-f]{{32}})?)|_temp")
_SHARD = re.compile(rf"part-\d{{5}}-of-\d{{5}}\.{_PART}(?:\.tempstate\d+)?")
_STEP = re.compile(r"model\.ckpt-\d+")


def checkpoint_files(prefix: str | os.PathLike[str]) -> list[Path]:
    """Return the files of a checkpoint, the index last: without it, they are not a checkpoint."""
    files = [path for path in _regular_files(Path(prefix)) if _COMPLETE.fullmatch(path.suffix)]
    return sorted(files, key=lambda path: path.suffix == ".index")


def irregular_files(prefix: str | os.PathLike[str]) -> list[Path]:
    """Return folders, pipes, devices and dangling links with the names of a checkpoint's files."""
    start, folder = len(Path(prefix).name), Path(prefix).parent
    return [
        folder / name
        for name in _names(folder)
        if name.startswith(Path(prefix).name)
        and _COMPLETE.fullmatch(name, start)
        and not (folder / name).is_file()
    ]


def prefixes(folder: Path) -> set[str]:
    """Return the names of the checkpoints in a folder, also of those without an index."""
    found = ((_STEP.match(name), name) for name in _names(folder))
    return {step[0] for step, name in found if step and _ANY.fullmatch(name, step.end())}


def remove_checkpoint(prefix: str | os.PathLike[str]) -> None:
    """Remove the files of a checkpoint, complete or not, the index first."""
    prefix = Path(prefix)
    for path in sorted(_regular_files(prefix), key=lambda path: path.suffix != ".index"):
        path.unlink(missing_ok=True)
    temporary = prefix.with_name(f"{prefix.name}_temp")
    if temporary.is_dir() and not temporary.is_symlink():
        for name in filter(_SHARD.fullmatch, _names(temporary)):
            if _is_regular(temporary / name):
                (temporary / name).unlink(missing_ok=True)
        with contextlib.suppress(OSError):  # It holds something else.
            temporary.rmdir()


def _regular_files(prefix: Path) -> list[Path]:
    start, folder = len(prefix.name), prefix.parent
    names = (name for name in _names(folder) if name.startswith(prefix.name))
    return [
        folder / name
        for name in names
        if _ANY.fullmatch(name, start) and _is_regular(folder / name)
    ]


def _names(folder: Path) -> list[str]:
    return sorted(os.listdir(folder)) if folder.is_dir() else []


def _is_regular(path: Path) -> bool:
    return path.is_file() and not path.is_symlink()
