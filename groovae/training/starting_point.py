"""Where a run starts: at the newest checkpoint of its training, from given weights, or anew."""

import secrets
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from groovae.config import config_map
from groovae.model.checkpoints import (
    all_checkpoints,
    check_fits,
    need_checkpoint,
    newest_readable,
    read_initial_weights,
    remove_partial_checkpoints,
)
from groovae.model.formats import step_of
from groovae.system.log import Log
from groovae.training.options import TrainOptions
from groovae.training.validation import discard_evaluations
from groovae.upstream import DurableSaver, tf


@dataclass(frozen=True)
class StartingPoint:
    """Where a run starts.

    Attributes:
      checkpoint: The checkpoint to resume from; None for a new training.
      step: Its global step, or 0.
      seed: The seed of the training.
      init_checkpoint: The checkpoint whose weights the training began with, or None.
    """

    checkpoint: str | None
    step: int
    seed: int
    init_checkpoint: str | None


def find_starting_point(
    options: TrainOptions,
    train_dir: Path,
    description: dict[str, Any],
    default_seed: int | None,
    log: Log,
) -> StartingPoint:
    """Find the newest readable checkpoint to resume from; discard evaluations of later steps.

    Raises:
      UsageError: the folder holds another model.
      GroovaeError: no checkpoint of the folder can be read, or config.json or the evaluations.
    """
    saved = config_map.read_config(train_dir) or {}
    checkpoint = newest_readable(train_dir, log)
    if checkpoint is None:
        discard_evaluations(train_dir, None)
        step, init_checkpoint = 0, options.init_checkpoint
    else:
        if saved:
            config_map.check_same_model(saved, description, str(train_dir))
        step, init_checkpoint = step_of(checkpoint), saved.get("init_checkpoint")
        discard_evaluations(train_dir, step)
    seed = choose_seed(options.seed, default_seed, saved.get("seed"))
    return StartingPoint(checkpoint, step, seed, init_checkpoint)


def choose_seed(*seeds: Any) -> int:
    """Return the first integer among the seeds, or else a random one."""
    return next((seed for seed in seeds if isinstance(seed, int)), secrets.randbelow(2**31))


def prepare_folder(train_dir: Path, start: StartingPoint) -> None:
    """Remove partial checkpoints, and make TensorFlow restore the one to resume from."""
    remove_partial_checkpoints(train_dir)
    latest = tf.train.latest_checkpoint(str(train_dir))
    if start.checkpoint and start.checkpoint != latest:
        kept = [c for c in all_checkpoints(train_dir) if step_of(c) <= start.step]
        tf.train.update_checkpoint_state(str(train_dir), start.checkpoint, kept)


def make_scaffold(start: StartingPoint, options: TrainOptions, log: Log) -> Any:
    """Return a tf.train.Scaffold that saves checkpoints and loads `--init_checkpoint`.

    Raises:
      GroovaeError: a checkpoint is damaged or does not fit the variables of the default graph.
    """
    path = options.init_checkpoint
    load_weights = None
    if start.checkpoint:
        check_fits(start.checkpoint, tf.global_variables(), options.config_name)
        if path:
            log(f"--init_checkpoint={path} is ignored: resuming from {start.checkpoint}")
    elif path:
        load_weights = _weights_loader(path, options.config_name, log)
    saver = DurableSaver(
        max_to_keep=options.checkpoints_to_keep,
        keep_checkpoint_every_n_hours=options.keep_checkpoint_every_n_hours,
        save_relative_paths=True,  # the folder may be moved
    )
    return tf.train.Scaffold(saver=saver, init_fn=load_weights)


def _weights_loader(path: str, config_name: str, log: Log) -> Callable[[Any, Any], None]:
    variables = tf.trainable_variables()
    start = read_initial_weights(need_checkpoint(path), variables, config_name)
    log(str(start))

    def load_weights(scaffold: Any, session: Any) -> None:
        for variable in variables:
            variable.load(start.values[variable.op.name], session)

    return load_weights
