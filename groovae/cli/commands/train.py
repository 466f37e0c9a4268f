"""groovae train: train a GrooVAE model, or resume its training.

Usage: groovae train [--flags]

Trains on a TFRecord written by `groovae preprocess`, and writes checkpoints, metrics.csv,
TensorBoard event files and config.json to --train_dir. The same command resumes from the latest
intact checkpoint; Ctrl-C saves a checkpoint and stops. `tensorboard --logdir=.train` shows the
curves, if TensorBoard is installed.

With --eval_examples_path each checkpoint is evaluated, TRAIN_DIR/eval has the validation losses,
and TRAIN_DIR/best keeps the checkpoint with the lowest one, for `groovae sample
--checkpoint=.train/best`.

At the end a prior is fitted to the encodings of the training windows, for the latest and the best
checkpoint, from which `groovae sample` draws; --nofit_prior leaves this out.

Examples:
  groovae train --num_steps=50000
  groovae train --flagfile=configs/groovae_4bar.flags
  groovae train --hparams=batch_size=128,learning_rate=0.0005 --train_dir=runs/small_batch
  groovae train --config=groovae_2bar_humanize --examples_path='data_dir/*.tfrecord'
  groovae train --examples_path=data_dir/music-train.tfrecord \
      --eval_examples_path=data_dir/music-validation.tfrecord --early_stop_patience=20
  groovae train --meter=3/4 --drum_map=kit.json --tempo_changes=follow --train_dir=runs/waltz
  groovae train --config=mine.py:my_config --train_dir=runs/mine
  groovae train --init_checkpoint=data_dir/checkpoints/groovae_4bar.tar --train_dir=runs/mine"""

import contextlib
import math
import os
import shutil
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from absl import flags
from tqdm import tqdm

from groovae.cli.fitting import (
    find_examples,
    find_fills_from_flags,
    load_to_fit,
    load_windows,
)
from groovae.cli.flags import (
    check_arguments,
    check_one_dataset,
    define_config,
    define_examples,
    define_hparams,
    define_layout,
    define_meter,
    define_seed,
    from_flags,
)
from groovae.cli.output import log
from groovae.config.description import PRECISIONS, RNNS
from groovae.config.tasks import can_sample, play_command
from groovae.errors import GroovaeError
from groovae.system.progress import progress_bar
from groovae.training.distributed.tf_config import from_environment
from groovae.training.options import RANGES

if TYPE_CHECKING:
    from groovae.training.hooks import Progress
    from groovae.training.losses import Evaluation
    from groovae.training.train import TrainResult


def define_flags(values: flags.FlagValues) -> None:
    define_examples(values, "data_dir/music.tfrecord", "train")
    flags.DEFINE_string(
        "train_dir", ".train", "Folder for checkpoints, events, config.json.", values
    )
    define_config(
        values,
        "Config to train, by default that of the training to resume, with its hparams, or else "
        "groovae_4bar",
        default=None,
    )
    define_hparams(
        values, "name=value,... to override in the config; repeated, the last value is used."
    )
    define_layout(values)
    define_meter(values)
    flags.DEFINE_string(
        "augment",
        "",
        "Change the windows at random in each epoch: velocity, timing, drums, tempo, or several "
        "with commas between.",
        values,
    )
    flags.DEFINE_string(
        "init_checkpoint",
        None,
        "Initialize a new training with the weights of this checkpoint: a training folder, a "
        "prefix, or a .tar by Google. Step and optimizer are not restored.",
        values,
    )
    flags.DEFINE_string(
        "eval_examples_path",
        None,
        "A TFRecord, or a quoted glob of them, to evaluate on; its windows do not overlap.",
        values,
    )
    for name, default, text in (
        ("num_steps", 50000, "Step to stop at; 0: train until stopped."),
        ("eval_every", 1, "Evaluate every N-th checkpoint."),
        (
            "early_stop_patience",
            0,
            "Stop after N evaluations without a lower validation loss, whether run by this process "
            "or by `groovae evaluate --watch`; 0: never.",
        ),
        ("checkpoints_to_keep", 5, "Keep the latest N checkpoints; 0: all."),
        ("save_checkpoint_secs", 60, "Seconds between checkpoints."),
        ("save_checkpoint_steps", 0, "Steps between checkpoints; 0: by seconds."),
        ("num_sync_workers", 0, "Workers that step together and share the batch."),
        ("num_ps_tasks", 0, "Parameter servers that hold the variables."),
        ("task", 0, "Index of this worker; 0 is the chief."),
    ):
        flags.DEFINE_integer(name, default, text, *RANGES[name], flag_values=values)
    flags.DEFINE_string("master", "", "The TensorFlow master to use.", values)
    flags.DEFINE_bool(
        "cache_dataset", True, "Cache the windows in a file beside the records.", values
    )
    flags.DEFINE_enum(
        "rnn",
        None,
        RNNS,
        "Compute the LSTM layer by layer, or by Magenta's own graph: same losses, by default that "
        "of the training to resume, or else layerwise.",
        flag_values=values,
    )
    flags.DEFINE_enum(
        "matmul_precision",
        "auto",
        ("auto", *PRECISIONS),
        "Precision of matrix products in training; auto: that of the training to resume, or else "
        "bfloat16 if the CPU has AVX512_BF16 or AMX and it is faster.",
        flag_values=values,
    )
    flags.DEFINE_bool(
        "fit_prior",
        True,
        "At the end, fit a prior to sample from, as `groovae fit_prior` does, unless there are too "
        "few windows.",
        values,
    )
    flags.DEFINE_float(
        "keep_checkpoint_every_n_hours",
        1,
        "Keep one checkpoint in this many hours for good.",
        0,
        flag_values=values,
    )
    define_seed(
        values,
        None,
        "Random seed of initial weights, window order, dropout and z; by default a random one, "
        "which is logged.",
    )


