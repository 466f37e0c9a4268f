"""Models that are hardly trained are announced before they play."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

import groovae
from groovae.generation.maturity import describe_immaturity, describe_unfinished


def write_training(folder: Path, step: int, **more: Any) -> str:
    """Write config.json and an empty index; return the prefix of the checkpoint."""
    folder.mkdir(parents=True, exist_ok=True)
    config = {"config": "groovae_4bar", "hparams": {"batch_size": 10}, "windows": {"windows": 100}}
    (folder / "config.json").write_text(json.dumps({**config, "num_steps": 50, **more}))
    return str(folder / f"model.ckpt-{step}")


@pytest.mark.parametrize(("step", "words"), [(0, "untrained"), (3, "30%"), (10, None), (11, None)])
def test_less_than_an_epoch_is_announced(tmp_path: Path, step: int, words: str | None) -> None:
    line = describe_immaturity(write_training(tmp_path, step))
    assert (line is None) == (words is None)
    assert (words or "") in (line or "")


def test_nothing_is_said_of_models_that_may_be_trained(tmp_path: Path) -> None:
    more: dict[str, Any]
    for more in ({"init_checkpoint": "groovae_4bar.tar"}, {"windows": None}, {"hparams": {}}):
        assert describe_immaturity(write_training(tmp_path, 3, **more)) is None
    assert describe_immaturity(str(tmp_path / "magenta" / "model.ckpt-0")) is None
    (tmp_path / "config.json").write_text("[]")
    assert describe_immaturity(str(tmp_path / "model.ckpt-0")) is None


def test_training_before_its_end_is_unfinished(tmp_path: Path) -> None:
    for step, is_unfinished in ((20, True), (50, False)):
        line = describe_unfinished(str(tmp_path), write_training(tmp_path, step))
        assert (line is not None) == is_unfinished
    (tmp_path / "eval").mkdir()  # it may have been stopped early
    assert describe_unfinished(str(tmp_path), write_training(tmp_path, 20)) is None


def test_models_are_announced_when_they_are_loaded(
    trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    shutil.copytree(trained, ".train")
    config = json.loads(Path(".train/config.json").read_text())
    config["num_steps"] = 1000
    Path(".train/config.json").write_text(json.dumps(config))
    lines: list[str] = []
    assert groovae.load_model(".train/model.ckpt-0", log=lines.append).seed >= 0
    assert "untrained" in lines.pop()
    groovae.load_model(log=lines.append)
    assert "step 3 of 1,000" in lines.pop()
    assert "12%" in lines.pop()
    assert lines == []
