"""metrics.csv: numbers by training step, a row at a time, for people without TensorBoard.

The columns are `step` and the names under which TensorBoard shows the numbers.
"""

import csv
import os
from pathlib import Path
from typing import Any, TextIO

from groovae.errors import GroovaeError
from groovae.files import replacing

FILE = "metrics.csv"

Row = dict[str, float]


class Curve:
    """The rows of a file, in the order of their steps.

    Attributes:
      rows: What the file holds; `step` is a number like the others.
    """

    def __init__(self, path: str | os.PathLike[str]):
        """Reads what is there; a last row that was torn by a kill is left out.

        Raises:
          GroovaeError: the file cannot be read, or holds something else.
        """
        self._path = Path(path)
        self.rows: list[Row] = _read(self._path)

    def append(self, row: Row) -> None:
        """Adds a row; one with other columns than those before begins the file anew."""
        if not self.rows or list(row) != list(self.rows[0]):
            self.rows = [old for old in self.rows if list(old) == list(row)]
            self._write([*self.rows, row])
        else:
            try:
                with open(self._path, "a", newline="", encoding="utf-8") as file:
                    _writer(file).writerow(map(_text, row.values()))
            except OSError as error:
                raise GroovaeError(f"cannot write {self._path}: {error.strerror}") from error
        self.rows.append(row)

    def cut(self, last_step: int) -> None:
        """Forgets what came after a step, as a training that goes on there will say it again."""
        rows = [row for row in self.rows if row["step"] <= last_step]
        if self._path.exists():
            self._write(rows)
        self.rows = rows

    def _write(self, rows: list[Row]) -> None:
        with replacing(self._path) as temporary, open(temporary, "w", newline="") as file:
            writer = _writer(file)
            if rows:
                writer.writerow(rows[0])
            writer.writerows(map(_text, row.values()) for row in rows)


def _read(path: Path) -> list[Row]:
    try:
        text = path.read_text("utf-8")
        lines = text[: text.rfind("\n") + 1].splitlines()
        rows = [
            {name: float(value) for name, value in row.items()} for row in csv.DictReader(lines)
        ]
        if rows and "step" not in rows[0]:
            raise ValueError("it has no column named step")
        return rows
    except FileNotFoundError:
        return []
    except (OSError, ValueError, TypeError) as error:
        raise GroovaeError(
            f"{path}: this is not a table of numbers by step ({error}); remove it"
        ) from error


def _writer(file: TextIO) -> Any:
    return csv.writer(file, lineterminator="\n")


def _text(value: float) -> str:
    return f"{value:.9g}"  # as exact as a float32
