"""metrics.csv: exact values, truncation, and a table that survives a full disk."""

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


def write_metrics(path: Path, losses: list[float]) -> MetricsLog:
    metrics = MetricsLog(path)
    for step, loss in enumerate(losses):
        metrics.append({"step": step, "loss": loss})
    return metrics


@given(losses=st.lists(FLOATS, max_size=5))
def test_float32_values_are_restored_exactly(
    losses: list[float], tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.mktemp("metrics") / "metrics.csv"
    write_metrics(path, losses)
    assert [np.float32(row["loss"]) for row in MetricsLog(path).rows] == losses
    assert MetricsLog(path).rows == [
        {"step": n, "loss": float(f"{x:.9g}")} for n, x in enumerate(losses)
    ]


def test_file_is_plain_csv(tmp_path: Path) -> None:
    write_metrics(tmp_path / "metrics.csv", [0, 0.5])
    with open(tmp_path / "metrics.csv", newline="") as file:
        assert list(csv.reader(file)) == [["step", "loss"], ["0", "0"], ["1", "0.5"]]


def test_truncate_removes_later_rows(tmp_path: Path) -> None:
    metrics = write_metrics(tmp_path / "metrics.csv", [1.0] * 9)
    metrics.truncate(last_step=4)
    assert [row["step"] for row in metrics.rows] == [0, 1, 2, 3, 4]
    assert MetricsLog(tmp_path / "metrics.csv").rows == metrics.rows


def test_rows_may_have_different_columns(tmp_path: Path) -> None:
    metrics = write_metrics(tmp_path / "metrics.csv", [0, 0.5])
    metrics.append({"step": 2, "more": 2})
    assert (tmp_path / "metrics.csv").read_text() == "step,loss,more\n0,0,\n1,0.5,\n2,,2\n"
    assert MetricsLog(tmp_path / "metrics.csv").rows == metrics.rows
    assert metrics.rows[0] == {"step": 0, "loss": 0}


def test_failed_write_leaves_the_table_unchanged(tmp_path: Path) -> None:
    metrics = write_metrics(tmp_path / "metrics.csv", [0, 0.5])
    before = (tmp_path / "metrics.csv").read_text()
    limit = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10, limit[1]))
    try:
        with pytest.raises(GroovaeError, match=r"metrics\.csv"):
            metrics.append({"step": 2, "loss": 1})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limit)
        signal.signal(signal.SIGXFSZ, handler)
    assert (tmp_path / "metrics.csv").read_text() == before
    assert [row["step"] for row in metrics.rows] == [0, 1]


@pytest.mark.parametrize("text", ["a,b\n1,2\n", "step,loss\n1,x\n", "\x00\n\xff\n"])
def test_other_content_is_an_error(text: str, tmp_path: Path) -> None:
    (tmp_path / "metrics.csv").write_text(text)
    with pytest.raises(GroovaeError, match="remove"):
        MetricsLog(tmp_path / "metrics.csv")
