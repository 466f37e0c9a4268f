"""The guard of a training: what it refuses, and that no checkpoint holds it."""

import math
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import TINY_HPARAMS

from groovae.errors import GroovaeError
from groovae.model.checkpoints import need_checkpoint
from groovae.model.formats import step_of
from groovae.training.hooks import (
    MAX_SKIPPED_STEPS,
    PACE_STEPS,
    DivergenceHook,
    Progress,
    TrainingDiverged,
)
from groovae.training.metrics_csv import MetricsLog
from groovae.training.train import TrainOptions, train
from groovae.upstream import tf


def is_finite(checkpoint: str) -> bool:
    reader = tf.train.load_checkpoint(checkpoint)
    return all(
        np.isfinite(reader.get_tensor(name)).all() for name in reader.get_variable_to_shape_map()
    )


def options(train_dir: Path, records: Path, extra: str, **more: Any) -> TrainOptions:
    hparams = f"{TINY_HPARAMS},{extra}"
    return TrainOptions(str(train_dir), str(records), hparams=hparams, seed=1, **more)


@pytest.mark.parametrize("clip_mode", ["value", "global_norm"])
def test_a_training_that_explodes_stops_and_its_last_checkpoint_is_good(
    clip_mode: str, records: Path, tmp_path: Path
) -> None:
    wild = (
        f"clip_mode={clip_mode},grad_clip=1e30,learning_rate=1e30,grad_norm_clip_to_zero=1000000000"
    )
    with pytest.raises(GroovaeError, match=r"(loss|gradient) became (nan|inf).*learning_rate"):
        train(options(tmp_path, records, wild, num_steps=500, save_checkpoint_steps=1))
    last = need_checkpoint(tmp_path)
    assert is_finite(last)
    tame = options(tmp_path, records, "learning_rate=1e-6", num_steps=step_of(last) + 2)
    if step_of(last) == 0:  # what was learned at such a rate is of no use to go on with
        assert train(tame).step == 2


def test_a_gradient_too_large_for_many_steps_stops_the_training(
    records: Path, tmp_path: Path
) -> None:
    with pytest.raises(GroovaeError, match=r"100 steps on end.*grad_norm_clip_to_zero=1,"):
        train(options(tmp_path, records, "grad_norm_clip_to_zero=1", num_steps=500))
    last = need_checkpoint(tmp_path)
    assert is_finite(last)
    assert step_of(last) < MAX_SKIPPED_STEPS


def run(guard: DivergenceHook, loss: float, norm: float) -> None:
    values = tf.train.SessionRunValues(
        results={"loss": loss, "global_norm": norm}, options=None, run_metadata=None
    )
    guard.after_run(None, values)


def guard_of(clip_mode: str) -> DivergenceHook:
    from types import SimpleNamespace

    scalars = {"loss": None, "global_norm": None}
    hparams = SimpleNamespace(clip_mode=clip_mode, grad_norm_clip_to_zero=10.0)
    return DivergenceHook(SimpleNamespace(scalars=scalars), hparams)  # type: ignore[arg-type]


@pytest.mark.parametrize("loss", [math.nan, math.inf, -math.inf])
def test_a_loss_that_is_no_number_stops_at_once(loss: float) -> None:
    with pytest.raises(TrainingDiverged, match=f"loss became {loss}"):
        run(guard_of("global_norm"), loss, 1.0)


def test_large_gradients_now_and_then_are_no_reason_to_stop() -> None:
    guard = guard_of("global_norm")
    for _ in range(3):
        for _ in range(MAX_SKIPPED_STEPS - 1):
            run(guard, 1.0, math.nan)
        run(guard, 1.0, 9.9)


def test_clipped_by_value_a_large_gradient_is_no_reason_and_one_that_is_no_number_is() -> None:
    guard = guard_of("value")
    for _ in range(2 * MAX_SKIPPED_STEPS):
        run(guard, 1.0, 1e9)
    with pytest.raises(TrainingDiverged, match="gradient became nan"):
        run(guard, 1.0, math.nan)


def test_what_is_told_of_a_training(records: Path, tmp_path: Path) -> None:
    seen: list[Progress] = []
    steps = 2 * PACE_STEPS + 5
    train(options(tmp_path, records, "free_bits=48", num_steps=steps), on_step=seen.append)
    assert [progress.step for progress in seen] == list(range(1, steps + 1))
    last = seen[-1]
    assert last.epoch == steps * 8 / 200
    assert last.windows_per_second == pytest.approx(8 * last.steps_per_second)
    parts = last.scalars["losses/r_loss"] + (
        last.scalars["losses/kl_beta"] * last.scalars["losses/kl_loss"]
    )
    assert last.loss == pytest.approx(parts, rel=1e-5)
    rows = MetricsLog(tmp_path / "metrics.csv").rows
    assert [row["step"] for row in rows] == [100, 200, steps]
    assert rows[-1]["loss"] == pytest.approx(last.loss, rel=1e-8)
    shown = _shown(tmp_path)
    assert shown["epoch"].keys() == shown["windows_per_second"].keys() == {100, 200, steps}
    names = {name for name in rows[-1] if name != "step"}
    assert names <= shown.keys()
    # Both say the same of the same step; TensorBoard counts from the first step of a run.
    common = shown["loss"].keys() & {row["step"] for row in rows}
    for row in rows:
        if row["step"] in common:
            assert shown["loss"][int(row["step"])] == pytest.approx(row["loss"], rel=1e-6)


def _shown(train_dir: Path) -> dict[str, dict[int, float]]:
    shown: dict[str, dict[int, float]] = {}
    for file in train_dir.glob("events.out.tfevents.*"):
        for event in tf.train.summary_iterator(str(file)):
            for value in event.summary.value:
                if re.match(r"[a-z_/]+$", value.tag):
                    shown.setdefault(value.tag, {})[event.step] = value.simple_value
    return shown
