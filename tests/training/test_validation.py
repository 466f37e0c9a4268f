"""Validation: the curve, the best checkpoint, early stopping, and a second process that watches."""

import json
import os
import shutil
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest
from conftest import (
    ROOT,
    TINY_HPARAMS,
    Groovae,
    a_groove,
    assert_one_line,
    write_records,
)

from groovae.config import config_map
from groovae.data.source import DataSource
from groovae.errors import GroovaeError
from groovae.generation.groove_model import load_model
from groovae.model.checkpoints import find_checkpoint, need_checkpoint
from groovae.model.formats import step_of
from groovae.training.losses import Evaluation, Evaluator
from groovae.training.metrics_csv import MetricsLog
from groovae.training.train import Result, TrainOptions, train
from groovae.training.validation import (
    Validation,
    _keep,
    evaluations_since_best,
    has_waited,
    read_best,
    watch,
)


def options(train_dir: Path, records: Path, **more: Any) -> TrainOptions:
    every = {
        "eval_examples_path": str(records),
        "save_checkpoint_steps": 2,
        "seed": 1,
        "num_steps": 6,
        "hparams": TINY_HPARAMS,
    }
    return TrainOptions(str(train_dir), str(records), **{**every, **more})


@pytest.fixture(scope="module")
def validated(records: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Result]:
    """A training of six steps with a validation at each second."""
    train_dir = tmp_path_factory.mktemp("validated") / "train"
    return train_dir, train(options(train_dir, records))


def write_curve(train_dir: Path, *losses: float) -> None:
    (train_dir / "eval").mkdir(parents=True)
    curve = MetricsLog(train_dir / "eval" / "metrics.csv")
    for step, loss in enumerate(losses):
        curve.append({"step": step, "loss": loss})


def evaluator(records: Path, train_dir: Path) -> Evaluator:
    name, config = config_map.resolve_config(train_dir, None, "")
    data = DataSource(str(records))
    return Evaluator(name, config, data.load(config, train_dir, lambda line: None))


# In the same process


def test_each_checkpoint_is_evaluated_and_the_best_is_kept(
    validated: tuple[Path, Result], records: Path
) -> None:
    train_dir, result = validated
    rows = MetricsLog(train_dir / "eval" / "metrics.csv").rows
    assert [row["step"] for row in rows] == [2, 4, 6]
    best = min(rows, key=lambda row: row["loss"])
    assert result.best == (best["step"], pytest.approx(best["loss"]))
    assert find_checkpoint(train_dir / "best") == str(
        train_dir / "best" / f"model.ckpt-{best['step']:.0f}"
    )
    assert len(list((train_dir / "best").glob("*.index"))) == 1
    kept = json.loads((train_dir / "best" / "evaluation.json").read_text())
    assert (kept["step"], kept["windows"], kept["z"]) == (best["step"], 200, "mu")
    again = evaluator(records, train_dir / "best").evaluate(need_checkpoint(train_dir / "best"))
    assert again.losses == kept["losses"]


def test_the_best_checkpoint_is_a_model_of_its_own(
    validated: tuple[Path, Result], tmp_path: Path
) -> None:
    moved = shutil.copytree(validated[0] / "best", tmp_path / "best")
    assert len(load_model(moved, seed=1).sample()) == 1


def test_eval_every_counts_checkpoints_and_the_last_is_evaluated(
    records: Path, tmp_path: Path
) -> None:
    seen: list[int] = []
    train(
        options(tmp_path, records, eval_every=2, num_steps=7),
        on_evaluation=lambda evaluation: seen.append(evaluation.step),
    )
    assert seen == [4, 7]


def test_a_resumed_training_goes_on_with_its_curve(
    validated: tuple[Path, Result], records: Path, tmp_path: Path
) -> None:
    train_dir = shutil.copytree(validated[0], tmp_path / "train")
    for file in train_dir.glob("model.ckpt-6.*"):
        file.unlink()
    train(options(train_dir, records, num_steps=8))
    rows = MetricsLog(train_dir / "eval" / "metrics.csv").rows
    assert [row["step"] for row in rows] == [2, 4, 6, 8]


