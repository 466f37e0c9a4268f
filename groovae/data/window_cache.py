"""Cache of windows: a file beside the records, which training maps into memory.

The file holds the grid of each record that gives windows. Windows are slices of it, so overlapping
windows need no more space; inputs and controls are computed when a batch is drawn. The file is
valid if its key (a digest of the records, the layout and the version of groovae) and the SHA-256 at
its end are right. Otherwise it is replaced atomically, so several trainings may start at once.

The file is a sequence of NumPy arrays as of `np.save`, of which `np.load` opens the first:

    grids    float32 [rows, depth]: the steps of all used records
    records  for each record its first row, first window, tempo in qpm, and the end of its text
    text     for each record, JSON: its id, file name, and tempos if they change
    about    JSON: the key, the version, and the WindowReport
"""

import functools
import hashlib
import json
import mmap
import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from groovae import __version__
from groovae.config.layout import Layout
from groovae.data.grid import to_grid
from groovae.data.records import Examples
from groovae.data.window_report import WindowReport
from groovae.data.windows import WindowSource, make_source, tempos_of
from groovae.errors import GroovaeError
from groovae.system.atomic_files import atomic_write
from groovae.system.log import Log, no_log
from groovae.system.regular_files import open_regular

FORMAT = 2
RECORD = np.dtype(
    [("first_row", "<i8"), ("first_window", "<i8"), ("tempo_qpm", "<f8"), ("text_end", "<i8")]
)
SHA256_BYTES = 32
READ_BYTES = 1 << 20


class CachedWindows:
    """The windows of a set of records, in the records' order.

    Attributes:
      layout: How they were cut.
      report: Counts of windows, and of what was lost.
      key: Identifies the records, layout and version that they were made from.
    """

    def __init__(self, file: BinaryIO, layout: Layout):
        """Map a file of `load` into memory; it may then be closed and removed."""
        self.layout = layout
        file.seek(0)
        np.lib.format.read_magic(file)
        shape, _, dtype = np.lib.format.read_array_header_1_0(file)
        start = file.tell()
        self._grids = np.empty((0, shape[1]), dtype)
        if shape[0]:  # an empty array cannot be mapped
            self._grids = np.memmap(file, dtype, "r", start, shape)
        file.seek(start + self._grids.nbytes)
        self._records, self._text, about = (np.load(file) for _ in range(3))
        contents = json.loads(about.tobytes())
        self.key = contents["key"]
        self.report = WindowReport.from_dict(contents["report"])

    def __len__(self) -> int:
        return self.report.windows

    def outputs(self, indices: np.ndarray) -> np.ndarray:
        """Return a copy of the windows at these indices: float32 [n, window_steps, depth]."""
        steps = self.layout.window_steps
        windows = np.empty((len(indices), steps, self._grids.shape[1]), np.float32)
        record = self._record_of(indices)
        hops = indices - self._records["first_window"][record]
        first_rows = self._records["first_row"][record] + hops * self.layout.hop_steps
        for window, row in zip(windows, first_rows.tolist(), strict=True):
            window[:] = self._grids[row : row + steps]
        # Unmapped pages stay in the system's cache and do not count as memory of this process.
        if isinstance(self._grids.base, mmap.mmap) and hasattr(mmap, "MADV_DONTNEED"):
            self._grids.base.madvise(mmap.MADV_DONTNEED)
        return windows

    def tempos_qpm(self, indices: np.ndarray) -> np.ndarray:
        """Return the tempo of the windows at these indices, float64 [n]."""
        if self.layout.tempo_changes == "follow":
            return tempos_of(self.source(int(index)) for index in indices)
        return self._records["tempo_qpm"][self._record_of(indices)]

    def source(self, index: int) -> WindowSource:
        """Return the record that a window was cut from."""
        number = int(self._record_of(np.array([index]))[0])
        record = self._records[number]
        text_start = self._records["text_end"][number - 1] if number else 0
        name, filename, tempos = json.loads(self._text[text_start : record["text_end"]].tobytes())
        first_step = int(index - record["first_window"]) * self.layout.hop_steps
        tempos = tempos or [(0.0, float(record["tempo_qpm"]))]
        return make_source(name, filename, first_step, tempos, self.layout)

    def _record_of(self, indices: np.ndarray) -> np.ndarray:
        return np.searchsorted(self._records["first_window"], indices, side="right") - 1


def load(
    examples: Examples,
    layout: Layout,
    fallback_dir: str | os.PathLike[str],
    log: Log = no_log,
    keep: bool = True,
    workers: int | None = None,
) -> CachedWindows:
    """Load the windows of records from the cache file beside them, or make and cache them.

    Args:
      examples: The records.
      layout: How to cut them.
      fallback_dir: Directory of the cache file if the records' own cannot be written to.
      log: Gets a line if windows have to be made.
      keep: Keep the cache file; otherwise it is a temporary file in `fallback_dir`.
      workers: Number of processes; all cores by default.

    Raises:
      GroovaeError: the records are damaged, or the file cannot be written.
    """
    key = _key(examples, layout)
    write = functools.partial(_write, examples=examples, layout=layout, key=key, workers=workers)
    if not keep:
        log(f"making the windows of {examples.name}")
        return _make_unnamed(Path(fallback_dir), write)
    paths = _paths(examples, layout, Path(fallback_dir))
    for path in paths:
        windows = _open(path, layout, log)
        if windows is not None and windows.key == key:
            return windows
    path = next((path for path in paths if os.access(path.parent, os.W_OK)), paths[-1])
    log(f"making the windows of {examples.name}, to keep in {path}")
    with atomic_write(path, follow_links=False) as temporary, open(temporary, "w+b") as file:
        return write(file)