def run(values: Any, positional: list[str]) -> int:
    check_arguments(positional)
    check_one_dataset(values)
    cluster = from_environment()
    if cluster and cluster.is_ps:
        from groovae.training.distributed.runtime import serve

        serve(cluster, log)
        return 0
    from groovae.training.train import TrainOptions, train

    options = from_flags(TrainOptions, values)
    with Display() as display:
        result = train(options, display.log, display.on_step, display.on_evaluation, cluster)
    if result.checkpoint is None:
        log("this worker is done")
        return 0
    if result.stopped_by:
        log(
            f"stopped by {result.stopped_by.name} at step {result.step:,}, saved as "
            f"{result.checkpoint}; run the same command again to resume"
        )
        return 128 + result.stopped_by
    if values.fit_prior:
        best = [os.path.join(values.train_dir, "best")] if result.best else []
        for folder in [values.train_dir, *best]:
            with _logged_failure("prior or feel"):
                _fit(values, folder, result)
    _log_result(values, result)
    return 0


def _fit(values: Any, folder: str, result: "TrainResult") -> None:
    """Fit a prior and a feel to the checkpoint in a folder, where model and data allow it."""
    from groovae.data import records
    from groovae.generation.fitting import fit_feel, fit_prior
    from groovae.model.prior_fit import MIN_WINDOWS

    has_prior = can_sample(result.layout) and result.windows >= MIN_WINDOWS
    if not has_prior and not values.eval_examples_path:
        return
    network = load_to_fit(folder)
    if has_prior:
        with _logged_failure("prior"):
            windows = load_windows(values, network, find_examples(values), log)
            fit_prior(network, windows, log=log, fills=find_fills_from_flags(values, network))
    if values.eval_examples_path:
        with _logged_failure("feel"):
            examples = records.find(os.path.expanduser(values.eval_examples_path))
            fit_feel(network, load_windows(values, network, examples, log), log)


@contextlib.contextmanager
def _logged_failure(name: str) -> Iterator[None]:
    """Log why there is no prior or feel: the training itself succeeded."""
    try:
        yield
    except GroovaeError as error:
        log(f"no {name} was fitted: {error}")


def _log_result(values: Any, result: "TrainResult") -> None:
    if result.stopped_early:
        log(f"stopped early at step {result.step:,}: the validation loss no longer decreases")
    folder = values.train_dir
    if result.best:
        step, loss = result.best
        folder = os.path.join(values.train_dir, "best")
        log(f"best checkpoint: step {step:,}, validation loss {loss:.2f}, in {folder}")
    play = play_command(result.layout, None if folder == values["train_dir"].default else folder)
    log(f"saved step {result.step:,} as {result.checkpoint}; next: {play}")


class Display:
    """Show progress: a live line on a terminal, and a log line for each recorded step."""

    def __init__(self) -> None:
        self._bar: Any = None

    def __enter__(self) -> "Display":
        return self

    def __exit__(self, *error: object) -> None:
        if self._bar is not None:
            self._bar.close()

    def log(self, line: str) -> None:
        with tqdm.external_write_mode(file=sys.stderr):
            log(line)

    def on_step(self, progress: "Progress") -> None:
        if progress.is_recorded or self._bar is None:
            self.log(_format(progress))
        if self._bar is None:  # created here, because its clock starts at once
            self._bar = progress_bar(bar_format="{desc}", leave=False)
        columns = shutil.get_terminal_size().columns
        live = _format(progress).replace("reconstruction", "recon").replace("  ", " ")
        self._bar.set_description_str(live[: columns - 1], refresh=False)
        self._bar.update()

    def on_evaluation(self, evaluation: "Evaluation") -> None:
        self.log(str(evaluation))


def _format(progress: "Progress") -> str:
    total = f"/{progress.num_steps:,}" if progress.num_steps else ""
    scalars = progress.scalars
    line = (
        f"step {progress.step:,}{total}  loss {progress.loss:.2f}  "
        f"reconstruction {scalars['losses/r_loss']:.2f}  KL {scalars['losses/kl_bits']:.1f} bits"
    )
    if progress.steps_per_second:
        line += f"  {progress.steps_per_second:.2f} steps/s"
    if math.isfinite(progress.seconds_left):
        line += f"  {_format_duration(progress.seconds_left)} left"
    return line


def _format_duration(seconds: float) -> str:
    minutes = round(seconds / 60)
    if minutes < 2:
        return f"{seconds:.0f} s"
    return f"{minutes} min" if minutes < 120 else f"{minutes / 60:.1f} h"
