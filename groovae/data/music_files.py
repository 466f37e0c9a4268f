"""The music files of a folder and all folders below it, each of them once.

A link to a folder or file counts where nothing else leads there; loops end. Of a file that has
several names, by links of either kind, the first real name in sorted order stands for it.
"""

import collections
import dataclasses
import os
from collections.abc import Iterable, Iterator

from groovae.errors import GroovaeError

# The suffixes that Magenta knows, whatever their case, and what they are of.
KINDS = {".mid": "MIDI", ".midi": "MIDI", ".xml": "MusicXML", ".mxl": "MusicXML", ".abc": "ABC"}


@dataclasses.dataclass
class Contents:
    """What a folder holds.

    Attributes:
      files: Music files as paths relative to the folder: first the real ones, then what links
        lead to, both sorted.
      other_files: How many files are not music by their suffix, by that suffix.
      unreadable_folders: Folders that could not be read, and why.
    """

    files: list[str] = dataclasses.field(default_factory=list)
    other_files: collections.Counter[str] = dataclasses.field(default_factory=collections.Counter)
    unreadable_folders: list[tuple[str, str]] = dataclasses.field(default_factory=list)


def find_music(root: str) -> Contents:
    """The music files below `root`, an absolute path.

    Raises:
      GroovaeError: there is no such folder, or no music file in it.
    """
    if os.path.isfile(root):
        raise GroovaeError(f"{printable(root)}: this is a file; name the folder that holds it")
    if not os.path.isdir(root):
        raise GroovaeError(
            f"{printable(root)}: there is no such folder; name the one that holds the MIDI files"
        )
    contents = Contents()
    for path in _walk(root, contents):
        if suffix_of(path):
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
    """Sorts files, and leaves out those that are the same real file as an earlier one.

    Returns:
      The files, and for each one left out, the one that stands for it.
    """
    first: dict[tuple[int, int], str] = {}
    kept, duplicates = [], {}
    for file in files:
        try:
            status = os.stat(os.path.join(root, file))
        except OSError:  # Such as a link to nowhere: whoever reads it will tell.
            kept.append(file)
            continue
        stands_for_it = first.setdefault((status.st_dev, status.st_ino), file)
        if stands_for_it == file:
            kept.append(file)
        else:
            duplicates[file] = stands_for_it
    return sorted(kept), duplicates


def suffix_of(file: str) -> str | None:
    """The suffix of a music file in lower case. As for Magenta, a name may be all suffix."""
    name = file.lower()
    return next((suffix for suffix in KINDS if name.endswith(suffix)), None)


def printable(file: str) -> str:
    """A file name that JSON, a record and a terminal can hold, even where it is not UTF-8."""
    return os.fsencode(file).decode("utf-8", "backslashreplace")


def _walk(root: str, contents: Contents) -> Iterator[str]:
    """The real files in sorted order, then those that only links lead to."""
    seen: set[tuple[int, int]] = set()
    links: list[str] = []
    yield from sorted(_walk_real(root, seen, links, contents))
    while links:
        more: list[str] = []
        for link in sorted(links):
            if os.path.isdir(link):
                yield from sorted(_walk_real(link, seen, more, contents))
            else:
                yield link
        links = more


def _walk_real(
    top: str, seen: set[tuple[int, int]], links: list[str], contents: Contents
) -> Iterator[str]:
    """The files below `top`; links are put aside, and no folder is visited twice."""
    folders = [top]
    while folders:
        folder = folders.pop()
        try:
            status = os.stat(folder)
            if (status.st_dev, status.st_ino) in seen:
                continue
            seen.add((status.st_dev, status.st_ino))
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
