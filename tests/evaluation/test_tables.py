"""Tables of results in text and Markdown."""

import math
from typing import Any

import pytest

from groovae.evaluation.tables import Table, as_markdown, as_text, cell, heading, number, tables
from groovae.metrics.structure import LABELS


def score(value: float, **more: float) -> dict[str, float]:
    return {"value": value, "low": value - 0.01, "high": value + 0.01, **more}


def results(**more: Any) -> dict[str, Any]:
    return {
        "scores": {"hit_f1": score(0.74), "timing_mae_ms": score(17)},
        "baselines": {
            "on_grid": {
                "label": "on the grid",
                "all_hits": {"timing_mae_ms": score(22.5)},
                "same_hits": {"timing_mae_ms": score(20.8, worse=0.99)},
            },
            "frequency": {
                "label": "frequent hits",
                "all_hits": {"hit_f1": score(0.49, worse=0.5)},
                "same_hits": {},
            },
        },
        "by_drum": {"kick": {"hit_f1": 0.7, "timing_mae_ms": math.nan}},
        "samples": None,
    } | more


def test_model_comes_first_then_the_baselines_of_the_aspect() -> None:
    hits, timing, by_drum = tables(results())
    assert [row[0] for row in hits.rows] == ["the model", "frequent hits"]
    assert [row[0] for row in timing.rows] == ["the model", "on the grid"]
    assert timing.rows[1][1:] == ["20.8 [20.8, 20.8]*", "22.5 [22.5, 22.5]"]
    assert by_drum.rows == [["kick", "0.700", "-"]]


def test_distributions_and_styles_have_tables() -> None:
    spread = {"timing_kl": 0.5, "velocity_kl": 1.25, "timing_std_ms": 26.54, "velocity_std": 35}
    found = {"drummers": spread, "model": spread | {"timing_kl": math.nan}, "on_grid": spread}
    heard = {"samples": 0.2, "data": 0.3, "samples_of_style": None, "data_of_style": 0.75}
    samples = {
        **dict.fromkeys(("copies", "copies_of_data"), 0.5),
        "features": {},
        "number": 4,
        "prior": "fitted",
        "feel": "drawn",
        "temperature": 0.5,
        **{
            f"{name}{of}": dict.fromkeys(keys, 0.1)
            for name, keys in (("diversity", ("all_pairs", "nearest_other")), ("structure", LABELS))
            for of in ("", "_of_data")
        },
        "styles": {"funk": heard, "jazz": heard | {"data_of_style": 0.25}},
    }
    shown = {table.title: table for table in tables(results(distributions=found, samples=samples))}
    rows = shown["Distributions over all hits"].rows
    assert rows[0] == ["the drummers", "0.500", "1.250", "26.5", "35.0"]
    assert rows[1][:2] == ["the model", "-"]
    assert rows[2][0] == "on the grid"
    styles = shown["Styles that a classifier hears, chance 50%"].rows
    assert styles[0] == ["funk", "20.0%", "30.0%", "-", "75.0%"]
    assert styles[-1] == ["mean", "", "", "", "50.0%"]


def test_star_marks_significantly_worse_baselines() -> None:
    assert cell(score(0.4, worse=0.974), "") == "0.400 [0.390, 0.410]"
    assert cell(score(0.4, worse=0.975), "") == "0.400 [0.390, 0.410]*"


def test_nan_is_a_dash() -> None:
    assert cell(None, "ms") == cell(score(math.nan), "ms") == number(math.nan) == "-"


def test_digits_depend_on_the_unit() -> None:
    assert number(17.256, "ms") == "17.3"
    assert number(0.74444) == "0.744"
    assert number(2.108, "hits a bar") == "2.11"
    assert heading("timing_mae_ms") == "timing error, ms"
    assert heading("hit_f1") == "hit F1"


def test_given_hits_have_no_table() -> None:
    given = results(scores={"timing_mae_ms": score(17)})
    assert [table.title for table in tables(given)] == ["Timing", "By drum"]


@pytest.mark.parametrize("write", [as_text, as_markdown])
def test_text_and_markdown_contain_every_cell(write: Any) -> None:
    table = Table("Hits", ["", "hit F1", "recall"], [["the model", "0.7", "0.65"], ["x", "-", ""]])
    text = write(table)
    for word in ("Hits", "hit F1", "recall", "the model", "0.7", "0.65", "x", "-"):
        assert word in text
