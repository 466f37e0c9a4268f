"""metrics.csv: scalars by training step, readable without TensorBoard.

The columns are `step` and the TensorBoard names of the scalars.
"""

import csv
import os
from pathlib import Path

from groovae.errors import GroovaeError
from groovae.system.atomic_files import atomic_write
from groovae.system.regular_files import read_text

FILE = "metrics.csv"
EVAL_FOLDER = "eval"  # of a training folder; the log in it is that of the validation

Row = dict[str, float]


class MetricsLog:
    """A table of scalars in a CSV file, one row per step in ascending order.

    Attributes:
      rows: The content of the file; `step` is a float like the other values.
    """

    def __init__(self, path: str | os.PathLike[str]):
        """Read the file, if it exists.

        Raises:
          GroovaeError: the file cannot be read or is not such a table.
        """
        self._path = Path(path)
        self.rows: list[Row] = _read(self._path)

    def append(self, row: Row) -> None:
        """Add a row; its columns may differ from those of earlier rows."""
        self._write([*self.rows, row])

    def truncate(self, last_step: int) -> None:
        """Remove the rows after a step, which a training resumed there will write again."""
        rows = [row for row in self.rows if row["step"] <= last_step]
        if rows != self.rows:
            self._write(rows)

    def _write(self, rows: list[Row]) -> None:
        """Write the whole table atomically: a kill or a full disk leaves the old one."""
        columns = list(dict.fromkeys(name for row in rows for name in row))
        with (
            atomic_write(self._path, follow_links=False) as temporary,
            open(temporary, "w", newline="") as file,
        ):
            writer = csv.DictWriter(file, columns, lineterminator="\n")
            writer.writeheader()
            # 9 digits restore a float32 exactly.
            writer.writerows({name: f"{x:.9g}" for name, x in row.items()} for row in rows)
        self.rows = rows


def _read(path: Path) -> list[Row]:
    try:
        lines = csv.DictReader(read_text(path).splitlines())
        rows = [{name: float(text) for name, text in line.items() if text} for line in lines]
        if not all("step" in row for row in rows):
            raise ValueError("a row has no step")
        return rows
    except FileNotFoundError:
        return []
    except (OSError, ValueError, TypeError, csv.Error) as error:
        raise GroovaeError(
            f"{path}: not a table of metrics by step ({error}); remove the file"
        ) from error
