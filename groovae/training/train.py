"""Trains a GrooVAE config on a TFRecord of NoteSequences, with tf_slim's training loop.

The graph is the one of Magenta's `music_vae_train.py` (`graph.py`): same model, loss, optimizer and
gradient clipping, so that checkpoints carry the same variables. What is around it is ours: the
windows are counted before the first step, a run that cannot work says so at once, and `hooks.py`
watches each step. A training folder holds

    model.ckpt-STEP.*   the newest checkpoints; the next start goes on from the last whole one
    config.json         what was trained, on what, from which seed, by which versions
    metrics.csv         each 100th step, which events.out... has for TensorBoard
    eval/ best/         of a training with validation, see `validation.py`

    groovae train --config=groovae_4bar --examples_path=data_dir/music.tfrecord --num_steps=50000
"""

import contextlib
import copy
import dataclasses
import functools
import os
import secrets
import signal
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from groovae.config import config_map
from groovae.data.source import DataSource
from groovae.data.window_cache import CachedWindows
from groovae.data.window_report import WindowReport
from groovae.errors import GroovaeError, first_line
from groovae.model.checkpoints import (
    all_checkpoints,
    check_fits,
    find_checkpoint,
    need_checkpoint,
    newest_readable,
    read_initial_weights,
    remove_partial_checkpoints,
)
from groovae.model.formats import step_of
from groovae.system.atomic_files import exclusive
from groovae.system.log import Log, no_log
from groovae.training.distributed import runtime
from groovae.training.distributed.replica import Replica, current_replica
from groovae.training.distributed.tf_config import Cluster
from groovae.training.graph import TrainingGraph, training_graph
from groovae.training.hooks import (
    CheckpointHook,
    DivergenceHook,
    FeedHook,
    Listener,
    LoggingHook,
    Progress,
    TrainingDiverged,
    explained,
)
from groovae.training.losses import Evaluation, Evaluator
from groovae.training.stopping import Stop, Stopping, stop_signals
from groovae.training.validation import Validation, forget, has_waited, read_best
from groovae.upstream import DurableSaver, keep_freed_memory, tf, tf_slim


@dataclasses.dataclass
class TrainOptions:
    """How to train; the defaults are those of `groovae train`.

    Attributes:
      train_dir: The folder for checkpoints, event files and `config.json`.
      examples_path: A TFRecord of NoteSequences, or a glob of them.
      config: A key of `CONFIG_MAP`.
      hparams: `name=value,...` to merge with the config's, or several, of which a later one wins.
      tfds_name: A TensorFlow Datasets set to train on instead, such as `groove/4bar-midionly`.
      tfds_data_dir: Where TFDS keeps its sets; `~/tensorflow_datasets` where it is None.
      hop_bars: Bars from the start of a window to the next; a whole window where it is None.
      unmapped_pitches: What becomes of drum notes without a class: `drop`, `nearest` or `error`.
      all_notes: Take the notes of all tracks for drums, not only those that say they are.
      init_checkpoint: A checkpoint whose weights a new training starts from.
      eval_examples_path: A TFRecord, or a glob of them, to evaluate on; windows do not overlap.
      eval_every: Evaluate each so many checkpoints.
      early_stop_patience: Stop after so many evaluations without a lower loss; 0 never does.
      num_steps: The global step to stop at; 0 trains until it is stopped.
      checkpoints_to_keep: How many of the newest checkpoints stay.
      keep_checkpoint_every_n_hours: One checkpoint in so many hours stays for good.
      save_checkpoint_secs: Seconds from one checkpoint to the next.
      save_checkpoint_steps: Steps from one to the next instead; 0 goes by seconds.
      cache_dataset: Keep the windows in a file beside the records for the next time.
      master: The TensorFlow master to use.
      num_sync_workers: Workers that apply their gradients together; they share the batch.
      num_ps_tasks: Parameter servers that the variables are spread over.
      task: The number of this worker; 0 is the chief.
      seed: For initial weights, the order of the windows, dropout and z; drawn where it is None.
    """

    train_dir: str = ".train"
    examples_path: str = "data_dir/music.tfrecord"
    config: str = "groovae_4bar"
    hparams: str | Sequence[str] = ""
    tfds_name: str | None = None
    tfds_data_dir: str | None = None
    hop_bars: int | None = None
    unmapped_pitches: str = "drop"
    all_notes: bool = False
    init_checkpoint: str | None = None
    eval_examples_path: str | None = None
    eval_every: int = 1
    early_stop_patience: int = 0
    num_steps: int = 50000
    checkpoints_to_keep: int = 5
    keep_checkpoint_every_n_hours: float = 1.0
    save_checkpoint_secs: int = 60
    save_checkpoint_steps: int = 0
    cache_dataset: bool = True
    master: str = ""
    num_sync_workers: int = 0
    num_ps_tasks: int = 0
    task: int = 0
    seed: int | None = None


