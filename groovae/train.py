"""Trains a GrooVAE config on a TFRecord of NoteSequences, with tf_slim's training loop.

The graph is the one of Magenta's `music_vae_train.py`: same model, loss, optimizer and gradient
clipping, so that checkpoints carry the same variables. What is around it is ours: the windows are
counted before the first step, a run that cannot work says so at once, `config.json` keeps what was
trained, and Ctrl-C saves a checkpoint and leaves.

    groovae train --config=groovae_4bar --examples_path=data_dir/music.tfrecord --num_steps=50000
"""

import contextlib
import dataclasses
import math
import os
import secrets
import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from groovae import cache, configs, records
from groovae.account import Report
from groovae.batches import training_dataset
from groovae.checkpoints import (
    check_fits,
    check_readable,
    find_checkpoint,
    need_checkpoint,
    step_of,
)
from groovae.errors import GroovaeError, UsageError, first_line
from groovae.upstream import keep_freed_memory, tf, tf_slim

LOG_EVERY_STEPS = 100


@dataclasses.dataclass
class Options:
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
      num_steps: The global step to stop at; 0 trains until it is stopped.
      checkpoints_to_keep: How many of the newest checkpoints stay.
      keep_checkpoint_every_n_hours: One checkpoint in so many hours stays for good.
      save_checkpoint_secs: Seconds from one checkpoint to the next.
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
    num_steps: int = 50000
    checkpoints_to_keep: int = 5
    keep_checkpoint_every_n_hours: float = 1.0
    save_checkpoint_secs: int = 60
    cache_dataset: bool = True
    master: str = ""
    num_sync_workers: int = 0
    num_ps_tasks: int = 0
    task: int = 0
    seed: int | None = None


@dataclasses.dataclass(frozen=True)
class Progress:
    """A moment of a training: the step just done, its loss, and the pace."""

    step: int
    num_steps: int
    loss: float
    steps_per_second: float
    seconds_left: float


@dataclasses.dataclass(frozen=True)
class Result:
    """How a training ended: the newest checkpoint, its step, and the signal that stopped it."""

    checkpoint: str
    step: int
    stopped_by: signal.Signals | None = None


def train(
    options: Options,
    say: Callable[[str], None] = lambda line: None,
    on_step: Callable[[Progress], None] = lambda progress: None,
) -> Result:
    """Trains, or goes on training, until `num_steps` or until it is stopped.

    Args:
      options: What to train, on what, and how.
      say: Gets each line that tells what is about to happen.
      on_step: Called after each step.

    Raises:
      UsageError: unknown config or hparam, or the folder holds another model.
      GroovaeError: no windows, fewer than a batch, unreadable records, a loss that is not a number.
    """
    train_dir = Path(options.train_dir).expanduser()
    config = _config(options)
    description = configs.describe(options.config, config)
    seed = _resume(train_dir, description, options.seed)
    started_at = _step_in(train_dir)
    if options.num_steps and started_at >= options.num_steps:
        say(f"{train_dir} is at step {started_at:,} already; raise --num_steps to go on")
        return Result(need_checkpoint(train_dir), started_at)

    windows = _windows(config, options, say)
    keep_freed_memory()
    with tf.Graph().as_default(), _stop_signals(say) as stop:
        # Other numbers after a restart, or the same dropout would come first again and again.
        tf.set_random_seed((seed + started_at) % 2**31)
        with tf.device(tf.train.replica_device_setter(options.num_ps_tasks, merge_devices=True)):
            dataset = training_dataset(
                windows, config.hparams.batch_size, seed + options.task, started_at
            )
            train_op, hooks = _build(config, dataset, options)
        if options.task == 0:
            _prepare_resume(train_dir, options.config)
            about = {"seed": seed, "windows": windows.report.as_dict()}
            configs.save_config(train_dir, description, **_data(config, options), **about)
            _write_texts(train_dir, config)
        say(_plan(options, config, started_at, seed))
        hooks += [_StopHook(stop), _ProgressHook(config.model, options.num_steps, on_step)]
        _run(train_op, hooks, train_dir, options)
    step = _step_in(train_dir)
    is_done = options.num_steps and step >= options.num_steps
    return Result(need_checkpoint(train_dir), step, None if is_done else stop.by)


def _plan(options: Options, config: Any, started_at: int, seed: int) -> str:
    until = f"to step {options.num_steps:,}" if options.num_steps else "until it is stopped"
    return (
        f"training {options.config} in {options.train_dir} from step {started_at:,} {until}, "
        f"{config.hparams.batch_size} windows a step, seed {seed}"
    )


def _config(options: Options) -> Any:
    """The config with what the options change; workers that step together share its batch."""
    config = configs.get_config(options.config, options.hparams)
    batch_size, workers = config.hparams.batch_size, options.num_sync_workers
    if workers:
        if batch_size < workers:
            raise UsageError(f"a batch of {batch_size} is too small for {workers} workers")
        config.hparams.batch_size = batch_size // workers
    if (options.task or options.num_ps_tasks or workers > 1) and not options.master:
        raise UsageError(
            "--task, --num_ps_tasks and --num_sync_workers over 1 need the --master of a running "
            "cluster; leave them out to train in this process"
        )
    path = None if options.tfds_name else os.path.expanduser(options.examples_path)
    source = {"tfds_name": options.tfds_name or None, "train_examples_path": path}
    return configs.update_config(config, source)