def test_it_stops_when_the_loss_falls_no_more(records: Path, tmp_path: Path) -> None:
    # At this rate the first steps learn nothing but noise.
    wild = f"{TINY_HPARAMS},learning_rate=0.5"
    stubborn = options(
        tmp_path, records, hparams=wild, num_steps=200, early_stop_patience=2, seed=2
    )
    result = train(stubborn)
    assert (result.stopped_early, result.stopped_by) == (True, None)
    assert result.best
    rows = MetricsLog(tmp_path / "eval" / "metrics.csv").rows
    assert result.step == rows[-1]["step"] == rows[-3]["step"] + 4 < 200
    assert result.best[0] == rows[-3]["step"]
    lines: list[str] = []
    assert train(stubborn, lines.append) == result
    assert "raise --early_stop_patience" in lines[-1]


@pytest.mark.parametrize(
    ("losses", "waited"),
    [([], 0), ([5], 0), ([5, 4, 3], 0), ([5, 3, 4], 1), ([3, 3, 3], 2), ([3, 9, 2, 4, 4], 2)],
)
def test_what_counts_as_patience(losses: list[float], waited: int, tmp_path: Path) -> None:
    write_curve(tmp_path, *losses)
    assert evaluations_since_best(tmp_path) == waited
    assert has_waited(tmp_path, 2) == (waited >= 2)
    assert not has_waited(tmp_path, 0)


def test_a_best_that_a_kill_left_halfway_is_made_again(
    validated: tuple[Path, Result], records: Path, tmp_path: Path
) -> None:
    train_dir = shutil.copytree(validated[0], tmp_path / "train")
    for file in (train_dir / "best").glob("*.index"):
        file.unlink()
    validation = Validation(train_dir, evaluator(records, train_dir))
    assert validation.best is None
    validation.add(str(train_dir / "model.ckpt-2"))
    assert find_checkpoint(train_dir / "best") == str(train_dir / "best" / "model.ckpt-2")


def test_a_new_training_does_not_begin_over_anothers_best(
    validated: tuple[Path, Result], records: Path, tmp_path: Path
) -> None:
    shutil.copytree(validated[0] / "best", tmp_path / "best")
    with pytest.raises(GroovaeError, match="best checkpoint of an earlier training is there"):
        train(options(tmp_path, records))


def test_an_old_curve_does_not_stop_a_new_training(records: Path, tmp_path: Path) -> None:
    write_curve(tmp_path, 1, 2, 3, 4)
    patient = TrainOptions(
        str(tmp_path), str(records), hparams=TINY_HPARAMS, num_steps=4, early_stop_patience=1
    )
    result = train(patient)
    assert (result.step, result.stopped_early) == (4, False)


def test_losses_on_other_windows_are_not_compared(
    validated: tuple[Path, Result], records: Path, tmp_path: Path
) -> None:
    train_dir = shutil.copytree(validated[0], tmp_path / "train")
    other = write_records(tmp_path / "other.tfrecord", a_groove(8))
    with pytest.raises(GroovaeError, match="best: this checkpoint was chosen on other windows"):
        train(options(train_dir, records, num_steps=8, eval_examples_path=str(other)))


def test_a_checkpoint_that_was_not_evaluated_is_at_the_next_start(
    validated: tuple[Path, Result], records: Path, tmp_path: Path
) -> None:
    train_dir = shutil.copytree(validated[0], tmp_path / "train")
    for name in ("eval", "best"):
        shutil.rmtree(train_dir / name)
    result = train(options(train_dir, records))  # it is at its last step already
    assert result.best
    assert result.best[0] == 6
    assert [row["step"] for row in MetricsLog(train_dir / "eval" / "metrics.csv").rows] == [6]