@dataclasses.dataclass(frozen=True)
class Result:
    """How a training ended.

    Attributes:
      checkpoint: The prefix of the newest checkpoint; None in a worker, which saves none.
      step: Its global step.
      stopped_by: The signal that stopped it, if one has.
      stopped_early: Whether the validation loss has not fallen `early_stop_patience` times on end.
      best: Step and loss of the best checkpoint by validation, if there was one.
    """

    checkpoint: str | None
    step: int
    stopped_by: signal.Signals | None = None
    stopped_early: bool = False
    best: tuple[int, float] | None = None


def train(
    options: TrainOptions,
    log: Log = no_log,
    on_step: Callable[[Progress], None] = lambda progress: None,
    on_evaluation: Callable[[Evaluation], None] = lambda evaluation: None,
    cluster: Cluster | None = None,
) -> Result:
    """Trains, or goes on training, until `num_steps` or until it is stopped.

    Args:
      options: What to train, on what, and how.
      log: Gets each line that tells what is about to happen.
      on_step: Called after each step, except in a worker.
      on_evaluation: Called after each evaluation.
      cluster: The chief or worker of a cluster that this process is; see `cluster.from_environment`
        and, for parameter servers, `distributed.serve`.

    Raises:
      UsageError: unknown config or hparam, or the folder holds another model.
      GroovaeError: no windows, fewer than a batch, unreadable records, another training in the same
        folder, or a training that has gone wrong; the last good checkpoint stays.
    """
    replica = current_replica(
        cluster, options.num_sync_workers, options.num_ps_tasks, options.master, options.task
    )
    config = _config(options, replica)
    windows = _windows(config, options, log)
    keep_freed_memory()
    if not replica.is_chief:
        return _work(options, config, windows, replica, log)
    train_dir = Path(options.train_dir).expanduser()
    with exclusive(train_dir, "trains here"), replica.target(log) as target:
        training = _Training(
            options, config, train_dir, windows, replica, log, on_step, on_evaluation
        )
        try:
            result = training.run(target)
        except KeyboardInterrupt:
            if cluster:
                runtime.finish(cluster, target)
            raise
        if cluster and result.stopped_by != signal.SIGTERM:  # by which schedulers move processes
            runtime.finish(cluster, target)
        return result


