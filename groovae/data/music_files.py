"""Find the music files in a folder and all folders below it, each file once.

Symbolic links are followed unless their target is also found without them, so loops end. A file
with several names, by symbolic or hard links, is listed under the first real name in sorted order.
"""

import collections
import dataclasses
import hashlib
import os
from collections.abc import Iterable, Iterator

from groovae.errors import GroovaeError

# The suffixes that Magenta knows, in any case.
KINDS = {".mid": "MIDI", ".midi": "MIDI", ".xml": "MusicXML", ".mxl": "MusicXML", ".abc": "ABC"}


# Files with the metadata of others, which macOS writes on foreign disks.
APPLE_DOUBLE = "._"
MAX_NAME_BYTES = 200  # file systems allow 255; temporary files have longer names


@dataclasses.dataclass
class Contents:
    """The contents of a folder.

    Attributes:
      files: Music files as paths relative to the folder: first real files, then those that only
        links lead to, both sorted.
      other_files: Number of other files, by suffix.
      unreadable_folders: (folder, reason) of each folder that could not be read.
    """

    files: list[str] = dataclasses.field(default_factory=list)
    other_files: collections.Counter[str] = dataclasses.field(default_factory=collections.Counter)
    unreadable_folders: list[tuple[str, str]] = dataclasses.field(default_factory=list)


def find_music(root: str) -> Contents:
    """Find the music files below `root`, an absolute path.

    Raises:
      GroovaeError: there is no such folder, or no music file below it.
    """
    if os.path.isfile(root):
        raise GroovaeError(f"{printable(root)}: this is a file; name the folder that holds it")
    if not os.path.isdir(root):
        raise GroovaeError(
            f"{printable(root)}: there is no such folder; name the one that holds the MIDI files"
        )
    contents = Contents()
    for path in _walk(root, contents):
        if os.path.basename(path).startswith(APPLE_DOUBLE):
            contents.other_files[f"{APPLE_DOUBLE}* of macOS"] += 1
        elif suffix_of(path):
            contents.files.append(os.path.relpath(path, root))
        else:
            suffix = os.path.splitext(path)[1].lower()
            contents.other_files[printable(suffix) or "no suffix"] += 1
    if not contents.files:
        raise GroovaeError(
            f"{printable(root)}: no music file below this folder ({contents.other_files.total()} "
            f"other files, {len(contents.unreadable_folders)} unreadable folders); "
            f"groovae reads {', '.join(KINDS)}"
        )
    return contents


def deduplicate(root: str, files: Iterable[str]) -> tuple[list[str], dict[str, str]]:
    """Sort files, and leave out those that are the same real file as an earlier one.

    Returns:
      The files, and for each file left out the name of its earlier one.
    """
    first: dict[tuple[int, int], str] = {}
    kept, duplicates = [], {}
    for file in files:
        try:
            earlier = first.setdefault(_identity(os.path.join(root, file)), file)
        except OSError:  # such as a dangling link, which is reported when it is read
            earlier = file
        if earlier == file:
            kept.append(file)
        else:
            duplicates[file] = earlier
    return sorted(kept), duplicates


def suffix_of(file: str) -> str | None:
    """Return the suffix of a music file in lower case. As in Magenta, a name may be all suffix."""
    name = file.lower()
    return next((suffix for suffix in KINDS if name.endswith(suffix)), None)


def printable(file: str) -> str:
    """Return a file name as valid UTF-8, with other bytes escaped."""
    return os.fsencode(file).decode("utf-8", "backslashreplace")


def shorten(name: str) -> str:
    """Return the stem of a file name in at most MAX_NAME_BYTES, with a checksum if it is cut.

    >>> shorten("take"), len(shorten("x" * 300))
    ('take', 200)
    """
    data = os.fsencode(name)
    if len(data) <= MAX_NAME_BYTES:
        return name
    end = f"-{hashlib.sha1(data).hexdigest()[:8]}"
    kept = data[: MAX_NAME_BYTES - len(end)]
    return kept.decode("utf-8", "ignore") + end


def _identity(path: str) -> tuple[int, int]:
    status = os.stat(path)
    return status.st_dev, status.st_ino


def _walk(root: str, contents: Contents) -> Iterator[str]:
    """Yield real files in sorted order, then those that only links lead to."""
    seen: set[tuple[int, int]] = set()
    paths = [root]
    while paths:
        links: list[str] = []
        for path in sorted(paths):
            if os.path.isdir(path):
                yield from sorted(_walk_real(path, seen, links, contents))
            else:
                yield path
        paths = links


def _walk_real(
    top: str, seen: set[tuple[int, int]], links: list[str], contents: Contents
) -> Iterator[str]:
    """Yield the real files below `top`; collect links, and enter no folder twice."""
    folders = [top]
    while folders:
        folder = folders.pop()
        try:
            identity = _identity(folder)
            if identity in seen:
                continue
            seen.add(identity)
            with os.scandir(folder) as scan:
                entries = list(scan)
        except OSError as error:
            contents.unreadable_folders.append((folder, error.strerror or str(error)))
            continue
        for entry in entries:
            if entry.is_symlink():
                links.append(entry.path)
            elif entry.is_dir(follow_symlinks=False):
                folders.append(entry.path)
            else:
                yield entry.path
