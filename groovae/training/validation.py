"""Validation during training: evaluate checkpoints, keep the best one, decide when to stop.

In the training folder it writes

    eval/metrics.csv       the losses of each evaluated checkpoint
    eval/events.out...     the same for TensorBoard
    best/                  a checkpoint folder: the checkpoint with the lowest validation loss so
                           far, its config.json, and its losses in evaluation.json

Either the training itself or `groovae evaluate --watch` in another process evaluates. Early
stopping depends on eval/metrics.csv alone and works with both.
"""

import contextlib
import math
import os
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from groovae.config import config_map
from groovae.errors import GroovaeError, UsageError
from groovae.model.checkpoints import find_checkpoint
from groovae.model.formats import step_of
from groovae.system.atomic_files import LOCK, atomic_write, exclusive, refuse_links, write_json
from groovae.system.checkpoint_files import checkpoint_files, prefixes, remove_checkpoint
from groovae.system.log import Log, no_log
from groovae.system.regular_files import read_json
from groovae.training.hooks import StopRequest, scalar_summary
from groovae.training.losses import Evaluation, Evaluator
from groovae.training.metrics_csv import EVAL_FOLDER, FILE, MetricsLog
from groovae.training.options import TrainOptions
from groovae.upstream import tf

POLL_SECONDS = 2.0
BEST_FOLDER = "best"
EVALUATION_FILE = "evaluation.json"


class Validation:
    """Evaluates the checkpoints of a training folder; at most one process at a time does."""

    def __init__(
        self,
        train_dir: Path,
        evaluator: Evaluator,
        on_evaluation: Callable[[Evaluation], None] = lambda evaluation: None,
    ):
        """Raise a GroovaeError if the best checkpoint was chosen on another validation set."""
        self._train_dir, self._evaluator, self._on_evaluation = train_dir, evaluator, on_evaluation
        eval_dir, best_dir = train_dir / EVAL_FOLDER, train_dir / BEST_FOLDER
        eval_dir.mkdir(parents=True, exist_ok=True)
        # Event files made within the same second need different names.
        self._writer = tf.summary.FileWriter(str(eval_dir), filename_suffix=f".{os.getpid()}")
        earlier = _read_evaluation(best_dir)
        if earlier and earlier.get("data") != evaluator.data:
            raise GroovaeError(
                f"{best_dir}: this checkpoint was chosen on a different validation set; evaluate "
                "on the same records with the same flags, or move eval/ and best/ away"
            )

    def evaluate(self, checkpoint: str) -> None:
        """Evaluate a new checkpoint, record its losses, and keep it if it is the best so far.

        Raises:
          GroovaeError: the checkpoint is damaged, missing or another model's, or the disk is full.
        """
        metrics = _metrics(self._train_dir)
        if any(row["step"] == step_of(checkpoint) for row in metrics.rows):
            return
        evaluation = self._evaluator.evaluate(checkpoint)
        best = read_best(self._train_dir)
        if best is None or evaluation.losses["loss"] < best[1]:
            _save_best(checkpoint, evaluation, self._evaluator.data, self._train_dir / BEST_FOLDER)
        metrics.append({"step": evaluation.step, **evaluation.losses})
        self._writer.add_summary(scalar_summary(evaluation.losses), evaluation.step)
        self._writer.flush()
        self._on_evaluation(evaluation)


@contextlib.contextmanager
def open_validation(
    train_dir: Path,
    evaluator: Callable[[], Evaluator],
    on_evaluation: Callable[[Evaluation], None],
) -> Iterator[Validation]:
    """Yield the Validation of a training folder, locked against other processes.

    Raises:
      GroovaeError: another process evaluates this training, or a folder of it is a link.
    """
    refuse_links(train_dir, EVAL_FOLDER, BEST_FOLDER)
    with (
        exclusive(train_dir / EVAL_FOLDER, "evaluates this training"),
        contextlib.closing(evaluator()) as opened,
    ):
        yield Validation(train_dir, opened, on_evaluation)


