"""Checkpoints on disk: which one is meant, its step, and whether it fits a model."""

import os
import re
import shlex
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from groovae.errors import GroovaeError, first_line
from groovae.upstream import tf

# The variables whose shape is set by one hparam alone.
_SHAPED_BY = {
    "z_size": r"encoder/mu/bias$",
    "enc_rnn_size": r"encoder/.*lstm_cell/bias$",
    "dec_rnn_size": r"decoder/.*lstm_cell/bias$",
}


def find_checkpoint(path: str | os.PathLike[str]) -> str | None:
    """The prefix of the checkpoint that `path` names, or None where there is none.

    Args:
      path: A training folder, whose newest checkpoint is meant, or a checkpoint's prefix, such as
        `.train/model.ckpt-400`.
    """
    # The shell completes a prefix to one of its files.
    path = Path(re.sub(r"\.(index|meta|data-\d+-of-\d+)$", "", str(path))).expanduser()
    if not path.is_dir():
        return str(path) if Path(f"{path}.index").exists() else None
    latest = tf.train.latest_checkpoint(str(path))
    if latest is not None and Path(latest).parent.resolve() == path.resolve():
        return latest
    # The file named `checkpoint` did not come along, or it names the place that the folder was
    # moved or copied from.
    prefixes = [str(index)[: -len(".index")] for index in path.glob("*.index")]
    return max(prefixes, key=step_of, default=None)


def need_checkpoint(path: str | os.PathLike[str]) -> str:
    """`find_checkpoint`, or a GroovaeError that says what to do."""
    found = find_checkpoint(path)
    if found is not None:
        return found
    if str(path).endswith((".tar", ".tgz", ".gz", ".zip")):
        raise GroovaeError(f"{path}: unpack the archive and name its folder or checkpoint instead")
    if Path(path).expanduser().is_dir():
        raise GroovaeError(
            f"{path}: no checkpoint in this folder; train one with "
            f"`groovae train --train_dir={shlex.quote(str(path))}`"
        )
    raise GroovaeError(
        f"{path}: no such checkpoint; name a training folder, or a prefix such as "
        ".train/model.ckpt-400, or train one with `groovae train`"
    )


def step_of(checkpoint: str) -> int:
    """The global step in a checkpoint's name, 0 where it has none."""
    match = re.search(r"-(\d+)$", checkpoint)
    return int(match.group(1)) if match else 0


def check_fits(checkpoint: str, variables: Iterable[Any], config_name: str) -> None:
    """Checks by its index that a checkpoint holds every one of `variables`, in its shape.

    Raises:
      GroovaeError: the index is damaged, or it belongs to another model; the message names a
        variable, both shapes, and the hparams behind them.
    """
    try:
        shapes = dict(tf.train.list_variables(checkpoint))
    except (tf.errors.OpError, ValueError) as error:
        raise damaged(checkpoint, error) from error
    here = {variable.op.name: variable.shape.as_list() for variable in variables}
    wrong = [name for name, shape in here.items() if shapes.get(name) != shape]
    # Those that are there alone count too: another number of layers.
    wrong += [name for name in shapes if name not in here and name.endswith("lstm_cell/bias")]
    if not wrong:
        return
    behind = [
        hparam
        for hparam, pattern in _SHAPED_BY.items()
        if any(re.search(pattern, name) for name in wrong)
    ]
    name = next((name for name in wrong if name in here and name.endswith("/bias")), wrong[0])
    sizes = f"{shapes.get(name, 'missing')} there, {here.get(name, 'missing')} here"
    raise GroovaeError(
        f"{checkpoint}: this is not a checkpoint of {config_name} with these hparams: "
        f"{name} is {sizes}"
        + (f" (what differs: {', '.join(behind)})" if behind else "")
        + "; give the --config and --hparams it was trained with"
    )


def check_readable(checkpoint: str) -> None:
    """Reads all of a checkpoint, or raises the GroovaeError of a damaged one."""
    try:
        reader = tf.train.load_checkpoint(checkpoint)
        for name in reader.get_variable_to_shape_map():
            reader.get_tensor(name)
    except (tf.errors.OpError, IndexError, RuntimeError, ValueError) as error:
        raise damaged(checkpoint, error) from error


def damaged(checkpoint: str, error: Exception) -> GroovaeError:
    """The error for a checkpoint that TensorFlow cannot read."""
    return GroovaeError(
        f"{checkpoint}: this checkpoint is damaged or incomplete ({first_line(error)}); "
        "name an older one by its prefix, or remove the files of this one"
    )
