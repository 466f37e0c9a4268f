"""The choice of graph and precision of a training, and what config.json keeps of it."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from groovae.errors import UsageError
from groovae.system.log import no_log
from groovae.training import precision
from groovae.training.options import TrainOptions
from groovae.training.precision import choose_precision
from groovae.training.train import _with_network, train
from groovae.upstream import tf


def choose(asked: str = "auto", saved: str | None = None, rnn: str = "layerwise") -> Any:
    """Return the precision, and the lines that were logged."""
    lines: list[str] = []
    return choose_precision(asked, saved, rnn, lines.append), lines


@pytest.fixture(name="cpu")
def cpu_with_bfloat16(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    file = tmp_path / "cpuinfo"
    file.write_text("flags\t\t: fpu avx512f avx512_bf16 amx_tile\n")
    monkeypatch.setattr(precision, "CPU_FLAGS", file)
    return file


@pytest.mark.parametrize("features", ["flags : fpu avx2\n", "flags : not_amx_bf16x\n", None])
def test_cpu_without_bfloat16_uses_float32(cpu: Path, features: str | None) -> None:
    if features is None:  # not Linux
        cpu.unlink()
    else:
        cpu.write_text(features)
    chosen, lines = choose()
    assert (chosen, len(lines)) == ("float32", 1)


@pytest.mark.parametrize(("seconds", "chosen"), [(0.5, "bfloat16"), (1.0, "float32")])
def test_cpu_with_bfloat16_uses_what_is_faster(
    cpu: Path, monkeypatch: pytest.MonkeyPatch, seconds: float, chosen: str
) -> None:
    times = {tf.float32: 1.0, tf.bfloat16: seconds}
    monkeypatch.setattr(precision, "_time_product", times.__getitem__)
    name, lines = choose()
    assert (name, len(lines)) == (chosen, 1)
    assert f"{seconds:.2f}" in lines[0]


def test_products_of_both_types_are_timed() -> None:
    assert precision._time_product(tf.float32, 8, 3) > 0
    assert precision._time_product(tf.bfloat16, 8, 3) > 0


def test_flags_and_resumed_trainings_decide_without_a_probe() -> None:
    assert choose("bfloat16") == ("bfloat16", [])
    assert choose("float32", saved="bfloat16") == ("float32", [])
    assert choose(saved="bfloat16") == ("bfloat16", [])
    assert choose(rnn="magenta") == ("float32", [])
    with pytest.raises(UsageError, match="rnn"):
        choose("bfloat16", rnn="magenta")
    with pytest.raises(UsageError, match="half"):
        choose("half")


def test_resumed_training_keeps_its_precision(records: Path, trained: Path, tmp_path: Path) -> None:
    """Resumed trainings that change it are in test_checkpoints.py and test_train.py."""
    train_dir = shutil.copytree(trained, tmp_path / "train")
    saved = json.loads((train_dir / "config.json").read_text())
    (train_dir / "config.json").write_text(json.dumps(saved | {"matmul_precision": "bfloat16"}))
    assert train(TrainOptions(str(train_dir), str(records), num_steps=4)).step == 4
    resumed = json.loads((train_dir / "config.json").read_text())
    assert (resumed["rnn"], resumed["matmul_precision"]) == ("layerwise", "bfloat16")


def test_graph_of_a_resumed_training_is_kept() -> None:
    saved = {"rnn": "magenta", "matmul_precision": "float32"}
    found = _with_network(TrainOptions(), saved, no_log)
    assert (found.rnn, found.matmul_precision) == ("magenta", "float32")