def _key(examples: Examples, layout: Layout) -> str:
    about = {"format": FORMAT, "groovae": __version__, "records": examples.digest()}
    nearest = sorted(layout.nearest_class_of.items())
    everything = {**about, **layout.grid_options(), "nearest": nearest}
    return hashlib.sha256(json.dumps(everything).encode()).hexdigest()


def _paths(examples: Examples, layout: Layout, fallback_dir: Path) -> list[Path]:
    """Return the paths to try, beside the records and in `fallback_dir`.

    There is one name for each set of files and layout, so that an outdated file is replaced.
    """
    names = [os.path.basename(file) for file in examples.files]
    digest = hashlib.sha256(json.dumps([names, layout.grid_options()]).encode()).hexdigest()[:8]
    beside = Path(examples.files[0])
    name = f"{beside.name}.windows-{digest}.npy"
    is_local = "://" not in examples.files[0]
    return [*([beside.with_name(name)] if is_local else []), fallback_dir / name]


def _open(path: Path, layout: Layout, log: Log) -> CachedWindows | None:
    """Open a cache file; return None if it is missing or not valid."""
    try:
        with open_regular(path) as file:
            size = os.fstat(file.fileno()).st_size - SHA256_BYTES
            if size < 0 or _sha256(file, size) != file.read():
                log(f"{path} is damaged")
                return None
            return CachedWindows(file, layout)
    except FileNotFoundError:
        return None
    except (ValueError, KeyError, TypeError):  # undamaged, of another version
        return None
    except OSError as error:
        raise GroovaeError(f"cannot read {path}: {error.strerror}; remove it") from error


def _make_unnamed(folder: Path, write: Callable[[BinaryIO], CachedWindows]) -> CachedWindows:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder) as file:
            return write(file)
    except OSError as error:
        raise GroovaeError(f"cannot write in {folder}: {error.strerror or error}") from error


def _write(
    file: BinaryIO, examples: Examples, layout: Layout, key: str, workers: int | None
) -> CachedWindows:
    header_bytes = _write_header(file, 0, layout.depth)
    records, text, report = _write_grids(file, examples, layout, workers)
    rows = (file.tell() - header_bytes) // (4 * layout.depth)
    about = {"key": key, "groovae": __version__, "report": report.as_dict()}
    np.save(file, np.frombuffer(records, RECORD))
    np.save(file, np.frombuffer(text, np.uint8))
    np.save(file, np.frombuffer(json.dumps(about).encode(), np.uint8))
    size = file.tell()
    file.seek(0)
    _write_header(file, rows, layout.depth)
    file.seek(0)
    digest = _sha256(file, size)
    file.write(digest)
    file.flush()
    return CachedWindows(file, layout)


def _write_header(file: BinaryIO, rows: int, depth: int) -> int:
    """Write the header of `grids`, whose size NumPy keeps for any number of rows; return it."""
    header = {"descr": "<f4", "fortran_order": False, "shape": (rows, depth)}
    np.lib.format.write_array_header_1_0(file, header)
    return file.tell()


def _write_grids(
    file: BinaryIO, examples: Examples, layout: Layout, workers: int | None
) -> tuple[bytearray, bytearray, WindowReport]:
    """Write the grid of each record that gives windows; return `records`, `text` and the report."""
    records, text, total, rows = bytearray(), bytearray(), WindowReport(), 0

    def convert(sequence: Any) -> tuple[WindowReport, int, np.ndarray, np.ndarray, float, str]:
        report = WindowReport()
        grid = to_grid(sequence, layout, report)
        used = grid.outputs[: grid.starts[-1] + layout.window_steps if grid.starts else 0]
        steps = np.flatnonzero(used.any(axis=1))  # silence is not sent between processes
        source = json.dumps([sequence.id, sequence.filename, grid.tempos])
        return report, len(used), steps, used[steps], grid.tempo_qpm, source

    for report, length, steps, hits, tempo_qpm, source in examples.map(convert, workers):
        if report.windows:
            text += source.encode()
            records += np.array((rows, total.windows, tempo_qpm, len(text)), RECORD).tobytes()
            grid = np.zeros((length, layout.depth), "<f4")
            grid[steps] = hits
            file.write(grid.tobytes())
            rows += length
        total.add(report)
    return records, text, total


def _sha256(file: BinaryIO, size: int) -> bytes:
    """Read the next `size` bytes, and return their SHA-256."""
    digest = hashlib.sha256()
    while size:
        data = file.read(min(size, READ_BYTES))
        if not data:
            break
        digest.update(data)
        size -= len(data)
    return digest.digest()
