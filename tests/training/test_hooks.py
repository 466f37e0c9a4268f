"""Hooks of the training loop: a diverged training, and the progress of each step."""

import math
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from conftest import TINY_HPARAMS

from groovae.errors import GroovaeError
from groovae.model.checkpoints import need_checkpoint
from groovae.training import hooks
from groovae.training.hooks import (
    MAX_SKIPPED_STEPS,
    DivergenceHook,
    Progress,
    TrainingDiverged,
)
from groovae.training.metrics_csv import MetricsLog
from groovae.training.train import TrainOptions, train
from groovae.upstream import tf


def options(train_dir: Path, records: Path, hparams: str, **more: Any) -> TrainOptions:
    hparams = f"{TINY_HPARAMS},{hparams}"
    return TrainOptions(str(train_dir), str(records), hparams=hparams, seed=1, **more)


def assert_finite(checkpoint: str) -> None:
    reader = tf.train.load_checkpoint(checkpoint)
    for name in reader.get_variable_to_shape_map():
        assert np.isfinite(reader.get_tensor(name)).all(), name


def test_diverged_training_stops_with_a_finite_checkpoint(records: Path, tmp_path: Path) -> None:
    """With clip_mode=value: see below."""
    hparams = "grad_clip=1e30,learning_rate=1e30,grad_norm_clip_to_zero=1000000000"
    more = {"config": "groovae_2bar", "num_steps": 500, "save_checkpoint_steps": 1}
    diverging = options(tmp_path, records, hparams, **more)
    with pytest.raises(GroovaeError, match=r"became (nan|inf).*learning_rate.*model\.ckpt-"):
        train(diverging)
    assert_finite(need_checkpoint(tmp_path))


def run(hook: DivergenceHook, loss: float, norm: float) -> None:
    values = tf.train.SessionRunValues(
        results={"loss": loss, "global_norm": norm}, options=None, run_metadata=None
    )
    hook.after_run(None, values)


def divergence_hook(clip_mode: str) -> DivergenceHook:
    graph: Any = SimpleNamespace(scalars={"loss": None, "global_norm": None})
    hparams = SimpleNamespace(clip_mode=clip_mode, grad_norm_clip_to_zero=10.0)
    return DivergenceHook(graph, hparams)


@pytest.mark.parametrize("loss", [math.nan, math.inf, -math.inf])
def test_non_finite_loss_stops_at_once(loss: float) -> None:
    with pytest.raises(TrainingDiverged, match=f"loss became {loss}"):
        run(divergence_hook("global_norm"), loss, 1.0)


def test_occasional_large_gradients_do_not_stop() -> None:
    hook = divergence_hook("global_norm")
    for _ in range(3):
        for _ in range(MAX_SKIPPED_STEPS - 1):
            run(hook, 1.0, math.nan)
        run(hook, 1.0, 9.9)


def test_many_skipped_steps_stop() -> None:
    hook = divergence_hook("global_norm")
    for _ in range(MAX_SKIPPED_STEPS - 1):
        run(hook, 1.0, 10.0)
    with pytest.raises(TrainingDiverged, match=f"{MAX_SKIPPED_STEPS} steps.*to_zero=10"):
        run(hook, 1.0, 10.0)


def test_clip_mode_value_stops_on_a_non_finite_gradient_only() -> None:
    hook = divergence_hook("value")
    for _ in range(2 * MAX_SKIPPED_STEPS):
        run(hook, 1.0, 1e9)
    with pytest.raises(TrainingDiverged, match="gradient norm became nan"):
        run(hook, 1.0, math.nan)


def test_progress_metrics_and_tensorboard(
    records: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hooks, "LOG_EVERY_STEPS", 4)
    seen: list[Progress] = []
    started = time.monotonic()
    train(options(tmp_path, records, "free_bits=48", num_steps=10), on_step=seen.append)
    assert [progress.step for progress in seen] == list(range(1, 11))
    first, second, last = seen[0], seen[1], seen[-1]
    assert (first.steps_per_second, first.seconds_left) == (0, math.inf)
    assert second.seconds_left > last.seconds_left == 0
    assert last.steps_per_second > 9 / (time.monotonic() - started)
    assert last.windows_per_second == pytest.approx(8 * last.steps_per_second)
    assert last.epoch == 10 * 8 / 200
    kl_cost = last.scalars["losses/kl_beta"] * last.scalars["losses/kl_loss"]
    assert last.loss == pytest.approx(last.scalars["losses/r_loss"] + kl_cost, rel=1e-5)
    rows = MetricsLog(tmp_path / "metrics.csv").rows
    assert [row["step"] for row in rows] == [4, 8, 10]
    assert rows[-1]["loss"] == pytest.approx(last.loss, rel=1e-8)
    summaries = read_summaries(tmp_path)
    assert summaries["epoch"].keys() == summaries["windows_per_second"].keys() == {4, 8, 10}
    assert rows[-1].keys() - {"step"} <= summaries.keys()
    for step, loss in summaries["loss"].items():  # TensorFlow writes the first step of a run
        assert seen[step - 1].loss == pytest.approx(loss, rel=1e-6)


def read_summaries(train_dir: Path) -> dict[str, dict[int, float]]:
    """Return the values of each scalar in TensorBoard's files, by name and step."""
    summaries: dict[str, dict[int, float]] = {}
    for file in train_dir.glob("events.out.tfevents.*"):
        for event in tf.train.summary_iterator(str(file)):
            for value in event.summary.value:
                summaries.setdefault(value.tag, {})[event.step] = value.simple_value
    return summaries
