"""Mutations of the descriptions of models, `config.json` and the metadata of ONNX files.

Whatever they hold, a model is loaded and used, or refused by groovae's own error of one line.
"""

import copy
import dataclasses
import json
import random
from collections.abc import Callable, Collection, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import TINY_HPARAMS

from groovae.config import config_map
from groovae.config.config_file import CONFIG_FILE
from groovae.errors import GroovaeError
from groovae.export import magentajs
from groovae.export.onnx_graphs import ModelGraphs
from groovae.generation.loading import load_model
from groovae.model.checksums import checksums_of
from groovae.model.formats import ONNX_FILES
from groovae.model.onnx_network import metadata_value
from groovae.system.log import no_log

CONFIG = "groovae_2bar_hits_control_tfds"
VALUES: list[Any] = [
    *(
        None,
        True,
        False,
        "",
        "x",
        "4/4",
        "\x1b[2J",
        "\ud800",
        "NaN",
        "a" * 5000,
        [],
        [[]],
        [None],
        {},
    ),
    *(
        {"a": 1},
        {"kick": 36},
        {"kick": [36, 38], "snare": 36},
        [[36], [38]],
        [-1],
        [200],
        [0.5],
        ["x"],
    ),
    *(0, 1, 2, 3, 9, 27, 64, -1, 65, 4096, 65536, 2**31, 2**32, 2**63, 10**30, 10**400, -(10**30)),
    *(0.0, 0.5, 1.0, 4.0, -0.5, 1e300, 1e-300, float("inf"), float("-inf"), float("nan")),
    *("groovae_4bar", "groovae_2bar_humanize", "drop", "nearest", "follow", [8] * 3000, [[[[]]]]),
]


def mutations(value: Any, count: int, seed: int) -> Iterator[Any]:
    """Yield copies of a JSON value, each with one or two values replaced, removed or added."""
    draw = random.Random(seed)
    for _ in range(count):
        mutated = copy.deepcopy(value)
        for _ in range(draw.randint(1, 2)):
            _mutate(mutated, draw)
        yield mutated


def _mutate(container: Any, draw: random.Random) -> None:
    inner = [item for item in _items(container) if isinstance(item, dict | list)]
    if inner and draw.random() < 0.6:
        _mutate(draw.choice(inner), draw)
        return
    keys = list(container) if isinstance(container, dict) else [*range(len(container))]
    new = copy.deepcopy(draw.choice(VALUES))
    if keys and draw.random() < 0.15:
        del container[draw.choice(keys)]
    elif keys and draw.random() < 0.9:
        container[draw.choice(keys)] = new
    elif isinstance(container, dict):
        container["extra"] = new
    else:
        container.append(new)


def _items(container: Any) -> Collection[Any]:
    return container.values() if isinstance(container, dict) else container


def assert_used_or_refused(use: Callable[[], object]) -> bool:
    """Return whether the use succeeded."""
    try:
        use()
        return True
    except GroovaeError as error:
        line = str(error)
    assert 20 < len(line) < 1500
    assert "\n" not in line
    return False


def test_training_folders(tmp_path: Path) -> None:
    config = config_map.get_config("groovae_2bar_humanize", TINY_HPARAMS, meter="3/4")
    config_map.save_config(tmp_path, config_map.config_json("groovae_2bar_humanize", config))
    contents = json.loads((tmp_path / CONFIG_FILE).read_text())
    contents |= {"seed": 5, "num_steps": 9, "hop_bars": 1, "unmapped_pitches": "drop"}

    def use() -> None:
        config_map.layout(config_map.resolve_config(tmp_path, None, "")[1])

    used = 0
    for mutated in mutations(contents, 1000, 1):
        (tmp_path / CONFIG_FILE).write_text(json.dumps(mutated))
        used += assert_used_or_refused(use)
    assert 80 < used < 500


def test_web_exports(tmp_path: Path) -> None:
    config = config_map.get_config(CONFIG, TINY_HPARAMS)
    contents = {
        "type": "MusicVAE",
        "dataConverter": {"type": "GrooveConverter", "args": {"numSteps": 32}},
        "groovae": {
            "config": CONFIG,
            "step": 3,
            "addInstruments": [],
            "hparams": config_map.config_json(CONFIG, config)["hparams"],
            "files": {"page.js": {"sha256": ""}},
        },
    }
    (tmp_path / "page.js").touch()
    used = 0
    for mutated in mutations(contents, 800, 2):
        if isinstance(about := mutated.get("groovae"), dict):
            about.pop("sha256", None)
            about["sha256"] = magentajs._config_sha256(
                {**mutated, "groovae": {k: v for k, v in about.items() if k != "sha256"}}
            )
        (tmp_path / CONFIG_FILE).write_text(json.dumps(mutated))
        used += assert_used_or_refused(lambda: magentajs.read_verified_config(tmp_path))
    assert 80 < used < 500


@pytest.fixture
def onnx_contents() -> dict[str, Any]:
    config = config_map.get_config(CONFIG, TINY_HPARAMS)
    return {
        **config_map.config_json(CONFIG, config),
        "layout": json.loads(json.dumps(dataclasses.asdict(config_map.layout(config)))),
        "step": 3,
        "format": "onnx",
        "dtype": "float32",
    }


@pytest.fixture
def onnx_models() -> dict[str, Any]:
    """The graphs of an export with random weights."""
    draw = np.random.default_rng(1)
    shapes = magentajs.variable_shapes(config_map.get_config(CONFIG, TINY_HPARAMS))
    tensors = {name: draw.normal(size=shape).astype(np.float32) for name, shape in shapes.items()}
    return ModelGraphs(tensors, 9).models({})


def test_onnx_exports(
    onnx_contents: dict[str, Any], onnx_models: dict[str, Any], tmp_path: Path
) -> None:
    def use() -> None:
        model = load_model(tmp_path, seed=1, log=no_log)
        model.predict_windows(np.zeros((2, model.layout.window_steps, model.layout.depth)))

    used = 0
    for mutated in mutations(onnx_contents, 200, 3):
        for name in ONNX_FILES[:2]:
            del onnx_models[name].metadata_props[:]
            for key, value in mutated.items():
                text = metadata_value(value).encode("utf-8", "replace").decode()
                onnx_models[name].metadata_props.add(key=key, value=text)
            (tmp_path / name).write_bytes(onnx_models[name].SerializeToString())
        files = checksums_of(tmp_path, ONNX_FILES[:2])
        (tmp_path / CONFIG_FILE).write_text(json.dumps({**mutated, "files": files}))
        used += assert_used_or_refused(use)
    assert 20 < used < 150
