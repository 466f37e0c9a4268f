"""Train a GrooVAE config on a TFRecord of NoteSequences, with tf_slim's training loop.

The graph is that of Magenta's `music_vae_train.py` (see `graph.py`): same model, losses, optimizer
and gradient clipping, so checkpoints have the same variables. Around it, this module counts the
windows before the first step, resumes interrupted trainings, and watches each step (`hooks.py`).
Files in a training folder:

    model.ckpt-STEP.*   the newest checkpoints; a run resumes from the newest readable one
    config.json         model, data, seed and package versions
    metrics.csv         scalars of each 100th step; events.out... has them for TensorBoard
    eval/ best/         with validation: see `validation.py`

    groovae train --config=groovae_4bar --examples_path=data_dir/music.tfrecord --num_steps=50000
"""

import contextlib
import copy
import dataclasses
import functools
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

from groovae.config import config_map
from groovae.config.description import RNNS
from groovae.config.layout import LAYOUTS, Layout, format_meter
from groovae.config.tasks import WHOLE_GROOVES
from groovae.data.augment import parse_kinds
from groovae.data.source import TRAINED_WINDOWS, DataSource
from groovae.data.window_cache import CachedWindows
from groovae.data.window_report import WindowReport
from groovae.errors import GroovaeError, UsageError, first_line
from groovae.model.checkpoints import find_checkpoint, need_checkpoint
from groovae.model.formats import step_of
from groovae.model.lstm import layerwise
from groovae.music.drums import read_drum_map
from groovae.system.atomic_files import exclusive
from groovae.system.log import Log, no_log
from groovae.system.progress import counter_in_notebook
from groovae.training.distributed.replica import Replica, current_replica
from groovae.training.distributed.tf_config import Cluster
from groovae.training.graph import TrainingGraph, training_graph
from groovae.training.hooks import (
    CheckpointHook,
    DivergenceHook,
    FeedHook,
    LoggingHook,
    Progress,
    StopHook,
    StopRequest,
    TrainingDiverged,
    stop_signals,
)
from groovae.training.losses import Evaluation, Evaluator
from groovae.training.options import TrainOptions
from groovae.training.precision import choose_precision
from groovae.training.starting_point import (
    choose_seed,
    find_starting_point,
    make_scaffold,
    prepare_folder,
)
from groovae.training.validation import (
    Validation,
    ValidationListener,
    is_out_of_patience,
    open_validation,
    read_best,
)
from groovae.upstream import keep_freed_memory, tf, tf_slim


@dataclasses.dataclass(frozen=True)
class TrainResult:
    """How a training ended.

    Attributes:
      checkpoint: Prefix of the newest checkpoint; None in a worker, which saves none.
      step: Its global step.
      stopped_by: The signal that stopped it, or None.
      stopped_early: Whether it stopped because the validation loss no longer fell.
      best: Step and loss of the best checkpoint by validation, or None.
      windows: The number of windows trained on.
      layout: The layout of the model.
    """

    checkpoint: str | None
    step: int
    stopped_by: signal.Signals | None = None
    stopped_early: bool = False
    best: tuple[int, float] | None = None
    windows: int = 0
    layout: Layout = LAYOUTS[WHOLE_GROOVES]


def train(
    options: TrainOptions,
    log: Log = no_log,
    on_step: Callable[[Progress], None] | None = None,
    on_evaluation: Callable[[Evaluation], None] = lambda evaluation: None,
    cluster: Cluster | None = None,
) -> TrainResult:
    """Train, or resume a training, until `num_steps` or a signal.

    Args:
      options: What to train, on which data, and how.
      log: Called with each line of progress.
      on_step: Called after each step, except in a worker; by default it shows a bar in a notebook.
      on_evaluation: Called after each evaluation.
      cluster: The cluster of which this process is the chief or a worker, by
        `tf_config.from_environment`; a parameter server calls `runtime.serve` instead.

    Raises:
      UsageError: unknown config or hparam, or the folder holds another model.
      GroovaeError: no windows, fewer than a batch, unreadable records, another training in the
        same folder, or the training diverged; the last good checkpoint stays.
    """
    if on_step is None:
        with counter_in_notebook("step") as show:

            def show_step(progress: Progress) -> None:
                show(progress.step, progress.num_steps or None)

            return train(options, log, show_step, on_evaluation, cluster)
    saved = _read_resumed(options)
    options = _with_network(options, saved or {}, log)
    replica = current_replica(cluster, options)
    name, config = _config(options, saved, replica)
    options = dataclasses.replace(options, config=name)
    kinds = parse_kinds(options.augment, config_map.layout(config))
    windows = _windows(config, options, log)
    keep_freed_memory()
    if not replica.is_chief:
        return _Worker(options, config, windows, kinds, replica, log).run()
    train_dir = Path(options.train_dir).expanduser()
    chief = _Chief(options, config, windows, kinds, replica, log, train_dir, on_step, on_evaluation)
    with exclusive(train_dir, "trains here"), replica.session_target(log) as target:
        try:
            result = chief.run(target)
        except KeyboardInterrupt:
            replica.end_training(target)
            raise
        if result.stopped_by != signal.SIGTERM:  # a scheduler sends it to move the chief
            replica.end_training(target)
        return result


