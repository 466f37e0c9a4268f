"""Conditions on results: names, comparisons and error messages."""

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from groovae.errors import UsageError
from groovae.evaluation.conditions import parse

RESULTS: dict[str, Any] = {
    "config": "groovae_4bar",
    "windows": 526,
    "losses": {"loss": 97.5, "losses/kl_bits": 54.5},
    "scores": {
        "hit_f1": {"value": 0.74, "low": 0.71, "high": 0.77},
        "timing_mae_ms": {"value": 17.2, "low": 15.8, "high": 18.8},
        "velocity_correlation": {"value": math.nan, "low": math.nan, "high": math.nan},
    },
    "by_drum": {"closed hi-hat": {"hit_f1": 0.84}},
    "by_position": [{"hit_f1": 0.9}, {"hit_f1": 0.5}],
    "samples": {"copies": 0.002, "features": {"density": {"overlapped_area": 0.97}}},
    "latent": {"active_dimensions": 128, "collapsed": False},
}


@pytest.mark.parametrize(
    "text",
    [
        "timing_mae_ms<20",
        "timing_mae_ms <= 17.2",
        "timing_mae_ms>=17.2",
        " hit_f1 > 0.7 ",
        "hit_f1.low>.7",
        "scores.hit_f1.high<0.8",
        "loss<100",
        "losses/kl_bits>1e1",
        "losses.loss<100",
        "windows>=526",
        "by_drum.closed hi-hat.hit_f1>0.8",
        "by_position.1.hit_f1<=0.5",
        "samples.copies<0.05",
        "samples.features.density.overlapped_area>0.9",
        "latent.active_dimensions>64",
    ],
)
def test_met_condition(text: str) -> None:
    assert parse(text).check(RESULTS) is None


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("timing_mae_ms<17.2", "17.2"),
        ("timing_mae_ms>17.2", "17.2"),
        ("hit_f1.low>=0.72", "0.71"),
        ("loss<=97", "97.5"),
        ("windows<1", "526"),
    ],
)
def test_unmet_condition_reports_the_value(text: str, value: str) -> None:
    line = parse(text).check(RESULTS)
    assert line is not None
    assert line.startswith(text)
    assert line.endswith(value)


@pytest.mark.parametrize("comparison", ["<", "<=", ">", ">="])
def test_nan_meets_no_condition(comparison: str) -> None:
    assert parse(f"velocity_correlation{comparison}0").check(RESULTS)


def test_unknown_name_suggests_a_similar_one() -> None:
    with pytest.raises(UsageError, match="timing_mae_ms"):
        parse("timing_ms<20").check(RESULTS)


@pytest.mark.parametrize(
    "text", ["", "hit_f1", "hit_f1=0.7", "hit_f1<", "<3", "hit_f1<high", "a<1<2", "hit_f1<nan"]
)
def test_malformed_condition_raises_with_an_example(text: str) -> None:
    with pytest.raises(UsageError, match="timing_mae_ms<20"):
        parse(text)


@given(st.floats(-1e6, 1e6), st.sampled_from(["<", "<=", ">", ">="]))
def test_comparisons_match_python(bound: float, comparison: str) -> None:
    holds = eval(f"17.2 {comparison} {bound!r}")
    assert (parse(f"timing_mae_ms{comparison}{bound!r}").check(RESULTS) is None) == holds
