"""groovae train: train a GrooVAE model, or go on training it.

Usage: groovae train [--flags]

Trains on a TFRecord made by `groovae preprocess`, and leaves checkpoints, metrics.csv, TensorBoard
event files and config.json in --train_dir. Run it again with the same flags to go on from the
newest whole checkpoint; Ctrl-C saves one and leaves. Where TensorBoard is installed, `tensorboard
--logdir=.train` draws the curves.

With --eval_examples_path each checkpoint is evaluated, TRAIN_DIR/eval gets the curve, and
TRAIN_DIR/best keeps the checkpoint of the least validation loss, for `groovae sample
--checkpoint=.train/best`.

Examples:
  groovae train --num_steps=50000
  groovae train --flagfile=configs/groovae_4bar.flags
  groovae train --hparams=batch_size=128,learning_rate=0.0005 --train_dir=runs/small_batch
  groovae train --config=groovae_2bar_humanize --examples_path='data_dir/*.tfrecord'
  groovae train --examples_path=data_dir/music-train.tfrecord \
      --eval_examples_path=data_dir/music-validation.tfrecord --early_stop_patience=20
  groovae train --init_checkpoint=data_dir/checkpoints/groovae_4bar.tar --train_dir=runs/mine"""

import math
import os
import shlex
import shutil
import sys
from typing import TYPE_CHECKING, Any

from absl import flags
from tqdm import tqdm

from groovae.cli.flags import (
    check_one_set,
    define_config,
    define_examples,
    define_hparams,
    define_layout,
    define_seed,
    need_arguments,
)
from groovae.cli.output import log
from groovae.training.distributed.tf_config import from_environment

if TYPE_CHECKING:
    from groovae.training.hooks import Progress
    from groovae.training.losses import Evaluation


def define_flags(values: flags.FlagValues) -> None:
    define_examples(values, "data_dir/music.tfrecord", "train")
    flags.DEFINE_string(
        "train_dir", ".train", "Folder for checkpoints, events, config.json.", flag_values=values
    )
    define_config(values, "Name of the config to train.")
    define_hparams(
        values, "name=value,... to merge with the config's; of several, a later one wins."
    )
    define_layout(values)
    flags.DEFINE_string(
        "init_checkpoint",
        None,
        "Start a new training from the weights of this one: a training folder, a prefix, or a .tar "
        "by Google; step and optimizer start anew.",
        flag_values=values,
    )
    flags.DEFINE_string(
        "eval_examples_path",
        None,
        "A TFRecord, or a quoted glob of them, to evaluate each checkpoint on; its windows do not "
        "overlap.",
        flag_values=values,
    )
    flags.DEFINE_integer(
        "eval_every",
        1,
        "Evaluate each so many checkpoints.",
        lower_bound=1,
        flag_values=values,
    )
    flags.DEFINE_integer(
        "early_stop_patience",
        0,
        "Stop after so many evaluations without a lower validation loss, be they by this process "
        "or by `groovae evaluate --watch`; 0: never.",
        lower_bound=0,
        flag_values=values,
    )
    flags.DEFINE_integer(
        "num_steps",
        50000,
        "Step to stop at; 0 trains until it is stopped.",
        flag_values=values,
        lower_bound=0,
    )
    define_seed(
        values,
        None,
        "For initial weights, order of windows, dropout and z; random by default, and printed.",
    )
    flags.DEFINE_integer(
        "checkpoints_to_keep",
        5,
        "How many of the newest checkpoints stay; 0: all.",
        lower_bound=0,
        flag_values=values,
    )
    flags.DEFINE_float(
        "keep_checkpoint_every_n_hours",
        1,
        "Hours between checkpoints that are never deleted.",
        lower_bound=0,
        flag_values=values,
    )
    flags.DEFINE_integer(
        "save_checkpoint_secs",
        60,
        "Seconds between checkpoints.",
        lower_bound=1,
        flag_values=values,
    )
    flags.DEFINE_integer(
        "save_checkpoint_steps",
        0,
        "Steps between checkpoints; 0: by seconds.",
        lower_bound=0,
        flag_values=values,
    )
    flags.DEFINE_bool(
        "cache_dataset",
        True,
        "Keep the windows in a file beside the records; otherwise they are made at each start.",
        flag_values=values,
    )
    flags.DEFINE_string("master", "", "The TensorFlow master to use.", flag_values=values)
    flags.DEFINE_integer(
        "num_sync_workers",
        0,
        "Workers that step together and share the batch.",
        lower_bound=0,
        flag_values=values,
    )
    flags.DEFINE_integer(
        "num_ps_tasks",
        0,
        "Parameter servers that hold the variables.",
        lower_bound=0,
        flag_values=values,
    )
    flags.DEFINE_integer(
        "task", 0, "Index of this worker; 0 is the chief.", lower_bound=0, flag_values=values
    )


