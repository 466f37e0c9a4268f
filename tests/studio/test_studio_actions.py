"""The actions of the studio on random grooves: an answer within the rules, or a usage error."""

import json
from typing import Any

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from groovae.errors import UsageError
from groovae.studio import files
from groovae.studio.actions import Actions
from groovae.studio.grooves import bar_line, from_json
from groovae.studio.models import Models

pytest.importorskip("onnxruntime")


@pytest.fixture(scope="module")
def actions() -> Actions:
    return Actions(Models())


def in_order(marks: list[tuple[Any, ...]]) -> list[list[Any]]:
    """Return marks at different beats in order, the first at 0."""
    by_beat = {mark[0]: list(mark) for mark in marks}
    ordered = [by_beat[beat] for beat in sorted(by_beat)]
    return [[0, *ordered[0][1:]], *ordered[1:]]


def end_of(groove: dict[str, Any]) -> float:
    """Return the beat at which a groove ends."""
    meters = [(beat, upper, lower) for beat, upper, lower in groove["meters"]]
    return bar_line(meters, groove["bars"])


BEATS = st.one_of(st.integers(1, 40).map(float), st.floats(0.01, 40))
TEMPOS = st.lists(st.tuples(BEATS, st.floats(4, 1000)), min_size=1, max_size=4).map(in_order)
METERS = st.lists(
    st.tuples(st.integers(1, 40), st.integers(1, 17), st.sampled_from([1, 2, 4, 8, 16, 32])),
    min_size=1,
    max_size=3,
).map(in_order)

# Those of `st.text()`, which would first try each codepoint in UTF-8, for four seconds.
CHARACTERS = st.characters(exclude_categories=["Cs"])


@st.composite
def grooves(draw: st.DrawFn) -> dict[str, Any]:
    meters = draw(st.one_of(st.just([[0, 4, 4]]), METERS))
    bars = draw(st.integers(1, 6))
    end = end_of({"meters": meters, "bars": bars})
    hit = st.fixed_dictionaries(
        {
            "beat": st.floats(0, 1, exclude_max=True).map(lambda share: share * end),
            "length": st.floats(0, min(end, 2)),
            "pitch": st.integers(20, 90),
            "velocity": st.integers(1, 127),
        }
    )
    return {
        "name": draw(st.text(CHARACTERS, max_size=8)),
        "bars": bars,
        "meters": meters,
        "tempos": draw(TEMPOS),
        "hits": draw(st.lists(hit, max_size=12)),
    }


def assert_valid(groove: dict[str, Any]) -> None:
    """Assert that a groove is JSON, and a valid argument."""
    sequence = from_json(json.loads(json.dumps(groove, allow_nan=False)))
    assert all(0 <= hit["beat"] <= end_of(groove) for hit in groove["hits"])
    assert files.to_midi(sequence)[:4] == b"MThd"


@settings(max_examples=20, phases=[Phase.generate])  # shrinking would take minutes
@given(groove=grooves(), other=grooves(), amount=st.floats(0, 1), seed=st.integers(0, 2**31 - 1))
def test_answers_are_valid_grooves(
    actions: Actions, groove: dict[str, Any], other: dict[str, Any], amount: float, seed: int
) -> None:
    requests: dict[str, dict[str, Any]] = {
        "vary": {"groove": groove, "amount": amount},
        "humanize": {"groove": groove, "amount": amount},
        "infill": {"groove": groove, "bars": [1, 1]},
        "interpolate": {"start": groove, "end": other, "num_steps": 2},
    }
    for name, values in requests.items():
        try:
            answer = actions.answer(name, {**values, "seed": seed})
        except UsageError:
            continue
        for one in answer["grooves"]:
            assert_valid(one)
            if name == "humanize":
                assert len(one["hits"]) == len(groove["hits"])
                assert one["bars"] == groove["bars"]