def _with_network(options: TrainOptions, saved: dict[str, Any], log: Log) -> TrainOptions:
    """Return the options with `rnn` and `matmul_precision` resolved."""
    rnn = options.rnn or saved.get("rnn") or "layerwise"
    if rnn not in RNNS:
        raise UsageError(f"--rnn must be {' or '.join(RNNS)}, got {rnn!r}")
    asked = options.matmul_precision
    precision = choose_precision(asked, saved.get("matmul_precision"), rnn, log)
    return dataclasses.replace(options, rnn=rnn, matmul_precision=precision)


def _config(
    options: TrainOptions, saved: dict[str, Any] | None, replica: Replica
) -> tuple[str, Any]:
    """Return name and config, with the options applied and the batch size of this replica.

    Raises:
      UsageError: unknown config or hparam, or the folder holds another model.
    """
    windowing = _windowing(options, saved)
    if saved and options.config is None:
        name, config = config_map.resolve_config(Path(options.train_dir).expanduser(), None, "")
        config = config_map.adapt_config(config, options.hparams, **windowing)
    else:
        name = options.config_name
        config = config_map.get_config(name, options.hparams, **windowing)
    if saved:  # before the windows, of which another meter or drum map may leave none
        asked = config_map.config_json(name, config)
        config_map.check_same_model(saved, asked, options.train_dir)
    if options.rnn == "magenta" and config.hparams.feel_loss != "squared":
        raise UsageError("hparam feel_loss=absolute needs --rnn=layerwise")
    config.hparams.batch_size = replica.share(config.hparams.batch_size)
    path = None if options.tfds_name else os.path.expanduser(options.examples_path)
    source = {"tfds_name": options.tfds_name or None, "train_examples_path": path}
    return name, config_map.update_config(config, source)


def _read_resumed(options: TrainOptions) -> dict[str, Any] | None:
    """Read `config.json` of the training to resume; None for a new training."""
    train_dir = Path(options.train_dir).expanduser()
    return config_map.read_config(train_dir) if find_checkpoint(train_dir) else None


def _windowing(options: TrainOptions, saved: dict[str, Any] | None) -> dict[str, Any]:
    """Return meter and drum map: of the options, or of the training to resume."""
    resumed = config_map.saved_options(saved) if saved else {"meter": None, "drum_map": None}
    drum_map = read_drum_map(options.drum_map) if options.drum_map else resumed["drum_map"]
    return {"meter": options.meter or resumed["meter"], "drum_map": drum_map}


def _windows(config: Any, options: TrainOptions, log: Log) -> CachedWindows:
    """Return the windows to train on, at least a batch of them."""

    names = set(DataSource.__dataclass_fields__) - {"split", "drum_map"}  # it is in the config
    data = DataSource(split="train", **{name: getattr(options, name) for name in names})
    layout = config_map.layout(config)

    def check(name: str, report: WindowReport) -> None:
        _check_fills_batch(name, report, data.adapt(layout), config.hparams.batch_size)

    train_dir = Path(options.train_dir).expanduser()
    return data.load(layout, train_dir, log, options.cache_dataset, check)


def _check_fills_batch(name: str, report: WindowReport, layout: Layout, batch_size: int) -> None:
    if not report.windows:
        keeps = "keeps its tempo (or use --tempo_changes=follow)"
        raise GroovaeError(
            f"{name}: no windows to train on: {report}. A file has windows if it has drum notes, "
            f"is in {format_meter(layout.meter)} (see --meter), "
            f"{keeps if layout.tempo_changes == 'skip' else 'keeps its meter'} and is long enough"
        )
    if report.windows < batch_size:
        power_of_two = 1 << (report.windows.bit_length() - 1)
        raise GroovaeError(
            f"{name}: {report.windows:,} windows do not fill one batch of {batch_size:,}; "
            f"add --hparams=batch_size={power_of_two} or more files"
        )


