"""metrics.csv: what was appended is read again, and what comes again is said once."""

import csv
import resource
import signal
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from groovae.errors import GroovaeError
from groovae.training.metrics_csv import MetricsLog

FLOATS = st.floats(width=32, allow_nan=False)


def filled(path: Path, steps: range) -> MetricsLog:
    curve = MetricsLog(path)
    for step in steps:
        curve.append({"step": step, "loss": step / 2})
    return curve


@given(losses=st.lists(FLOATS, max_size=5))
def test_what_was_appended_is_read_again_to_the_last_bit_of_a_float32(
    losses: list[float], tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.mktemp("curve") / "metrics.csv"
    curve = MetricsLog(path)
    for step, loss in enumerate(losses):
        curve.append({"step": step, "loss": loss})
    assert [np.float32(row["loss"]) for row in MetricsLog(path).rows] == losses
    assert MetricsLog(path).rows == [
        {"step": n, "loss": float(f"{x:.9g}")} for n, x in enumerate(losses)
    ]


def test_it_is_a_table_that_others_read(tmp_path: Path) -> None:
    filled(tmp_path / "metrics.csv", range(2))
    with open(tmp_path / "metrics.csv", newline="") as file:
        assert list(csv.reader(file)) == [["step", "loss"], ["0", "0"], ["1", "0.5"]]


def test_what_comes_after_a_step_is_forgotten(tmp_path: Path) -> None:
    curve = filled(tmp_path / "metrics.csv", range(9))
    curve.cut(last_step=4)
    assert [row["step"] for row in curve.rows] == [0, 1, 2, 3, 4]
    assert MetricsLog(tmp_path / "metrics.csv").rows == curve.rows


def test_rows_may_have_columns_of_their_own(tmp_path: Path) -> None:
    curve = filled(tmp_path / "metrics.csv", range(2))
    curve.append({"step": 2, "more": 2})
    assert (tmp_path / "metrics.csv").read_text() == "step,loss,more\n0,0,\n1,0.5,\n2,,2\n"
    assert MetricsLog(tmp_path / "metrics.csv").rows == curve.rows
    assert curve.rows[0] == {"step": 0, "loss": 0}


def test_a_row_that_cannot_be_written_leaves_the_table_as_it_was(tmp_path: Path) -> None:
    curve = filled(tmp_path / "metrics.csv", range(2))
    before = (tmp_path / "metrics.csv").read_text()
    limit = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10, limit[1]))
    try:
        with pytest.raises(GroovaeError, match=r"metrics\.csv"):
            curve.append({"step": 2, "loss": 1})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limit)
        signal.signal(signal.SIGXFSZ, handler)
    assert (tmp_path / "metrics.csv").read_text() == before
    assert [row["step"] for row in curve.rows] == [0, 1]


@pytest.mark.parametrize("text", ["a,b\n1,2\n", "step,loss\n1,x\n", "\x00\n\xff\n"])
def test_something_else_is_one_error(text: str, tmp_path: Path) -> None:
    (tmp_path / "metrics.csv").write_text(text)
    with pytest.raises(GroovaeError, match="remove it"):
        MetricsLog(tmp_path / "metrics.csv")
