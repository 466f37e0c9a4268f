"""metrics.csv: what a kill tears is dropped, and what comes again is said once."""

import csv
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from groovae.curve import Curve
from groovae.errors import GroovaeError

FLOATS = st.floats(width=32, allow_nan=False)


def filled(path: Path, steps: range) -> Curve:
    curve = Curve(path)
    for step in steps:
        curve.append({"step": step, "loss": step / 2})
    return curve


@given(losses=st.lists(FLOATS, max_size=5))
def test_what_was_appended_is_read_again_to_the_last_bit_of_a_float32(
    losses: list[float], tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.mktemp("curve") / "metrics.csv"
    curve = Curve(path)
    for step, loss in enumerate(losses):
        curve.append({"step": step, "loss": loss})
    assert [np.float32(row["loss"]) for row in Curve(path).rows] == losses
    assert Curve(path).rows == [
        {"step": n, "loss": float(f"{x:.9g}")} for n, x in enumerate(losses)
    ]


def test_it_is_a_table_that_others_read(tmp_path: Path) -> None:
    filled(tmp_path / "metrics.csv", range(2))
    with open(tmp_path / "metrics.csv", newline="") as file:
        assert list(csv.reader(file)) == [["step", "loss"], ["0", "0"], ["1", "0.5"]]


def test_a_row_torn_at_any_byte_is_left_out(tmp_path: Path) -> None:
    path = tmp_path / "metrics.csv"
    filled(path, range(8, 12))
    whole = path.read_bytes()
    ends = [n + 1 for n, byte in enumerate(whole) if byte == ord("\n")]
    for size in range(len(whole)):
        path.write_bytes(whole[:size])
        whole_lines = sum(end <= size for end in ends)
        assert len(Curve(path).rows) == max(0, whole_lines - 1)


def test_a_curve_that_was_torn_goes_on_whole(tmp_path: Path) -> None:
    path = tmp_path / "metrics.csv"
    filled(path, range(3))
    path.write_bytes(path.read_bytes()[:-2])
    curve = Curve(path)
    curve.cut(last_step=5)
    curve.append({"step": 2, "loss": 7})
    assert [(row["step"], row["loss"]) for row in Curve(path).rows] == [(0, 0), (1, 0.5), (2, 7)]


def test_what_comes_after_a_step_is_forgotten(tmp_path: Path) -> None:
    curve = filled(tmp_path / "metrics.csv", range(9))
    curve.cut(last_step=4)
    assert [row["step"] for row in curve.rows] == [0, 1, 2, 3, 4]
    assert Curve(tmp_path / "metrics.csv").rows == curve.rows


def test_other_columns_begin_a_new_table(tmp_path: Path) -> None:
    curve = filled(tmp_path / "metrics.csv", range(3))
    curve.append({"step": 3, "loss": 1, "more": 2})
    assert Curve(tmp_path / "metrics.csv").rows == curve.rows == [{"step": 3, "loss": 1, "more": 2}]


@pytest.mark.parametrize("text", ["a,b\n1,2\n", "step,loss\n1,x\n", "step\n1,2\n", "\x00\n\xff\n"])
def test_something_else_is_one_error(text: str, tmp_path: Path) -> None:
    (tmp_path / "metrics.csv").write_text(text)
    with pytest.raises(GroovaeError, match="remove it"):
        Curve(tmp_path / "metrics.csv")