@dataclasses.dataclass
class _Trainer:
    """The part of a training that each replica runs."""

    options: TrainOptions
    config: Any
    windows: CachedWindows
    kinds: list[str]  # of augmentation
    replica: Replica
    log: Log

    def graph(self, seed: int) -> TrainingGraph:
        tf.set_random_seed((seed + self.replica.number) % 2**31)
        with tf.device(self.replica.device()):
            config = copy.deepcopy(self.config)
            if self.options.rnn == "layerwise":
                config = layerwise(config, self.options.matmul_precision)
            return training_graph(config, self.replica.num_sync_workers)

    def step_hooks(self, graph: TrainingGraph, seed: int) -> list[Any]:
        """Return the hooks that every replica needs, without those that save."""
        replica, hparams = self.replica, self.config.hparams
        batches_from = functools.partial(
            replica.batches, self.windows, hparams.batch_size, seed, kinds=self.kinds
        )
        hooks = replica.session_hooks(graph.optimizer)
        hooks += [FeedHook(graph, batches_from), DivergenceHook(graph, hparams)]
        # Synchronous workers end with the chief, which needs their gradients for the last step.
        if self.options.num_steps and (replica.is_chief or not replica.num_sync_workers):
            hooks.append(tf.train.StopAtStepHook(last_step=self.options.num_steps))
        return hooks

    def loop(
        self,
        graph: TrainingGraph,
        hooks: list[Any],
        target: str,
        train_dir: Path | None = None,
        scaffold: Any = None,
    ) -> None:
        """Run the training loop; turn its errors into a GroovaeError."""
        try:
            tf_slim.training.train(
                train_op=graph.train_op,
                logdir=str(train_dir) if train_dir else None,
                scaffold=scaffold,
                hooks=hooks,
                save_checkpoint_secs=None,  # CheckpointHook saves, after DivergenceHook
                master=target,
                is_chief=self.replica.is_chief,
                config=self.replica.session_config(),
            )
        except (TrainingDiverged, OSError, tf.errors.OpError) as error:
            advice = "run the same command again"
            if isinstance(error, TrainingDiverged):
                advice = "run again with a smaller --hparams=learning_rate=..."
            if checkpoint := find_checkpoint(train_dir) if train_dir else None:
                advice += f" to resume from {checkpoint}"
            raise GroovaeError(f"training stopped: {first_line(error)}; {advice}") from error


class _Worker(_Trainer):
    """A worker, which saves and logs nothing and ends when the chief does."""

    def run(self) -> TrainResult:
        seed = choose_seed(self.options.seed, self.replica.default_seed())
        with self.replica.session_target(self.log) as target, tf.Graph().as_default():
            graph = self.graph(seed)
            hooks = self.step_hooks(graph, seed)
            self.log(
                f"training {self.options.config_name} as worker {self.replica.number}, seed {seed}"
            )
            if self.replica.wait_for_chief(target, self.log):
                self.loop(graph, hooks, target)
        return TrainResult(None, 0)


