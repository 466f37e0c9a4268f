"""Validation: evaluated checkpoints, the best one, early stopping, and `evaluate --watch`."""

import json
import shutil
import threading
from pathlib import Path
from typing import Any

import pytest
from conftest import (
    TINY_HPARAMS,
    Groovae,
    a_groove,
    assert_one_line,
    write_records,
)

from groovae.config import config_map
from groovae.data.source import DataSource
from groovae.errors import GroovaeError
from groovae.generation.loading import load_model
from groovae.model.checkpoints import find_checkpoint, need_checkpoint
from groovae.training import validation
from groovae.training.hooks import Progress
from groovae.training.losses import Evaluation, Evaluator
from groovae.training.metrics_csv import MetricsLog
from groovae.training.train import TrainOptions, TrainResult, train
from groovae.training.validation import (
    Validation,
    _save_best,
    evaluations_since_best,
    is_out_of_patience,
    read_best,
    watch,
)

pytestmark = pytest.mark.usefixtures("equal_batches")


def options(train_dir: Path, few_patterns: Path, **more: Any) -> TrainOptions:
    every = {
        "eval_examples_path": str(few_patterns),
        "save_checkpoint_steps": 2,
        "seed": 1,
        "num_steps": 6,
        "hparams": TINY_HPARAMS,
    }
    return TrainOptions(str(train_dir), str(few_patterns), **{**every, **more})


@pytest.fixture(scope="module")
def validated(
    equal_batches: None, few_patterns: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, TrainResult]:
    """A training of six steps with an evaluation each two steps; tests copy the folder."""
    train_dir = tmp_path_factory.mktemp("validated") / "train"
    return train_dir, train(options(train_dir, few_patterns))


@pytest.fixture
def train_dir(validated: tuple[Path, TrainResult], tmp_path: Path) -> Path:
    """A copy of the `validated` training."""
    return shutil.copytree(validated[0], tmp_path / "train")


def write_metrics(train_dir: Path, *curve: float) -> None:
    (train_dir / "eval").mkdir(parents=True, exist_ok=True)
    metrics = MetricsLog(train_dir / "eval" / "metrics.csv")
    metrics.truncate(-1)
    for step, loss in enumerate(curve):
        metrics.append({"step": step, "loss": loss})


def read_metrics(train_dir: Path) -> list[dict[str, float]]:
    return MetricsLog(train_dir / "eval" / "metrics.csv").rows


def evaluated_steps(train_dir: Path) -> list[float]:
    return [row["step"] for row in read_metrics(train_dir)]


class OpenEvaluator(Evaluator):
    """An evaluator whose graphs, which are slow to build, several tests use."""

    def close(self) -> None:
        pass


@pytest.fixture(scope="module")
def evaluator(validated: tuple[Path, TrainResult], few_patterns: Path) -> Evaluator:
    """Evaluates the checkpoints of `validated` and its copies."""
    name, config = config_map.resolve_config(validated[0], None, "")
    windows = DataSource(str(few_patterns)).load(
        config_map.layout(config), validated[0], lambda line: None
    )
    return OpenEvaluator(name, config, windows)


def remove_evaluations(train_dir: Path) -> None:
    for name in ("eval", "best"):
        shutil.rmtree(train_dir / name)


# In the training process


def test_checkpoints_are_evaluated_and_the_best_is_kept(
    validated: tuple[Path, TrainResult], evaluator: Evaluator, train_dir: Path
) -> None:
    rows = read_metrics(train_dir)
    assert [row["step"] for row in rows] == [2, 4, 6]
    best = min(rows, key=lambda row: row["loss"])
    assert validated[1].best == (best["step"], pytest.approx(best["loss"]))
    assert find_checkpoint(train_dir / "best") == str(
        train_dir / "best" / f"model.ckpt-{best['step']:.0f}"
    )
    assert len(list((train_dir / "best").glob("*.index"))) == 1
    kept = json.loads((train_dir / "best" / "evaluation.json").read_text())
    assert (kept["step"], kept["windows"], kept["z"]) == (best["step"], 10, "mu")
    again = evaluator.evaluate(need_checkpoint(train_dir / "best"))
    assert again.losses == kept["losses"]


def test_best_folder_is_a_model_by_itself(train_dir: Path, tmp_path: Path) -> None:
    moved = shutil.move(train_dir / "best", tmp_path / "moved")
    assert len(load_model(moved, seed=1).sample()) == 1