class ValidationListener(tf.train.CheckpointSaverListener):
    """Evaluates checkpoints that are saved after `start_step`, and stops a training early.

    `validation` is None if nothing is evaluated, or another process does so. After a stop request
    there is no time left to evaluate.
    """

    def __init__(
        self,
        validation: Validation | None,
        options: TrainOptions,
        train_dir: Path,
        start_step: int,
        stop_request: StopRequest,
    ):
        self._validation, self._options, self._train_dir = validation, options, train_dir
        self._start_step, self._stop_request = start_step, stop_request
        self._num_saved = 0

    def after_save(self, session: Any, global_step_value: Any) -> bool:
        """Return whether to stop early."""
        if global_step_value == self._start_step or self._stop_request.received:
            return False
        self._num_saved += 1
        if self._num_saved % self._options.eval_every == 0:
            self._evaluate(global_step_value)
        return is_out_of_patience(self._train_dir, self._options.early_stop_patience)

    def end(self, session: Any, global_step_value: Any) -> None:
        """Evaluate the last checkpoint in any case, as it may be the best."""
        if global_step_value > self._start_step and not self._stop_request.received:
            self._evaluate(global_step_value)

    def _evaluate(self, step: Any) -> None:
        if self._validation:
            self._validation.evaluate(str(self._train_dir / f"model.ckpt-{step}"))


def discard_evaluations(train_dir: Path, after_step: int | None) -> None:
    """Remove the evaluations after the step at which a training resumes; None removes all.

    Raises:
      GroovaeError: all are to be removed, but the folder has the best checkpoint of a training; or
        a folder of the evaluations is a link.
    """
    refuse_links(train_dir, EVAL_FOLDER, BEST_FOLDER)
    best_dir = train_dir / BEST_FOLDER
    if after_step is None and best_dir.exists():
        raise GroovaeError(
            f"{best_dir}: holds the best checkpoint of an earlier training; move it away, or use "
            "another --train_dir"
        )
    _metrics(train_dir).truncate(-1 if after_step is None else after_step)


def evaluations_since_best(train_dir: Path) -> int:
    """Return the number of evaluations after the first one with the lowest validation loss."""
    rows = _metrics(train_dir).rows
    best = min(range(len(rows)), key=lambda number: rows[number]["loss"], default=0)
    return max(0, len(rows) - 1 - best)


def is_out_of_patience(train_dir: Path, patience: int) -> bool:
    """Return whether the last `patience` evaluations brought no lower loss; False if it is 0."""
    return bool(patience) and evaluations_since_best(train_dir) >= patience


def watch(
    train_dir: Path,
    evaluator: Callable[[], Evaluator],
    patience: int = 0,
    log: Log = no_log,
    on_evaluation: Callable[[Evaluation], None] = lambda evaluation: None,
) -> tuple[int, float] | None:
    """Evaluate each new checkpoint of a training that runs in another process.

    Ends after the last step of the training was evaluated, or after `patience` evaluations without
    a lower loss.

    Args:
      train_dir: The training folder.
      evaluator: Makes the evaluator, once there is a checkpoint.
      patience: Evaluations without a lower loss after which to end; 0 for never.
      log: Called with each line of progress.
      on_evaluation: Called after each evaluation.

    Returns:
      Step and loss of the best checkpoint.

    Raises:
      UsageError: `train_dir` is a checkpoint, not a folder.
      GroovaeError: another process evaluates this training already.
    """
    if train_dir.is_file() or Path(f"{train_dir}.index").exists():
        raise UsageError(f"{train_dir} is one checkpoint; --watch needs a training folder")
    if not find_checkpoint(train_dir):
        log(f"waiting for the first checkpoint in {train_dir}")
        while not find_checkpoint(train_dir):
            time.sleep(POLL_SECONDS)
    with open_validation(train_dir, evaluator, on_evaluation) as validation:
        was_training = True
        while True:
            _evaluate_newest(train_dir, validation, log)
            if is_out_of_patience(train_dir, patience) or _is_done(train_dir):
                return read_best(train_dir)
            is_training = (train_dir / LOCK).exists()
            if was_training and not is_training:
                log(f"no training is running in {train_dir}; waiting for it to resume")
            was_training = is_training
            time.sleep(POLL_SECONDS)