@dataclasses.dataclass
class _Chief(_Trainer):
    """The chief, or a process that trains alone; the training folder is locked by the caller."""

    train_dir: Path
    on_step: Callable[[Progress], None]
    on_evaluation: Callable[[Evaluation], None]

    def run(self, target: str) -> TrainResult:
        """Train in sessions on `target`, unless the training is finished."""
        options = self.options
        self.description = config_map.config_json(options.config_name, self.config)
        self.description["hparams"]["batch_size"] = self._windows_per_step
        self.start = find_starting_point(
            options, self.train_dir, self.description, self.replica.default_seed(), self.log
        )
        with self._open_validation() as validation:
            if validation and self.start.checkpoint and self.start.step:
                validation.evaluate(self.start.checkpoint)  # the last run may not have
            stop = StopRequest() if self._is_finished() else self._train(target, validation)
        checkpoint = need_checkpoint(self.train_dir)
        step = step_of(checkpoint)
        is_complete = 0 < options.num_steps <= step
        return TrainResult(
            checkpoint,
            step,
            None if is_complete else stop.received,
            not is_complete and is_out_of_patience(self.train_dir, options.early_stop_patience),
            read_best(self.train_dir),
            len(self.windows),
            config_map.layout(self.config),
        )

    def _open_validation(self) -> contextlib.AbstractContextManager[Validation | None]:
        options = self.options
        if not options.eval_examples_path:
            return contextlib.nullcontext()
        data = DataSource(
            options.eval_examples_path,
            unmapped_pitches=options.unmapped_pitches,
            all_notes=options.all_notes,
            tempo_changes=options.tempo_changes,
        )

        def evaluator() -> Evaluator:
            layout = config_map.layout(self.config)
            windows = data.load(layout, self.train_dir, self.log, options.cache_dataset)
            return Evaluator(options.config_name, self.config, windows)

        return open_validation(self.train_dir, evaluator, self.on_evaluation)

    def _is_finished(self) -> bool:
        num_steps, patience = self.options.num_steps, self.options.early_stop_patience
        if 0 < num_steps <= self.start.step:
            self.log(
                f"{self.train_dir} is at step {self.start.step:,} already; raise --num_steps to "
                "continue"
            )
        elif self.start.checkpoint and is_out_of_patience(self.train_dir, patience):
            self.log(
                f"the validation loss has not fallen for {patience} evaluations; raise "
                "--early_stop_patience to continue"
            )
        else:
            return False
        return True

    def _train(self, target: str, validation: Validation | None) -> StopRequest:
        with tf.Graph().as_default(), stop_signals() as stop:
            # The step makes random numbers after a restart differ from those after the start.
            graph = self.graph(self.start.seed + self.start.step)
            scaffold = make_scaffold(self.start, self.options, self.log)
            prepare_folder(self.train_dir, self.start)
            config_map.save_config(self.train_dir, self.description, **self._training_details())
            _write_texts(self.train_dir, self.config, self.start.step)
            self._log_start()
            listener = ValidationListener(
                validation, self.options, self.train_dir, self.start.step, stop
            )

            def on_step(progress: Progress) -> None:
                stop.has_begun = True  # before a line about the step is printed
                self.on_step(progress)

            hooks = [
                *self.step_hooks(graph, self.start.seed),
                LoggingHook(
                    graph,
                    self.train_dir,
                    self.options.num_steps,
                    self._windows_per_step,
                    len(self.windows),
                    on_step,
                ),
                StopHook(stop, self.log),
                self._checkpoint_hook(scaffold, listener),
            ]
            self.loop(graph, hooks, target, self.train_dir, scaffold)
        return stop

    def _training_details(self) -> dict[str, Any]:
        """Return what `config.json` holds besides the model."""
        names = (*TRAINED_WINDOWS, "augment", "num_steps", "rnn", "matmul_precision")
        return {
            "train_examples_path": self.config.train_examples_path,
            "tfds_name": self.config.tfds_name,
            **{name: getattr(self.options, name) for name in names},
            "init_checkpoint": self.start.init_checkpoint,
            "seed": self.start.seed,
            "windows": self.windows.report.as_dict(),
        }

    def _log_start(self) -> None:
        options, start = self.options, self.start
        until = f"to step {options.num_steps:,}" if options.num_steps else "until it is stopped"
        self.log(
            f"training {options.config_name} in {options.train_dir} from step {start.step:,} "
            f"{until}, {self._windows_per_step} windows a step, seed {start.seed}"
        )

    @property
    def _windows_per_step(self) -> int:
        return self.replica.windows_per_step(self.config.hparams.batch_size)

    def _checkpoint_hook(self, scaffold: Any, listener: ValidationListener) -> CheckpointHook:
        steps = self.options.save_checkpoint_steps
        return CheckpointHook(
            str(self.train_dir),
            save_secs=None if steps else self.options.save_checkpoint_secs,
            save_steps=steps or None,
            scaffold=scaffold,
            listeners=[listener],
        )


def _write_texts(train_dir: Path, config: Any, start_step: int) -> None:
    """Write records and hparams to TensorBoard, as Magenta's `_trial_summary` does.

    Also void what an earlier run wrote for later steps.
    """
    hparams = config.hparams.values()
    rows = [f"| {key} | {hparams[key]} |" for key in sorted(hparams)]
    table = "\n".join(["| Key | Value |", "| :--- | :--- |", *rows, ""])
    examples = config.train_examples_path or config.tfds_name
    texts = {"examples_path": examples, "hparams": table}
    with tf.Graph().as_default(), tf.Session() as session:
        summaries = [
            tf.summary.text(name, tf.constant(text), collections=[]) for name, text in texts.items()
        ]
        # The suffix keeps it apart from the loop's event file, which may be made in this second.
        writer = tf.summary.FileWriter(
            str(train_dir), graph=session.graph, filename_suffix=".about"
        )
        for summary in session.run(summaries):
            writer.add_summary(summary)
        writer.add_session_log(tf.SessionLog(status=tf.SessionLog.START), start_step)
        writer.close()