def test_resumed_training_continues_its_metrics_and_eval_every_counts_checkpoints(
    few_patterns: Path, train_dir: Path
) -> None:
    for file in train_dir.glob("model.ckpt-6.*"):
        file.unlink()
    seen: list[int] = []
    train(
        options(train_dir, few_patterns, eval_every=2, num_steps=9),
        on_evaluation=lambda evaluation: seen.append(evaluation.step),
    )
    assert seen == [8, 9]  # checkpoints 6 and 8, and the last one in any case
    assert evaluated_steps(train_dir) == [2, 4, 8, 9]


def test_early_stopping(few_patterns: Path, tmp_path: Path) -> None:
    write_metrics(tmp_path, 1, 2, 3, 4)  # of an earlier training, which must not stop this one
    patient = options(
        tmp_path,
        few_patterns,
        # So large that the loss falls in the first steps only.
        hparams=f"{TINY_HPARAMS},learning_rate=0.5",
        num_steps=200,
        early_stop_patience=2,
        seed=2,
    )
    result = train(patient)
    assert (result.stopped_early, result.stopped_by) == (True, None)
    assert result.best
    steps = evaluated_steps(tmp_path)
    assert steps[0] == 2
    assert result.step == steps[-1] == steps[-3] + 4 < 200
    assert result.best[0] == steps[-3]
    lines: list[str] = []
    assert train(patient, lines.append) == result
    assert "--early_stop_patience" in lines[-1]


@pytest.mark.parametrize(
    ("curve", "expected"),
    [([], 0), ([5], 0), ([5, 4, 3], 0), ([5, 3, 4], 1), ([3, 3, 3], 2), ([3, 9, 2, 4, 4], 2)],
)
def test_evaluations_since_best(curve: list[float], expected: int, tmp_path: Path) -> None:
    write_metrics(tmp_path, *curve)
    assert evaluations_since_best(tmp_path) == expected
    assert is_out_of_patience(tmp_path, 2) == (expected >= 2)
    assert not is_out_of_patience(tmp_path, 0)


def test_best_without_an_index_is_replaced(evaluator: Evaluator, train_dir: Path) -> None:
    """A kill may leave a part of the checkpoint in best/."""
    for file in (train_dir / "best").glob("*.index"):
        file.unlink()
    (train_dir / "eval" / "metrics.csv").unlink()
    new = Validation(train_dir, evaluator)
    assert read_best(train_dir) is None
    new.evaluate(str(train_dir / "model.ckpt-2"))
    assert find_checkpoint(train_dir / "best") == str(train_dir / "best" / "model.ckpt-2")


def test_own_files_beside_checkpoints_are_neither_copied_nor_removed(train_dir: Path) -> None:
    best_dir = train_dir / "best"
    own = ["model.ckpt-9.tar", "model.ckpt-9_best.mid"]
    for folder, name in ((best_dir, own[0]), (best_dir, own[1]), (train_dir, "model.ckpt-6.tar")):
        (folder / name).write_text("mine")
    (best_dir / "model.ckpt-9.backup").mkdir()
    (best_dir / "model.ckpt-9.index").touch()
    checkpoint = str(train_dir / "model.ckpt-6")
    _save_best(checkpoint, Evaluation(checkpoint, 6, "", 1, {"loss": 0.0}), {}, best_dir)
    found = {path.name for path in best_dir.glob("model.ckpt-*")}
    assert found >= {*own, "model.ckpt-9.backup", "model.ckpt-6.index"}
    assert not found & {"model.ckpt-9.index", "model.ckpt-6.tar"}


@pytest.mark.parametrize("name", ["best", "eval"])
def test_linked_folder_is_refused(
    few_patterns: Path, train_dir: Path, tmp_path: Path, name: str
) -> None:
    (train_dir / name).rename(tmp_path / "elsewhere")
    (train_dir / name).symlink_to(tmp_path / "elsewhere")
    with pytest.raises(GroovaeError, match=f"{name}: this is a link"):
        train(options(train_dir, few_patterns, num_steps=8))


def test_new_training_does_not_overwrite_the_best_of_another(
    few_patterns: Path, train_dir: Path, tmp_path: Path
) -> None:
    shutil.move(train_dir / "best", tmp_path / "new" / "best")
    with pytest.raises(GroovaeError, match="best checkpoint of an earlier training"):
        train(options(tmp_path / "new", few_patterns))