def test_a_checkpoint_that_is_gone_does_not_replace_the_best(
    validated: tuple[Path, Result], records: Path, tmp_path: Path
) -> None:
    train_dir = shutil.copytree(validated[0], tmp_path / "train")
    evaluation = evaluator(records, train_dir).evaluate(str(train_dir / "model.ckpt-2"))
    (train_dir / "model.ckpt-2.index").unlink()
    before = read_best(train_dir / "best")
    with pytest.raises(GroovaeError, match="gone before it could be kept"):
        _keep(str(train_dir / "model.ckpt-2"), evaluation, {}, train_dir / "best")
    assert before
    assert read_best(train_dir / "best") == before


# In a second process


def test_a_watch_sees_a_training_that_is_done(
    validated: tuple[Path, Result], records: Path, tmp_path: Path
) -> None:
    train_dir = shutil.copytree(validated[0], tmp_path / "train")
    for name in ("eval", "best"):
        shutil.rmtree(train_dir / name)
    assert watch(train_dir, lambda: evaluator(records, train_dir)) == validated[1].best or (
        step_of(need_checkpoint(train_dir / "best")) == 6
    )
    rows = MetricsLog(train_dir / "eval" / "metrics.csv").rows
    assert [row["step"] for row in rows] == [6]


def test_a_watch_beside_a_training_has_it_stop_early(
    groovae: Groovae, records: Path, tmp_path: Path
) -> None:
    """The training evaluates nothing itself; it reads what the watch finds."""
    process = subprocess.Popen(
        [
            *(sys.executable, "-m", "groovae", "evaluate", "--watch", "--early_stop_patience=1"),
            f"--examples_path={records}",
        ],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stderr=subprocess.PIPE,
        text=True,
    )
    result = groovae(
        "train",
        f"--examples_path={records}",
        f"--hparams={TINY_HPARAMS},learning_rate=0.9",
        "--num_steps=1000000",
        "--save_checkpoint_secs=1",
        "--early_stop_patience=1",
    )
    assert result.returncode == 0, result.stderr
    assert "stopped early at step" in result.stderr
    assert process.wait(timeout=60) == 0
    assert process.stderr
    said = process.stderr.read()
    assert "waiting for the first checkpoint in .train" in said
    assert ".train/best" in said
    assert load_model(tmp_path / ".train" / "best", seed=1)


def test_only_one_process_keeps_the_validation(
    validated: tuple[Path, Result], records: Path, tmp_path: Path
) -> None:
    train_dir = shutil.copytree(validated[0], tmp_path / "train")
    saved = json.loads((train_dir / "config.json").read_text())
    (train_dir / "config.json").write_text(json.dumps({**saved, "num_steps": 100}))
    write = threading.Event()
    stop = threading.Event()

    def on_evaluation(evaluation: Evaluation) -> None:
        write.set()
        stop.wait(60)
        (train_dir / "config.json").write_text(json.dumps({**saved, "num_steps": 6}))

    shutil.rmtree(train_dir / "eval")
    first = threading.Thread(
        target=watch,
        args=(train_dir, lambda: evaluator(records, train_dir)),
        kwargs={"on_evaluation": on_evaluation},
    )
    first.start()
    assert write.wait(60)
    with pytest.raises(GroovaeError, match="another process evaluates this training"):
        watch(train_dir, lambda: evaluator(records, train_dir))
    stop.set()
    first.join(60)
    assert not first.is_alive()


def test_patience_without_a_watch_is_a_wrong_call(groovae: Groovae) -> None:
    assert_one_line(groovae("evaluate", "--early_stop_patience=2"), 2, "--watch")


def test_only_a_folder_is_watched(groovae: Groovae, trained: Path, records: Path) -> None:
    prefix = trained / "model.ckpt-3"
    result = groovae("evaluate", "--watch", f"--checkpoint={prefix}", f"--examples_path={records}")
    assert_one_line(result, 2, "model.ckpt-3 is one checkpoint")
    result = groovae("evaluate", "--watch", "--examples_path=nowhere.tfrecord")
    assert_one_line(result, 1, "nowhere.tfrecord")
