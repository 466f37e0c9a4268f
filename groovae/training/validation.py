"""Validation of a training as it goes: its curve, its best checkpoint, and when to stop.

A training folder holds

    eval/metrics.csv       the losses of each evaluated checkpoint, a row a checkpoint
    eval/events.out...     the same for TensorBoard
    best/                  a checkpoint folder of its own: the one of the least validation loss so
                           far, its config.json, and its losses as evaluation.json

It does not matter who evaluates, the training itself or `groovae evaluate --watch` beside it: when
to stop is decided by eval/metrics.csv alone.
"""

import json
import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from groovae.config import config_map
from groovae.errors import GroovaeError, UsageError
from groovae.model.checkpoints import find_checkpoint
from groovae.model.formats import step_of
from groovae.system.atomic_files import LOCK, atomic_write, exclusive, write_json
from groovae.system.log import Log, no_log
from groovae.training.losses import Evaluation, Evaluator
from groovae.training.metrics_csv import FILE, MetricsLog
from groovae.upstream import tf

POLL_SECONDS = 2.0
EVAL_FOLDER = "eval"
EVALUATION_FILE = "evaluation.json"


class Validation:
    """The validation of one training folder. One process at a time keeps it.

    Attributes:
      best: Step and loss of the best checkpoint, or None where there is none yet.
    """

    def __init__(self, train_dir: Path, evaluator: Evaluator):
        self._train_dir, self._evaluator = train_dir, evaluator
        self._eval_dir, self._best_dir = train_dir / EVAL_FOLDER, train_dir / "best"
        self._eval_dir.mkdir(parents=True, exist_ok=True)
        # Two event files of a folder must not be made within the same second.
        self._writer = tf.summary.FileWriter(str(self._eval_dir), filename_suffix=f".{os.getpid()}")
        _check_same_data(self._best_dir, evaluator.data)
        self.best = read_best(self._best_dir)

    @property
    def last_step(self) -> int:
        """The step of the last checkpoint that was evaluated, -1 where none was."""
        rows = _curve(self._train_dir).rows
        return int(rows[-1]["step"]) if rows else -1

    def has(self, step: int) -> bool:
        """Whether the checkpoint of a step was evaluated."""
        return any(row["step"] == step for row in _curve(self._train_dir).rows)

    def add(self, checkpoint: str) -> Evaluation:
        """Evaluates a checkpoint, adds it to the curve, and keeps it if it is the best so far.

        Raises:
          GroovaeError: the checkpoint is damaged, gone, or another model's; or the disk is full.
        """
        evaluation = self._evaluator.evaluate(checkpoint)
        loss = evaluation.losses["loss"]
        if self.best is None or loss < self.best[1]:
            _keep(checkpoint, evaluation, self._evaluator.data, self._best_dir)
            self.best = (evaluation.step, loss)
        _curve(self._train_dir).append({"step": evaluation.step, **evaluation.losses})
        values = [tf.Summary.Value(tag=k, simple_value=v) for k, v in evaluation.losses.items()]
        self._writer.add_summary(tf.Summary(value=values), evaluation.step)
        self._writer.flush()
        return evaluation


def forget(train_dir: Path, last_step: int | None) -> None:
    """Forgets the evaluations after the step that a training goes on from; None where it begins.

    Raises:
      GroovaeError: a training begins where the best checkpoint of another one lies.
    """
    if last_step is None and (train_dir / "best").exists():
        raise GroovaeError(
            f"{train_dir / 'best'}: the best checkpoint of an earlier training is there; move it "
            "away, or name another --train_dir"
        )
    _curve(train_dir).cut(-1 if last_step is None else last_step)


def evaluations_since_best(train_dir: Path) -> int:
    """How many evaluations have gone by since the least validation loss, by eval/metrics.csv."""
    rows = _curve(train_dir).rows
    best = min(range(len(rows)), key=lambda number: rows[number]["loss"], default=0)
    return max(0, len(rows) - 1 - best)


def has_waited(train_dir: Path, patience: int) -> bool:
    """Whether so many evaluations have gone by without a lower loss; 0 never stops."""
    return bool(patience) and evaluations_since_best(train_dir) >= patience