def _data(config: Any, options: Options) -> dict[str, Any]:
    """What `config.json` says of the data, so that they can be cut in the same way again."""
    names = ("hop_bars", "unmapped_pitches", "all_notes")
    return {
        "train_examples_path": config.train_examples_path,
        "tfds_name": config.tfds_name,
        **{name: getattr(options, name) for name in names},
    }


def _resume(train_dir: Path, description: dict[str, Any], seed: int | None) -> int:
    """Checks that the folder holds this model or none, and returns the seed to go on with."""
    saved = configs.read_config(train_dir)
    if saved is not None and find_checkpoint(train_dir):
        configs.check_same_model(saved, description, str(train_dir))
    if seed is not None:
        return seed
    drawn = saved.get("seed") if saved else None
    return drawn if isinstance(drawn, int) else secrets.randbelow(2**31)


def _step_in(train_dir: Path) -> int:
    checkpoint = find_checkpoint(train_dir)
    return step_of(checkpoint) if checkpoint else 0


def _windows(config: Any, options: Options, say: Callable[[str], None]) -> cache.CachedWindows:
    """The windows to train on, from their cache or made now, and their account."""
    layout = configs.layout(config, options.hop_bars, options.unmapped_pitches, options.all_notes)
    if options.tfds_name:
        examples = records.from_tfds(options.tfds_name, options.tfds_data_dir)
    else:
        examples = records.find(options.examples_path)
    train_dir = Path(options.train_dir).expanduser()
    windows = cache.load(examples, layout, train_dir, say, keep=options.cache_dataset)
    say(windows.report.told_of(examples.name))
    _check_enough(examples.name, windows.report, config.hparams.batch_size)
    return windows


def _check_enough(name: str, report: Report, batch_size: int) -> None:
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


def _write_texts(train_dir: Path, config: Any) -> None:
    """Tells TensorBoard what is trained there, as Magenta's `_trial_summary` does."""
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
        writer.close()


def _build(config: Any, dataset: Any, options: Options) -> tuple[Any, list[Any]]:
    """The training graph of Magenta's `music_vae_train.train`: its train op and its hooks."""
    model = config.model
    try:
        model.build(config.hparams, config.data_converter.output_depth, is_training=True)
    except ValueError as error:
        raise UsageError(f"the hparams do not make a model: {first_line(error)}") from error
    optimizer = model.train(**_input_tensors(dataset, config))
    hooks = []
    if options.num_sync_workers:
        optimizer = tf.train.SyncReplicasOptimizer(optimizer, options.num_sync_workers)
        hooks.append(optimizer.make_session_run_hook(is_chief=options.task == 0))
    train_op = optimizer.apply_gradients(
        _clipped_gradients(optimizer.compute_gradients(model.loss), config.hparams),
        global_step=model.global_step,
        name="train_step",
    )
    values = {"global_step": model.global_step, "loss": model.loss}
    hooks.append(tf.train.LoggingTensorHook(values, every_n_iter=LOG_EVERY_STEPS))
    hooks.append(tf.train.NanTensorHook(model.loss))
    if options.num_steps:
        hooks.append(tf.train.StopAtStepHook(last_step=options.num_steps))
    return train_op, hooks


def _input_tensors(dataset: Any, config: Any) -> dict[str, Any]:
    """The next batch, with the static shapes that the model needs."""
    batch_size, converter = config.hparams.batch_size, config.data_converter
    inputs, outputs, controls, lengths = tf.data.make_one_shot_iterator(dataset).get_next()
    inputs.set_shape([batch_size, None, converter.input_depth])
    outputs.set_shape([batch_size, None, converter.output_depth])
    controls.set_shape([batch_size, None, converter.control_depth])
    lengths.set_shape([batch_size])
    return {
        "input_sequence": inputs,
        "output_sequence": outputs,
        "control_sequence": controls if converter.control_depth else None,
        "sequence_length": lengths,
    }


def _clipped_gradients(gradients: list[tuple[Any, Any]], hparams: Any) -> list[tuple[Any, Any]]:
    """(gradient, variable) pairs, clipped by `hparams.clip_mode`, and the global norm's summary.

    In the mode `global_norm`, a step whose norm reaches `grad_norm_clip_to_zero` is left out.
    """
    grads, variables = zip(*gradients, strict=True)
    # Under another name, since two things called global_norm make TensorBoard show "global_norm_1".
    global_norm = tf.global_norm(grads, name="gradient_norm")
    tf.summary.scalar("global_norm", global_norm)
    if hparams.clip_mode == "value":
        clip = hparams.grad_clip
        clipped = [tf.clip_by_value(grad, -clip, clip) for grad in grads]
    elif hparams.clip_mode == "global_norm":
        clipped = tf.cond(
            global_norm < hparams.grad_norm_clip_to_zero,
            lambda: tf.clip_by_global_norm(grads, hparams.grad_clip, use_norm=global_norm)[0],
            lambda: [tf.zeros(tf.shape(grad)) for grad in grads],
        )
    else:
        raise UsageError(
            f"hparam clip_mode must be value or global_norm, got {hparams.clip_mode!r}"
        )
    return list(zip(clipped, variables, strict=True))