class _Training:
    """One run of `train`, alone or as the chief, in a folder that no other process trains in."""

    def __init__(
        self,
        options: TrainOptions,
        config: Any,
        train_dir: Path,
        windows: CachedWindows,
        replica: Replica,
        log: Log,
        on_step: Callable[[Progress], None],
        on_evaluation: Callable[[Evaluation], None],
    ):
        self.options, self.config, self.train_dir = options, config, train_dir
        self.windows, self.replica = windows, replica
        self.log, self.on_step, self.on_evaluation = log, on_step, on_evaluation
        self.description = config_map.config_json(options.config, config)
        saved = config_map.read_config(train_dir) or {}
        self.checkpoint = newest_readable(train_dir, log)
        if saved and self.checkpoint:
            config_map.check_same_model(saved, self.description, str(train_dir))
        self.started_at = step_of(self.checkpoint) if self.checkpoint else 0
        forget(train_dir, self.started_at if self.checkpoint else None)
        self.seed = _seed(options.seed, saved, replica)
        # Once begun, a training has started from what it has started from.
        self.init_checkpoint = (
            saved.get("init_checkpoint") if self.checkpoint else options.init_checkpoint
        )
        self.validation: Validation | None = None
        self.saved_checkpoints = 0

    def run(self, target: str) -> Result:
        """Trains in sessions on `target`, if there is something left to do."""
        with self._validating():
            if self.started_at:  # its evaluation may have been interrupted
                self._evaluate(self.started_at)
            stop = Stop() if self._has_ended() else self._train(target)
            return self._result(stop)

    def _train(self, target: str) -> Stop:
        with tf.Graph().as_default(), stop_signals() as stop:
            # Other numbers after a restart, or the same dropout would come first again.
            graph = _graph(self.config, self.replica, self.seed + self.started_at)
            scaffold = self._scaffold()
            self._prepare_folder()
            self.log(self._plan())
            hooks = self._hooks(graph, scaffold, stop)
            _loop(graph, hooks, self.replica, target, self.train_dir, scaffold)
        return stop

    def _has_ended(self) -> bool:
        ends_at, patience = self.options.num_steps, self.options.early_stop_patience
        if ends_at and self.started_at >= ends_at:
            self.log(
                f"{self.train_dir} is at step {self.started_at:,} already; "
                "raise --num_steps to go on"
            )
        elif self.checkpoint and has_waited(self.train_dir, patience):
            self.log(
                f"the validation loss has not fallen for {patience} evaluations; "
                "raise --early_stop_patience to go on"
            )
        else:
            return False
        return True

    @contextlib.contextmanager
    def _validating(self) -> Iterator[None]:
        """Keeps the validation meanwhile, if this training has one."""
        options = self.options
        if not options.eval_examples_path:
            yield
            return
        data = DataSource(
            options.eval_examples_path,
            unmapped_pitches=options.unmapped_pitches,
            all_notes=options.all_notes,
        )
        windows = data.load(self.config, self.train_dir, self.log, options.cache_dataset)
        with (
            exclusive(self.train_dir / "eval", "evaluates this training"),
            contextlib.closing(Evaluator(options.config, self.config, windows)) as evaluator,
        ):
            self.validation = Validation(self.train_dir, evaluator)
            yield

    def _scaffold(self) -> Any:
        """What the loop restores, or starts from."""
        saver = DurableSaver(
            max_to_keep=self.options.checkpoints_to_keep,
            keep_checkpoint_every_n_hours=self.options.keep_checkpoint_every_n_hours,
            save_relative_paths=True,  # so that the folder may be moved
        )
        name, path = self.options.config, self.options.init_checkpoint
        if self.checkpoint:
            check_fits(self.checkpoint, tf.global_variables(), name)
            if path:
                self.log(f"the weights of {path} are not loaded: there is {self.checkpoint}")
        elif path:
            return tf.train.Scaffold(saver=saver, init_fn=self._loading(path))
        return tf.train.Scaffold(saver=saver)

    def _loading(self, path: str) -> Callable[[Any, Any], None]:
        variables = tf.trainable_variables()
        start = read_initial_weights(need_checkpoint(path), variables, self.options.config)
        self.log(str(start))

        def load(scaffold: Any, session: Any) -> None:
            for variable in variables:
                variable.load(start.values[variable.op.name], session)

        return load

    def _prepare_folder(self) -> None:
        """Makes the loop restore `checkpoint`, and says in the folder what is trained there."""
        remove_partial_checkpoints(self.train_dir)
        latest = tf.train.latest_checkpoint(str(self.train_dir))
        if self.checkpoint and self.checkpoint != latest:
            kept = [c for c in all_checkpoints(self.train_dir) if step_of(c) <= self.started_at]
            tf.train.update_checkpoint_state(str(self.train_dir), self.checkpoint, kept)
        config_map.save_config(self.train_dir, self.description, **self._about())
        _write_texts(self.train_dir, self.config, self.started_at)

    def _about(self) -> dict[str, Any]:
        """What `config.json` says beside the model."""
        names = ("hop_bars", "unmapped_pitches", "all_notes", "num_steps")
        return {
            "train_examples_path": self.config.train_examples_path,
            "tfds_name": self.config.tfds_name,
            **{name: getattr(self.options, name) for name in names},
            "init_checkpoint": self.init_checkpoint,
            "seed": self.seed,
            "windows": self.windows.report.as_dict(),
        }

    def _plan(self) -> str:
        ends_at = self.options.num_steps
        until = f"to step {ends_at:,}" if ends_at else "until it is stopped"
        return (
            f"training {self.options.config} in {self.options.train_dir} from step "
            f"{self.started_at:,} {until}, "
            f"{self.replica.windows_per_step(self.config.hparams.batch_size)} windows a step, "
            f"seed {self.seed}"
        )

    def _hooks(self, graph: TrainingGraph, scaffold: Any, stop: Stop) -> list[Any]:
        options, share = self.options, self.config.hparams.batch_size
        telling = LoggingHook(
            graph,
            self.train_dir,
            options.num_steps,
            self.replica.windows_per_step(share),
            len(self.windows),
            self.on_step,
        )
        listener = Listener(
            functools.partial(self._after_save, stop), functools.partial(self._at_end, stop)
        )
        saving = CheckpointHook(
            str(self.train_dir),
            save_secs=None if options.save_checkpoint_steps else options.save_checkpoint_secs,
            save_steps=options.save_checkpoint_steps or None,
            scaffold=scaffold,
            listeners=[listener],
        )
        step_hooks = _step_hooks(graph, self.config, options, self.windows, self.replica, self.seed)
        return [*step_hooks, telling, Stopping(stop, self.log), saving]

    def _after_save(self, stop: Stop, step: int) -> bool:
        """Evaluates if it is time to, unless one is told to stop; returns whether to stop early."""
        if step == self.started_at or stop.by:
            return False
        self.saved_checkpoints += 1
        if self.saved_checkpoints % self.options.eval_every == 0:
            self._evaluate(step)
        return has_waited(self.train_dir, self.options.early_stop_patience)

    def _at_end(self, stop: Stop, step: int) -> None:
        """The last checkpoint may be the best; who is told to stop has no time to find out."""
        if step > self.started_at and not stop.by:
            self._evaluate(step)

    def _evaluate(self, step: int) -> None:
        if self.validation and not self.validation.has(step):
            self.on_evaluation(self.validation.add(str(self.train_dir / f"model.ckpt-{step}")))

    def _result(self, stop: Stop) -> Result:
        checkpoint = need_checkpoint(self.train_dir)
        step, ends_at = step_of(checkpoint), self.options.num_steps
        is_done = bool(ends_at) and step >= ends_at
        return Result(
            checkpoint,
            step,
            None if is_done else stop.by,
            not is_done and has_waited(self.train_dir, self.options.early_stop_patience),
            read_best(self.train_dir / "best"),
        )


