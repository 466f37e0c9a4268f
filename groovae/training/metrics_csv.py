"""metrics.csv: numbers by training step, for people without TensorBoard.

The columns are `step` and the names under which TensorBoard shows the numbers.
"""

import csv
import os
from pathlib import Path

from groovae.errors import GroovaeError
from groovae.system.atomic_files import atomic_write

FILE = "metrics.csv"

Row = dict[str, float]


class MetricsLog:
    """The rows of a file, in the order of their steps.

    Attributes:
      rows: What the file holds; `step` is a number like the others.
    """

    def __init__(self, path: str | os.PathLike[str]):
        """Reads what is there.

        Raises:
          GroovaeError: the file cannot be read, or holds something else.
        """
        self._path = Path(path)
        self.rows: list[Row] = _read(self._path)

    def append(self, row: Row) -> None:
        """Adds a row, whose columns need not be those of the rows before."""
        self._write([*self.rows, row])

    def cut(self, last_step: int) -> None:
        """Forgets what came after a step, as a training that goes on there will say it again."""
        rows = [row for row in self.rows if row["step"] <= last_step]
        if rows != self.rows:
            self._write(rows)

    def _write(self, rows: list[Row]) -> None:
        """Whole, so that a kill or a full disk leaves the table as it was; it is a small one."""
        columns = list(dict.fromkeys(name for row in rows for name in row))
        with atomic_write(self._path) as temporary, open(temporary, "w", newline="") as file:
            writer = csv.DictWriter(file, columns, lineterminator="\n")
            writer.writeheader()
            writer.writerows({name: _text(x) for name, x in row.items()} for row in rows)
        self.rows = rows


def _read(path: Path) -> list[Row]:
    try:
        lines = csv.DictReader(path.read_text("utf-8").splitlines())
        rows = [{name: float(text) for name, text in line.items() if text} for line in lines]
        if not all("step" in row for row in rows):
            raise ValueError("it has rows without a step")
        return rows
    except FileNotFoundError:
        return []
    except (OSError, ValueError, TypeError) as error:
        raise GroovaeError(
            f"{path}: this is not a table of numbers by step ({error}); remove it"
        ) from error


def _text(value: float) -> str:
    return f"{value:.9g}"  # as exact as a float32
