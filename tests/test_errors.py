"""Options out of range are refused from Python as by the flags."""

import math
from typing import Any

import numpy as np
import pytest

from groovae.data.conversion import Limits
from groovae.data.preprocess import PreprocessOptions
from groovae.errors import UsageError, check_number, check_whole, first_line, shorten_value
from groovae.training.options import RANGES, TrainOptions


@pytest.mark.parametrize("name", RANGES)
def test_train_options_have_a_range(name: str) -> None:
    least, most = RANGES[name]
    TrainOptions(**{name: least})  # type: ignore[arg-type]
    values: list[Any] = [least - 1, most + 1, 10**30, 1.5, None, math.nan]
    for value in values:
        with pytest.raises(UsageError, match=f"{name} must be a whole number from .* got "):
            TrainOptions(**{name: value})


@pytest.mark.parametrize(
    ("options", "name", "value"),
    [
        *((TrainOptions, "keep_checkpoint_every_n_hours", value) for value in (-1, 1e300, "1")),
        *((TrainOptions, "seed", value) for value in (-1, 2**31, 0.5)),
        *((PreprocessOptions, "workers", value) for value in (0, 10**9)),
        *((PreprocessOptions, "timeout_seconds", value) for value in (0, math.inf, math.nan)),
        *((Limits, "max_minutes", value) for value in (0, -1, math.inf, math.nan)),
    ],
)
def test_other_options_have_a_range(options: Any, name: str, value: Any) -> None:
    with pytest.raises(UsageError, match=name):
        options(**{name: value})


def test_first_line_is_after_tensorflows_stack_trace() -> None:
    trace = (
        "Graph execution error:\n\nDetected at node 'save' defined at (most recent call last):\n"
    )
    trace += (
        "  File \"main.py\", line 6, in <module>\nNode: 'save'\nx: no space\n\t [[save]]\nFile y"
    )
    assert first_line(ValueError(trace)) == "x: no space"
    assert first_line(ValueError("")) == "ValueError"


def test_numbers_of_numpy_are_numbers() -> None:
    check_whole("bars", np.int64(3), 1)
    check_number("drift", np.float32(0.5), 0, 1)


def test_values_are_shortened() -> None:
    assert shorten_value("x") == "'x'"
    assert len(shorten_value([["x" * 100] * 100] * 100)) == 80