def _work(
    options: TrainOptions,
    config: Any,
    windows: CachedWindows,
    replica: Replica,
    log: Log,
) -> Result:
    """Trains as a worker, which neither saves nor tells, until the chief ends the training."""
    seed = _seed(options.seed, {}, replica)
    with replica.target(log) as target, tf.Graph().as_default():
        graph = _graph(config, replica, seed)
        hooks = _step_hooks(graph, config, options, windows, replica, seed)
        log(f"training {options.config} as worker {replica.number}, seed {seed}")
        if not replica.cluster or runtime.wait_for_chief(replica.cluster, target, log):
            _loop(graph, hooks, replica, target, None, None)
    return Result(None, 0)


def _graph(config: Any, replica: Replica, seed: int) -> TrainingGraph:
    tf.set_random_seed((seed + replica.number) % 2**31)
    with tf.device(replica.device()):
        return training_graph(copy.deepcopy(config), replica.num_sync_workers)


def _step_hooks(
    graph: TrainingGraph,
    config: Any,
    options: TrainOptions,
    windows: CachedWindows,
    replica: Replica,
    seed: int,
) -> list[Any]:
    """What each replica does around each step; none of it saves."""
    hooks = replica.hooks(graph.optimizer)
    batches_from = functools.partial(replica.batches, windows, config.hparams.batch_size, seed)
    hooks += [FeedHook(graph, batches_from), DivergenceHook(graph, config.hparams)]
    # Workers that step together end when the chief does, lest it waits for their last gradients.
    if options.num_steps and (replica.is_chief or not replica.num_sync_workers):
        hooks.append(tf.train.StopAtStepHook(last_step=options.num_steps))
    return hooks


