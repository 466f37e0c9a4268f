"""Descriptions of models: each value has a type and a range."""

import dataclasses
import json
import math
from typing import Any

import pytest

from groovae.config import config_map
from groovae.config.description import (
    HPARAMS,
    LAYOUT,
    check_description,
    check_hparams,
    check_layout,
    check_web_description,
)
from groovae.config.layout import LAYOUTS, Layout, adapt_layout
from groovae.errors import UsageError

HUGE = 10**30


def hparams() -> dict[str, Any]:
    return config_map.get_config("groovae_4bar").hparams.values()


def description() -> dict[str, Any]:
    return config_map.config_json("groovae_4bar", config_map.get_config("groovae_4bar"))


def layout_values(layout: Layout) -> dict[str, Any]:
    return json.loads(json.dumps(dataclasses.asdict(layout)))


def test_tables_name_every_hparam_and_field() -> None:
    assert set(HPARAMS) == set(hparams())
    assert set(LAYOUT) == {field.name for field in dataclasses.fields(Layout)}


@pytest.mark.parametrize("name", config_map.CONFIG_MAP)
def test_every_config_is_valid(name: str) -> None:
    contents = config_map.config_json(name, config_map.get_config(name, meter="6/8"))
    check_description(contents)
    check_hparams(contents["hparams"])
    layout = adapt_layout(LAYOUTS[name], meter="6/8", hop_bars=1)
    assert check_layout(layout_values(layout)) == layout


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("z_size", ["big", None, 0, -1, HUGE, True, 1.5, [1]]),
        ("enc_rnn_size", [[8] * 3000, [], [None], ["8"], [2**40], 8, [[8]]]),
        ("learning_rate", [10**400, "x", None, -1, 0, math.nan, math.inf, 1e300]),
        ("decay_rate", [1.1, 0, math.nan]),
        ("batch_size", [HUGE]),
        ("max_seq_len", [10**9]),
        ("clip_mode", [None, "none"]),
        ("conditional", [1, "true"]),
        ("sampling_rate", [1.5]),
    ],
)
def test_invalid_hparams(name: str, values: list[Any]) -> None:
    for value in values:
        with pytest.raises(UsageError, match=rf"hparam {name} must be .*, got ") as error:
            check_hparams(hparams() | {name: value})
        assert len(str(error.value)) < 250


def test_missing_hparam() -> None:
    with pytest.raises(UsageError, match="hparam z_size is missing"):
        check_hparams({name: value for name, value in hparams().items() if name != "z_size"})


@pytest.mark.parametrize(
    ("schedule", "valid", "invalid"),
    [("constant", 0.5, 2), ("exponential", 0.9, 1), ("inverse_sigmoid", 10, 0.5)],
)
def test_sampling_rate_depends_on_the_schedule(schedule: str, valid: float, invalid: float) -> None:
    check_hparams(hparams() | {"sampling_schedule": schedule, "sampling_rate": valid})
    with pytest.raises(UsageError, match=f"with {schedule}, hparam sampling_rate"):
        check_hparams(hparams() | {"sampling_schedule": schedule, "sampling_rate": invalid})


@pytest.mark.parametrize(
    ("key", "values"),
    [
        ("seed", [HUGE, -5, "5", 1.5, True, [], {}]),
        ("num_steps", [HUGE, -5, "5"]),
        ("step", ["8", -1, None]),
        ("config", [[], {}, 5, None, "", "a b", "../x", "x" * 101, "1"]),
        ("hparams", [[], None, {"z_size": -1}]),
        ("meter", [[], "7/0", "9" * 5000 + "/4"]),
        ("drum_map", [[], {"kick": 36}, [[200]] * 9]),
        ("hop_bars", [0, HUGE]),
        ("files", [[], {"../x": {}}, {"": {}}]),
    ],
)
def test_invalid_descriptions(key: str, values: list[Any]) -> None:
    for value in values:
        with pytest.raises(ValueError, match=f"{key}|z_size|pitch") as error:
            check_description(description() | {key: value})
        assert len(str(error.value)) < 250


@pytest.mark.parametrize("contents", [None, [], "x", {}, {"config": "groovae_4bar"}])
def test_incomplete_description(contents: Any) -> None:
    with pytest.raises(UsageError, match=r"missing|object"):
        check_description(contents)


@pytest.mark.parametrize(
    "change",
    [
        *({"split_bars": value} for value in ("4", 0, -1, 1 << 20, HUGE, 1.5, True, None)),
        *({"hop_steps": 0}, {"steps_per_quarter": 1 << 15}, {"quarters_per_bar": 3}),
        *({"humanize": 0}, {"hits_as_controls": "x"}, {"add_instruments": [9]}),
        {"tempo_as_control": True},  # without hits or inputs as controls
        *({"pitch_classes": []}, {"pitch_classes": [[200]]}, {"pitch_classes": [[36]] * 3}),
        *({"meter": [4, 0]}, {"meter": [3, 4]}, {"unmapped_pitches": "x"}),
    ],
    ids=str,
)
def test_invalid_layouts(change: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match="layout"):
        check_layout(layout_values(LAYOUTS["groovae_4bar"]) | change)


def test_web_descriptions() -> None:
    about = {"config": "groovae_4bar", "step": 3, "hparams": hparams(), "files": {"page.js": {}}}
    about["addInstruments"] = []
    check_web_description(about)
    for key in about:
        with pytest.raises(UsageError, match=key if key != "hparams" else "hparam"):
            check_web_description(about | {key: None})
        with pytest.raises(UsageError, match=f"{key} is missing"):
            check_web_description({name: about[name] for name in about if name != key})