def watch(
    train_dir: Path,
    evaluator: Callable[[], Evaluator],
    patience: int = 0,
    log: Log = no_log,
    on_evaluation: Callable[[Evaluation], None] = lambda evaluation: None,
) -> tuple[int, float] | None:
    """Evaluates each new checkpoint of a training that another process does.

    Ends once the training's last step is evaluated, or `patience` evaluations on end were no
    better.

    Args:
      train_dir: The training folder.
      evaluator: Makes the evaluator, once there is a checkpoint.
      patience: Evaluations without a lower loss after which to end; 0 for never.
      log: Gets lines of talk.
      on_evaluation: Called after each evaluation.

    Returns:
      Step and loss of the best checkpoint.

    Raises:
      UsageError: `train_dir` is a checkpoint and not a folder.
      GroovaeError: another process evaluates this training already.
    """
    if train_dir.is_file() or Path(f"{train_dir}.index").exists():
        raise UsageError(f"{train_dir} is one checkpoint; only the folder of a training is watched")
    if not find_checkpoint(train_dir):
        log(f"waiting for the first checkpoint in {train_dir}")
        while not find_checkpoint(train_dir):
            time.sleep(POLL_SECONDS)
    with exclusive(train_dir / EVAL_FOLDER, "evaluates this training"):
        validation = Validation(train_dir, evaluator())
        is_alone = False
        while True:
            _catch_up(train_dir, validation, log, on_evaluation)
            if has_waited(train_dir, patience) or _is_done(train_dir, validation):
                return validation.best
            was_alone, is_alone = is_alone, not (train_dir / LOCK).exists()
            if is_alone and not was_alone:
                log(f"no training is at work in {train_dir}; waiting for one to go on")
            time.sleep(POLL_SECONDS)


def _catch_up(
    train_dir: Path,
    validation: Validation,
    log: Log,
    on_evaluation: Callable[[Evaluation], None],
) -> None:
    """Evaluates the newest checkpoint, if it was not."""
    checkpoint = find_checkpoint(train_dir)
    if checkpoint and not validation.has(step_of(checkpoint)):
        try:
            on_evaluation(validation.add(checkpoint))
        except GroovaeError as error:
            if find_checkpoint(train_dir) == checkpoint and Path(f"{checkpoint}.index").exists():
                raise
            log(f"passed over, as the training has removed it: {error}")


def _is_done(train_dir: Path, validation: Validation) -> bool:
    saved = config_map.read_config(train_dir) or {}
    num_steps = saved.get("num_steps")
    return bool(num_steps) and validation.last_step >= int(num_steps or 0)


def _curve(train_dir: Path) -> MetricsLog:
    return MetricsLog(train_dir / EVAL_FOLDER / FILE)


def _check_same_data(best_dir: Path, data: dict[str, Any]) -> None:
    """Losses on other windows are not to be compared with."""
    if read_best(best_dir) and _read_evaluation(best_dir).get("data") != data:
        raise GroovaeError(
            f"{best_dir}: this checkpoint was chosen on other windows than those of now; evaluate "
            "on the same records in the same way, or move eval/ and best/ away"
        )


def read_best(best_dir: Path) -> tuple[int, float] | None:
    """Step and loss of the checkpoint in a folder `best/`, or None where there is none."""
    evaluation = _read_evaluation(best_dir)
    if not evaluation or not (best_dir / f"model.ckpt-{evaluation['step']}.index").exists():
        return None
    return evaluation["step"], evaluation["losses"]["loss"]


def _read_evaluation(best_dir: Path) -> dict[str, Any]:
    """What evaluation.json says, nothing where there is none."""
    path = best_dir / EVALUATION_FILE
    try:
        evaluation = json.loads(path.read_text("utf-8"))
        if not isinstance(evaluation["step"], int):
            raise ValueError("its step is no number")
        float(evaluation["losses"]["loss"])
        return evaluation
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise GroovaeError(f"cannot read {path} ({error}); remove {best_dir}") from error


def _keep(checkpoint: str, evaluation: Evaluation, data: dict[str, Any], best_dir: Path) -> None:
    """Puts a checkpoint into `best_dir` in the place of the one there.

    The new one is whole before evaluation.json names it, and the old one goes last.
    """
    train_dir, name = Path(checkpoint).parent, Path(checkpoint).name
    # The index comes last: without it, the other files are not a checkpoint.
    files = sorted(train_dir.glob(f"{name}.*"), key=lambda file: file.suffix == ".index")
    if not files or files[-1].suffix != ".index":
        raise GroovaeError(f"{checkpoint}: it is gone before it could be kept")
    for file in files:
        with atomic_write(best_dir / file.name) as temporary:
            _link(file, temporary)
    if (train_dir / config_map.CONFIG_FILE).exists():
        with atomic_write(best_dir / config_map.CONFIG_FILE) as temporary:
            shutil.copyfile(train_dir / config_map.CONFIG_FILE, temporary)
    kept = {**evaluation.as_dict(), "checkpoint": name, "data": data}
    write_json(best_dir / EVALUATION_FILE, kept)
    tf.train.update_checkpoint_state(str(best_dir), name)
    for old in best_dir.glob("model.ckpt-*"):
        if not old.name.startswith(f"{name}."):
            old.unlink()


def _link(file: Path, temporary: Path) -> None:
    """A second name takes no room, where the file system has such; TensorFlow never edits files."""
    temporary.unlink()
    try:
        os.link(file, temporary)
    except OSError:
        shutil.copyfile(file, temporary)