def _evaluate_newest(train_dir: Path, validation: Validation, log: Log) -> None:
    """Evaluate the newest checkpoint, which the training may delete meanwhile."""
    checkpoint = find_checkpoint(train_dir)
    if checkpoint:
        try:
            validation.evaluate(checkpoint)
        except GroovaeError as error:
            if find_checkpoint(train_dir) == checkpoint and Path(f"{checkpoint}.index").exists():
                raise
            log(f"skipped a checkpoint that the training has deleted: {error}")


def _is_done(train_dir: Path) -> bool:
    num_steps = (config_map.read_config(train_dir) or {}).get("num_steps") or math.inf
    rows = _metrics(train_dir).rows
    return bool(rows) and rows[-1]["step"] >= num_steps


def _metrics(train_dir: Path) -> MetricsLog:
    return MetricsLog(train_dir / EVAL_FOLDER / FILE)


def read_best(train_dir: Path) -> tuple[int, float] | None:
    """Return step and loss of the best checkpoint of a training, or None.

    Raises:
      GroovaeError: evaluation.json is damaged.
    """
    evaluation = _read_evaluation(train_dir / BEST_FOLDER)
    return (evaluation["step"], evaluation["losses"]["loss"]) if evaluation else None


def _read_evaluation(best_dir: Path) -> dict[str, Any]:
    """Return the content of evaluation.json, empty without the file or its checkpoint."""
    path = best_dir / EVALUATION_FILE
    try:
        evaluation = read_json(path)
        if not isinstance(evaluation["step"], int):
            raise ValueError("step is not an integer")
        float(evaluation["losses"]["loss"])
        checkpoint = best_dir / f"model.ckpt-{evaluation['step']}.index"
        return evaluation if checkpoint.exists() else {}
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise GroovaeError(f"cannot read {path} ({error}); remove {best_dir}") from error


def _save_best(
    checkpoint: str, evaluation: Evaluation, data: dict[str, Any], best_dir: Path
) -> None:
    """Replace the checkpoint in `best_dir`.

    The new one is complete before evaluation.json names it; the old one is removed last.
    """
    train_dir, name = Path(checkpoint).parent, Path(checkpoint).name
    files = checkpoint_files(checkpoint)  # the index is the last to be written
    if not files or files[-1].suffix != ".index":
        raise GroovaeError(f"{checkpoint}: deleted before it could be kept as the best checkpoint")
    for file in files:
        with atomic_write(best_dir / file.name, follow_links=False) as temporary:
            _link_or_copy(file, temporary)
    if (train_dir / config_map.CONFIG_FILE).exists():
        with atomic_write(best_dir / config_map.CONFIG_FILE, follow_links=False) as temporary:
            shutil.copyfile(train_dir / config_map.CONFIG_FILE, temporary)
    kept = {**evaluation.as_dict(), "checkpoint": name, "data": data}
    write_json(best_dir / EVALUATION_FILE, kept)
    tf.train.update_checkpoint_state(str(best_dir), name)
    for old in prefixes(best_dir) - {name}:
        remove_checkpoint(best_dir / old)


def _link_or_copy(file: Path, temporary: Path) -> None:
    """Make a hard link, which takes no space, where the file system has them."""
    temporary.unlink()
    try:
        os.link(file, temporary)  # safe, since TensorFlow never modifies a checkpoint in place
    except OSError:
        shutil.copyfile(file, temporary)