def _loop(
    graph: TrainingGraph,
    hooks: list[Any],
    replica: Replica,
    target: str,
    train_dir: Path | None,
    scaffold: Any,
) -> None:
    """Magenta's loop, and its errors in a line each."""
    try:
        tf_slim.training.train(
            train_op=graph.train_op,
            logdir=str(train_dir) if train_dir else None,
            scaffold=scaffold,
            hooks=hooks,
            save_checkpoint_secs=None,  # by a hook of ours, which comes after `DivergenceHook`
            master=target,
            is_chief=replica.is_chief,
            config=replica.session_config(),
        )
    except TrainingDiverged as spoilt:
        raise explained(spoilt, find_checkpoint(train_dir) if train_dir else None) from spoilt
    except (OSError, tf.errors.OpError) as error:
        last = find_checkpoint(train_dir) if train_dir else None
        raise GroovaeError(
            f"training stopped: {first_line(error)}"
            + (f". The last checkpoint is {last}; the same command goes on there" if last else "")
        ) from error


def _config(options: TrainOptions, replica: Replica) -> Any:
    """The config with what the options change; its batch is the share of this replica."""
    config = config_map.get_config(options.config, options.hparams)
    config.hparams.batch_size = replica.share(config.hparams.batch_size)
    path = None if options.tfds_name else os.path.expanduser(options.examples_path)
    source = {"tfds_name": options.tfds_name or None, "train_examples_path": path}
    return config_map.update_config(config, source)


def _seed(given: int | None, saved: dict[str, Any], replica: Replica) -> int:
    """The seed that was given, or that the training began with, or a new one."""
    if given is not None:
        return given
    agreed = replica.default_seed()
    if agreed is not None:
        return agreed
    drawn = saved.get("seed")
    return drawn if isinstance(drawn, int) else secrets.randbelow(2**31)


def _windows(config: Any, options: TrainOptions, log: Log) -> CachedWindows:
    """The windows to train on, of which there must be a batch."""

    def check(name: str, report: WindowReport) -> None:
        _check_enough(name, report, config.hparams.batch_size)

    shared = {
        name: getattr(options, name) for name in DataSource.__dataclass_fields__ if name != "split"
    }
    train_dir = Path(options.train_dir).expanduser()
    return DataSource(split="train", **shared).load(
        config, train_dir, log, options.cache_dataset, check
    )


def _check_enough(name: str, report: WindowReport, batch_size: int) -> None:
    if not report.windows:
        raise GroovaeError(
            f"{name}: nothing to train on: {report}. A file gives a window if it has drum notes, "
            "is in 4/4, keeps its tempo and is long enough"
        )
    if report.windows < batch_size:
        raise GroovaeError(
            f"{name}: {report.windows:,} windows do not fill one batch of {batch_size:,}; "
            f"add --hparams=batch_size={_power_of_two(report.windows)} or more files"
        )


def _power_of_two(at_most: int) -> int:
    return 1 << (at_most.bit_length() - 1)


def _write_texts(train_dir: Path, config: Any, started_at: int) -> None:
    """Tells TensorBoard what is trained there, as Magenta's `_trial_summary` does.

    And that what an earlier run has shown of later steps is void.
    """
    hparams = config.hparams.values()
    rows = [f"| {key} | {hparams[key]} |" for key in sorted(hparams)]
    table = "\n".join(["| Key | Value |", "| :--- | :--- |", *rows, ""])
    examples = config.train_examples_path or config.tfds_name
    named = {"examples_path": examples, "hparams": table}
    with tf.Graph().as_default(), tf.Session() as session:
        texts = [
            tf.summary.text(name, tf.constant(text), collections=[]) for name, text in named.items()
        ]
        # A name of its own: the loop's event file may be made within the same second.
        writer = tf.summary.FileWriter(
            str(train_dir), graph=session.graph, filename_suffix=".about"
        )
        for text in session.run(texts):
            writer.add_summary(text)
        writer.add_session_log(tf.SessionLog(status=tf.SessionLog.START), started_at)
        writer.close()