def test_another_validation_set_is_refused(
    few_patterns: Path, train_dir: Path, tmp_path: Path
) -> None:
    other = write_records(tmp_path / "other.tfrecord", a_groove(8))
    with pytest.raises(GroovaeError, match=r"best: .* different validation set"):
        train(options(train_dir, few_patterns, num_steps=8, eval_examples_path=str(other)))


def test_last_checkpoint_is_evaluated_at_the_next_start(
    few_patterns: Path, train_dir: Path
) -> None:
    remove_evaluations(train_dir)
    result = train(options(train_dir, few_patterns))  # which is at its last step already
    assert result.best
    assert result.best[0] == 6
    assert evaluated_steps(train_dir) == [6]


def test_deleted_checkpoint_does_not_replace_the_best(train_dir: Path) -> None:
    evaluation = Evaluation(str(train_dir / "model.ckpt-2"), 2, "groovae_4bar", 10, {"loss": 0.0})
    (train_dir / "model.ckpt-2.index").unlink()
    before = read_best(train_dir)
    with pytest.raises(GroovaeError, match=r"model\.ckpt-2"):
        _save_best(evaluation.checkpoint, evaluation, {}, train_dir / "best")
    assert before
    assert read_best(train_dir) == before


# In a second process


def test_watch_evaluates_new_checkpoints_until_the_last_step(
    in_process: Groovae,
    few_patterns: Path,
    train_dir: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    remove_evaluations(train_dir)
    last = tmp_path / "last"
    last.mkdir()
    for file in train_dir.glob("model.ckpt-6.*"):
        file.rename(last / file.name)
    started = train_dir.rename(tmp_path / "started")

    def save_last() -> None:
        for file in last.iterdir():
            file.rename(train_dir / file.name)

    # The training goes on while the watch sleeps.
    events = iter([lambda: started.rename(train_dir), save_last])
    monkeypatch.setattr(validation.time, "sleep", lambda seconds: next(events)())
    flags = [f"--checkpoint={train_dir}", f"--examples_path={few_patterns}"]
    result = in_process("evaluate", "--watch", *flags)
    assert result.returncode == 0, result.stderr
    for words in ("waiting for the first checkpoint", "step 6", str(train_dir / "best")):
        assert words in result.stderr
    assert evaluated_steps(train_dir) == [4, 6]
    assert load_model(train_dir / "best", seed=1)


def test_training_stops_early_by_the_evaluations_of_another_process(
    few_patterns: Path, tmp_path: Path
) -> None:
    def evaluate(progress: Progress) -> None:
        write_metrics(tmp_path, *range(progress.step))

    alone = options(
        tmp_path, few_patterns, eval_examples_path=None, num_steps=10**6, early_stop_patience=1
    )
    result = train(alone, on_step=evaluate)
    assert (result.step, result.stopped_early, result.best) == (2, True, None)


def test_second_watch_is_refused(evaluator: Evaluator, train_dir: Path) -> None:
    saved = json.loads((train_dir / "config.json").read_text())
    (train_dir / "config.json").write_text(json.dumps({**saved, "num_steps": 100}))
    has_evaluated = threading.Event()
    stop = threading.Event()

    def on_evaluation(evaluation: Evaluation) -> None:
        has_evaluated.set()
        stop.wait(60)
        (train_dir / "config.json").write_text(json.dumps({**saved, "num_steps": 6}))

    shutil.rmtree(train_dir / "eval")
    first = threading.Thread(
        target=watch,
        args=(train_dir, lambda: evaluator),
        kwargs={"on_evaluation": on_evaluation},
    )
    first.start()
    assert has_evaluated.wait(60)
    with pytest.raises(GroovaeError, match="another process evaluates this training"):
        watch(train_dir, lambda: evaluator)
    stop.set()
    first.join(60)
    assert not first.is_alive()


def test_patience_without_watch_is_a_usage_error(in_process: Groovae) -> None:
    assert_one_line(in_process("evaluate", "--early_stop_patience=2"), 2, "--watch")


def test_watch_needs_a_folder_and_records(
    in_process: Groovae, trained: Path, records: Path
) -> None:
    prefix = trained / "model.ckpt-3"
    flags = ["evaluate", "--watch"]
    result = in_process(*flags, f"--checkpoint={prefix}", f"--examples_path={records}")
    assert_one_line(result, 2, "model.ckpt-3", "folder")
    result = in_process(*flags, "--examples_path=nowhere.tfrecord")
    assert_one_line(result, 1, "nowhere.tfrecord")