def _prepare_resume(train_dir: Path, config_name: str) -> None:
    """Makes the loop restore the checkpoint that `find_checkpoint` names, if it fits the graph."""
    checkpoint = find_checkpoint(train_dir)
    if checkpoint:
        check_fits(checkpoint, tf.global_variables(), config_name)
        check_readable(checkpoint)
        if checkpoint != tf.train.latest_checkpoint(str(train_dir)):
            kept = sorted((str(index)[:-6] for index in train_dir.glob("*.index")), key=step_of)
            tf.train.update_checkpoint_state(str(train_dir), checkpoint, kept)


def _run(train_op: Any, hooks: list[Any], train_dir: Path, options: Options) -> None:
    saver = tf.train.Saver(
        max_to_keep=options.checkpoints_to_keep,
        keep_checkpoint_every_n_hours=options.keep_checkpoint_every_n_hours,
        save_relative_paths=True,  # so that the folder may be moved
    )
    try:
        tf_slim.training.train(
            train_op=train_op,
            logdir=str(train_dir),
            scaffold=tf.train.Scaffold(saver=saver),
            hooks=hooks,
            save_checkpoint_secs=options.save_checkpoint_secs,
            master=options.master,
            is_chief=options.task == 0,
            config=_session_config(),
        )
    except tf.train.NanLossDuringTrainingError as error:
        raise GroovaeError(
            "the loss became NaN. Run again with a smaller --hparams=learning_rate=... to continue "
            "from the last checkpoint, or remove its files to continue from the one before"
        ) from error
    except (OSError, tf.errors.OpError) as error:
        last = find_checkpoint(train_dir)
        raise GroovaeError(
            f"training stopped: {first_line(error)}"
            + (f". The last checkpoint is {last}; the same command continues there" if last else "")
        ) from error


def _session_config() -> Any:
    """Leaves out TensorFlow's graph optimizer, except on a GPU, where it also chooses layouts.

    On a CPU it takes some seconds at each of the first two steps and makes no step faster; the
    losses are the same.
    """
    config = tf.ConfigProto()
    has_gpu = bool(tf.config.list_physical_devices("GPU"))
    config.graph_options.rewrite_options.disable_meta_optimizer = not has_gpu
    return config


class _Stop:
    """The signal that asked the training to stop, if any has, and whether a step has run."""

    by: signal.Signals | None = None
    has_begun = False


@contextlib.contextmanager
def _stop_signals(say: Callable[[str], None]) -> Iterator[_Stop]:
    """Turns the first SIGINT or SIGTERM into a wish to stop after the step that runs.

    A second one acts at once, and so does the first where no step runs yet: there is nothing to
    save, and a worker may wait for its chief for ever.
    """
    stop = _Stop()
    previous: dict[signal.Signals, Any] = {}

    def restore() -> None:
        for number, handler in previous.items():
            signal.signal(number, handler)

    def note(number: int, frame: Any) -> None:
        restore()
        if not stop.has_begun:
            raise KeyboardInterrupt
        stop.by = signal.Signals(number)
        say("stopping after this step; once more stops at once")

    if threading.current_thread() is threading.main_thread():
        for number in (signal.SIGINT, signal.SIGTERM):
            previous[number] = signal.signal(number, note)
    try:
        yield stop
    finally:
        restore()


class _StopHook(tf.train.SessionRunHook):
    """Ends the loop in good order once a signal has come, so that a last checkpoint is saved."""

    def __init__(self, stop: _Stop):
        self._stop = stop

    def after_run(self, run_context: Any, run_values: Any) -> None:
        self._stop.has_begun = True
        if self._stop.by:
            run_context.request_stop()


class _ProgressHook(tf.train.SessionRunHook):
    """Tells `on_step` of each step. The pace leaves out the first step, which sets up the graph."""

    def __init__(self, model: Any, num_steps: int, on_step: Callable[[Progress], None]):
        self._model, self._num_steps, self._on_step = model, num_steps, on_step
        self._first: tuple[int, float] | None = None

    def before_run(self, run_context: Any) -> Any:
        return tf.train.SessionRunArgs(self._model.loss)

    def after_run(self, run_context: Any, run_values: Any) -> None:
        # Read after the step: during the step, the count may be the old or the new one.
        step, now = int(run_context.session.run(self._model.global_step)), time.monotonic()
        self._first = self._first or (step, now)
        steps, seconds = step - self._first[0], now - self._first[1]
        pace = steps / seconds if seconds else 0.0
        left = (self._num_steps - step) / pace if pace and self._num_steps else math.inf
        self._on_step(Progress(step, self._num_steps, float(run_values.results), pace, left))
