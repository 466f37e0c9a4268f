"""The musical style of a recording, from GMD's info.csv or from a file name like those of GMD.

    drummer1/session1/1_funk_80_beat_4-4.mid

A style such as `funk/groove1` counts as its first part, `funk`.
"""

import os
import re
from collections.abc import Sequence
from pathlib import PurePosixPath

from groovae.data.groove_midi_dataset import read_info

UNKNOWN = "unknown"
GMD_NAME = re.compile(r"\d+_([^_]+)_\d+_(?:beat|fill)_\d+-\d+\.midi?", re.IGNORECASE)


def styles_of(files: Sequence[str], groove: str | os.PathLike[str] | None = None) -> list[str]:
    """The style of each file.

    Args:
      files: As records name them.
      groove: A GMD folder, whose info.csv has the styles; of files that are not in it, and where
        it is None, the name is asked.

    Returns:
      One style a file; UNKNOWN where nothing tells it.

    Raises:
      GroovaeError: there is no info.csv in `groove`, or it is none.
    """
    told: dict[str, str] = {}
    if groove is not None:
        info = read_info(groove)
        told = dict(zip(info["midi_filename"].astype(str), info["style"].astype(str), strict=True))
    return [_main(told.get(file) or _named(file)) for file in files]


def _named(file: str) -> str:
    match = GMD_NAME.fullmatch(PurePosixPath(file).name)
    return match[1] if match else UNKNOWN


def _main(style: str) -> str:
    return re.split("[/-]", style)[0] or UNKNOWN
