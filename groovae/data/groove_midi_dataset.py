"""The Groove MIDI Dataset (GMD): download it, and read and summarize its `info.csv`.

Gillick et al., "Learning to Groove with Inverse Sequence Transformations", ICML 2019; by Google
LLC, CC BY 4.0, https://magenta.tensorflow.org/datasets/groove.

    groovae download
    groovae info data_dir/groove
"""

import io
import os
import stat
import zipfile
from pathlib import Path
from typing import Any, BinaryIO

import pandas as pd

from groovae.errors import GroovaeError
from groovae.system.atomic_files import atomic_directory
from groovae.system.download import Progress, RemoteFile, fetched
from groovae.system.regular_files import read_regular

GROOVE = RemoteFile(
    url="https://storage.googleapis.com/magentadata/datasets/groove/groove-v1.0.0-midionly.zip",
    sha256="651cbc524ffb891be1a3e46d89dc82a1cecb09a57c748c7b45b844c4841dcc1e",
    size=3_260_318,
)
FOLDER = "groove"  # in the zip

MAX_UNPACKED_BYTES = 1 << 30
MAX_INFO_BYTES = 256 << 20
MAX_NUMBER = 10**9  # of seconds or bpm

INFO_COLUMNS = (
    *("drummer", "session", "id", "style", "bpm", "beat_type", "time_signature"),
    *("midi_filename", "duration", "split"),
)


def download(
    dest: str | os.PathLike[str],
    archive: RemoteFile = GROOVE,
    progress: Progress = lambda done_bytes: None,
) -> Path:
    """Download an archive, verify its SHA-256, and unpack it as the folder `dest`, atomically.

    Args:
      dest: The folder to write; it must not exist yet, or be empty.
      archive: The archive to download.
      progress: Called with the number of bytes received so far.

    Raises:
      GroovaeError: `dest` is not empty, the archive cannot be fetched, or its SHA-256 differs.
    """
    dest = Path(dest).expanduser()
    if dest.exists() and (not dest.is_dir() or any(dest.iterdir())):
        raise GroovaeError(f"{dest}: this folder is not empty; remove it or name another --dest")
    with fetched(archive, progress) as file, atomic_directory(dest) as temporary:
        _unzip(file, archive.url, temporary)
    return dest


def read_info(directory: str | os.PathLike[str]) -> pd.DataFrame:
    """Read `info.csv` of a folder like GMD: one row per file, with a column `on_disk` added.

    Raises:
      GroovaeError: no such file, or it lacks columns of GMD's.
    """
    directory = Path(directory).expanduser()
    path = directory / "info.csv"
    if not path.is_file():
        raise GroovaeError(
            f"{path}: no such file; name the folder of the Groove MIDI Dataset, or fetch it with "
            "`groovae download`"
        )
    try:
        info = pd.read_csv(io.BytesIO(read_regular(path, MAX_INFO_BYTES)))
    except (OSError, ValueError) as error:
        raise GroovaeError(f"{path}: this is not a CSV table ({error})") from error
    missing = [column for column in INFO_COLUMNS if column not in info.columns]
    if missing:
        raise GroovaeError(f"{path}: columns missing: {', '.join(missing)}")
    if info.empty:
        raise GroovaeError(f"{path}: the table has no rows")
    for column in ("bpm", "duration"):
        # From text, as pandas cannot convert whole numbers that are too large for a float.
        numbers = pd.to_numeric(info[column].astype(str), errors="coerce").astype(float)
        if not numbers.between(0, MAX_NUMBER).all():
            raise GroovaeError(
                f"{path}: {column} must be a number from 0 to {MAX_NUMBER:,} in each row; correct "
                "the table"
            )
        info[column] = numbers
    info["on_disk"] = [os.path.isfile(directory / str(name)) for name in info["midi_filename"]]
    return info


def summarize(info: pd.DataFrame) -> dict[str, Any]:
    """Return counts, hours and tempo of an `info.csv`, in all and by split, style and meter."""
    main_style = info["style"].astype(str).str.split("/").str[0]  # funk of funk/groove1
    hours = info.assign(hours=info["duration"] / 3600, main_style=main_style)
    return {
        "files": len(info),
        "missing_files": int((~info["on_disk"]).sum()),
        "hours": round(float(hours["hours"].sum()), 2),
        "drummers": int(info["drummer"].nunique()),
        "tempo_bpm": {
            name: float(info["bpm"].quantile(share))
            for name, share in (("min", 0), ("median", 0.5), ("max", 1))
        },
        "splits": _table(hours, "split"),
        "styles": _table(hours, "main_style"),
        "meters": _table(hours, "time_signature"),
    }


def _table(info: pd.DataFrame, by: str) -> dict[str, dict[str, Any]]:
    """Return files, hours, beats, fills and tempo by value of a column, most hours first."""
    table = {}
    for value, rows in info.groupby(by, dropna=False):
        table["(none)" if pd.isna(value) else str(value)] = {
            "files": len(rows),
            "hours": round(float(rows["hours"].sum()), 2),
            "beats": int((rows["beat_type"] == "beat").sum()),
            "fills": int((rows["beat_type"] == "fill").sum()),
            "median_bpm": float(rows["bpm"].median()),
        }
    return dict(sorted(table.items(), key=lambda item: -item[1]["hours"]))


def _unzip(file: BinaryIO, url: str, into: Path) -> None:
    """Unpack the members below `FOLDER`; reject members that lie outside, and links."""
    try:
        with zipfile.ZipFile(file) as archive:
            if sum(member.file_size for member in archive.infolist()) > MAX_UNPACKED_BYTES:
                raise GroovaeError(f"{url}: the archive is too large to unpack")
            for member in archive.infolist():
                _check_member(member, url)
                member.filename = "." + member.filename.removeprefix(FOLDER)
                archive.extract(member, into)
    except zipfile.BadZipFile as error:
        raise GroovaeError(f"{url}: this is not a zip file ({error})") from error


def _check_member(member: zipfile.ZipInfo, url: str) -> None:
    name = member.filename
    if not name.startswith(f"{FOLDER}/") or ".." in name.split("/") or "\\" in name:
        raise GroovaeError(f"{url}: a member lies outside the folder: {name}")
    if stat.S_ISLNK(member.external_attr >> 16):
        raise GroovaeError(f"{url}: a member is a link: {name}")
