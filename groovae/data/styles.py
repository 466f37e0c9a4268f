"""The musical style of a recording, and whether it is a fill.

Both are read from a file name like those of GMD, and the style from its info.csv if it is given.

    drummer1/session1/1_funk_80_beat_4-4.mid

Of a style such as `funk/groove1` only the first part is used.
"""

import os
import re
from collections.abc import Sequence
from pathlib import PurePosixPath

from groovae.data.groove_midi_dataset import read_info

UNKNOWN = "unknown"
GMD_NAME = re.compile(r"\d+_([^_]+)_\d+_(beat|fill)_\d+-\d+\.midi?", re.IGNORECASE)


def styles_of(files: Sequence[str], groove: str | os.PathLike[str] | None = None) -> list[str]:
    """Return the style of each file, UNKNOWN if it cannot be determined.

    Args:
      files: Names as in the records.
      groove: GMD folder, whose info.csv has precedence over the file names.

    Raises:
      GroovaeError: `groove` has no info.csv, or it is malformed.
    """
    listed: dict[str, str] = {}
    if groove is not None:
        info = read_info(groove)
        columns = (info[name].astype(str) for name in ("midi_filename", "style"))
        listed = dict(zip(*columns, strict=True))
    return [_first_part(listed.get(file) or _from_name(file)) for file in files]


def is_fill(file: str) -> bool:
    """Return whether a file is a fill, by its name.

    >>> is_fill("drummer1/session1/2_funk_80_fill_4-4.mid")
    True
    """
    match = GMD_NAME.fullmatch(PurePosixPath(file).name)
    return match is not None and match[2].lower() == "fill"


def _from_name(file: str) -> str:
    match = GMD_NAME.fullmatch(PurePosixPath(file).name)
    return match[1] if match else UNKNOWN


def _first_part(style: str) -> str:
    return re.split("[/-]", style)[0] or UNKNOWN