def run(values: Any, positional: list[str]) -> int:
    need_arguments(positional)
    check_one_set(values)
    cluster = from_environment()
    if cluster and cluster.is_ps:
        from groovae.training.distributed.runtime import serve

        serve(cluster, log)
        return 0
    from groovae.training.train import TrainOptions, train

    options = TrainOptions(
        **{name: values[name].value for name in TrainOptions.__dataclass_fields__}
    )
    with Display() as display:
        result = train(options, display.log, display.on_step, display.on_evaluation, cluster)
    if result.checkpoint is None:
        log("this worker is done")
        return 0
    if result.stopped_by:
        log(
            f"stopped by {result.stopped_by.name} at step {result.step:,}, saved as "
            f"{result.checkpoint}; the same command goes on there"
        )
        return 128 + result.stopped_by
    if result.stopped_early:
        log(f"stopped early at step {result.step:,}: the validation loss falls no more")
    checkpoint = values.train_dir
    if result.best:
        step, loss = result.best
        checkpoint = os.path.join(values.train_dir, "best")
        log(f"the best by validation is step {step:,}, loss {loss:.2f}, kept in {checkpoint}")
    sample = "groovae sample"
    if checkpoint != values["train_dir"].default:
        sample += f" --checkpoint={shlex.quote(checkpoint)}"
    log(f"step {result.step:,} is saved as {result.checkpoint}; now: {sample}")
    return 0


class Display:
    """A live line on a terminal, and a line to keep at the first, the last and each 100th step."""

    def __init__(self) -> None:
        self._bar: Any = None

    def __enter__(self) -> "Display":
        return self

    def __exit__(self, *error: object) -> None:
        if self._bar is not None:
            self._bar.close()

    def log(self, line: str) -> None:
        tqdm.write(line, file=sys.stderr)

    def on_step(self, progress: "Progress") -> None:
        if progress.is_recorded or self._bar is None:
            self.log(_line(progress))
        if self._bar is None:  # only now, since the clock of a bar starts at once
            self._bar = tqdm(bar_format="{desc}", disable=None, leave=False)
        columns = shutil.get_terminal_size().columns
        live = _line(progress).replace("reconstruction", "recon").replace("  ", " ")
        self._bar.set_description_str(live[: columns - 1], refresh=False)
        self._bar.update()

    def on_evaluation(self, evaluation: "Evaluation") -> None:
        self.log(str(evaluation))


def _line(progress: "Progress") -> str:
    of = f"/{progress.num_steps:,}" if progress.num_steps else ""
    scalars = progress.scalars
    line = (
        f"step {progress.step:,}{of}  loss {progress.loss:.2f}  "
        f"reconstruction {scalars['losses/r_loss']:.2f}  KL {scalars['losses/kl_bits']:.1f} bits"
    )
    if progress.steps_per_second:
        line += f"  {progress.steps_per_second:.2f} steps/s"
    if math.isfinite(progress.seconds_left):
        line += f"  {_duration(progress.seconds_left)} left"
    return line


def _duration(seconds: float) -> str:
    minutes = round(seconds / 60)
    if minutes < 2:
        return f"{seconds:.0f} s"
    return f"{minutes} min" if minutes < 120 else f"{minutes / 60:.1f} h"
