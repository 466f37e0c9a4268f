"""Checkpoints on disk: which one is meant, its step, and whether it fits a model."""

import os
import re
import shlex
import shutil
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from groovae.errors import GroovaeError, first_line
from groovae.model.formats import is_export, is_web_export, step_of
from groovae.system.log import Log
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
        `.train/model.ckpt-400`, or a `.tar` that holds one; see `groovae.model.archives`.

    Raises:
      GroovaeError: it is a file, and not one that a checkpoint can be unpacked from, or it belongs
        to an exported model.
    """
    # The shell completes a prefix to one of its files.
    path = Path(re.sub(r"\.(index|meta|data-\d+-of-\d+)$", "", str(path))).expanduser()
    if Path(f"{path}.index").exists() and not path.is_dir():
        return str(path)
    if path.suffix == ".onnx" and path.is_file():
        raise GroovaeError(f"{path}: this is a part of an exported model; name its folder")
    if path.is_file():
        from groovae.model.archives import unpacked  # which imports this module

        return str(unpacked(path))
    if not path.is_dir():
        return None
    latest = tf.train.latest_checkpoint(str(path))
    if latest is not None and Path(latest).parent.resolve() == path.resolve():
        return latest
    # The file named `checkpoint` did not come along, or it names the place that the folder was
    # moved or copied from.
    found = max(all_checkpoints(path), key=step_of, default=None)
    if found is None and is_export(path):
        raise GroovaeError(
            f"{path}: this is an exported model, which plays, and does nothing else; name the "
            "checkpoint that it was exported from"
        )
    return found


def need_checkpoint(path: str | os.PathLike[str], how_to_get: str | None = None) -> str:
    """`find_checkpoint`, or a GroovaeError that says what to do; `how_to_get` one, where given."""
    found = find_checkpoint(path)
    if found is not None:
        return found
    if is_web_export(Path(path).expanduser()):
        raise GroovaeError(
            f"{path}: this is a model for magenta.js, which `groovae serve` shows in the browser; "
            "name the checkpoint that it was exported from, or, to play it, what `groovae export "
            "--format=onnx` makes of that"
        )
    if how_to_get:
        raise GroovaeError(f"{path}: no such checkpoint; {how_to_get}")
    if str(path).endswith((".tar", ".tgz", ".gz")):
        raise GroovaeError(
            f"{path}: there is no such archive to unpack; Google's come with "
            "`groovae download --checkpoint=groovae_4bar`"
        )
    if Path(path).expanduser().is_dir():
        raise GroovaeError(
            f"{path}: no checkpoint in this folder; train one with "
            f"`groovae train --train_dir={shlex.quote(str(path))}`"
        )
    raise GroovaeError(
        f"{path}: no such checkpoint; name a training folder, a prefix such as "
        ".train/model.ckpt-400, a .tar or, to play it, the folder of an ONNX export; or train one "
        "with `groovae train`"
    )


def all_checkpoints(folder: Path) -> list[str]:
    """The prefixes of all checkpoints in a folder, by their step."""
    return sorted((str(index)[: -len(".index")] for index in folder.glob("*.index")), key=step_of)


def newest_whole(train_dir: Path, log: Log) -> str | None:
    """The newest checkpoint of a training folder that can be read, or None where there is none.

    Those that a kill, a full disk or a power cut has left half-written are passed over, and told.

    Raises:
      GroovaeError: there are checkpoints, and none of them can be read.
    """
    newest = find_checkpoint(train_dir)
    candidates = [newest] if newest else []
    candidates += [other for other in reversed(all_checkpoints(train_dir)) if other != newest]
    for checkpoint in candidates:
        try:
            check_readable(checkpoint)
            return checkpoint
        except GroovaeError as error:
            failure = error
            log(f"warning: passed over: {error}")
    if candidates:
        raise failure
    return None


def remove_torn(train_dir: Path) -> None:
    """Removes what a killed process left of a checkpoint that it was writing: parts, no index."""
    for part in train_dir.glob("model.ckpt-*"):
        whole = re.match(r"model\.ckpt-\d+", part.name)
        if whole and not (train_dir / f"{whole[0]}.index").exists():
            shutil.rmtree(part) if part.is_dir() else part.unlink()


@dataclass(frozen=True)
class Start:
    """What a new training starts from.

    Attributes:
      checkpoint: Where the values come from.
      values: Those of the model's variables, by name.
      unused: What else the checkpoint has: the global step, the slots of an optimizer.
    """

    checkpoint: str
    values: dict[str, Any]
    unused: list[str]

    def __str__(self) -> str:
        slots = [name for name in self.unused if _is_optimizers(name)]
        others = [name for name in self.unused if name not in slots]
        left = [f"{len(slots)} of its optimizer, which starts anew"] if slots else []
        text = f"all {len(self.values)} variables of the model come from {self.checkpoint}"
        return text + (f"; not loaded: {', '.join(left + others)}" if self.unused else "")


def read_start(checkpoint: str, variables: Iterable[Any], config_name: str) -> Start:
    """The values of `variables` in a checkpoint by groovae, Magenta or Google.

    Raises:
      GroovaeError: it is damaged or another model's; see `check_fits`.
    """
    variables = list(variables)
    check_fits(checkpoint, variables, config_name)
    everything = dict(_values(checkpoint))
    values = {name: everything.pop(name) for name in sorted(v.op.name for v in variables)}
    return Start(checkpoint, values, sorted(everything))


def check_fits(checkpoint: str, variables: Iterable[Any], config_name: str) -> None:
    """Checks by its index that a checkpoint holds every one of `variables`, in its shape.

    Raises:
      GroovaeError: the index is damaged, or it belongs to another model; the message names a
        variable, both shapes, and the hparams behind them.
    """
    shapes = shapes_in(checkpoint)
    here = {variable.op.name: variable.shape.as_list() for variable in variables}
    wrong = [name for name, shape in here.items() if shapes.get(name) != shape]
    # Those that are there alone count too: another number of layers.
    wrong += [name for name in shapes if name not in here and name.endswith("lstm_cell/bias")]
    if not wrong:
        return
    if all(map(_is_optimizers, wrong)):
        raise GroovaeError(
            f"{checkpoint}: it has no state of the optimizer to go on from; begin a training in "
            "another --train_dir with --init_checkpoint and this one"
        )
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


def shapes_in(checkpoint: str) -> dict[str, list[int]]:
    """The shape of each variable in a checkpoint, by its index.

    Raises:
      GroovaeError: the index is damaged.
    """
    try:
        return dict(tf.train.list_variables(checkpoint))
    except (tf.errors.OpError, ValueError) as error:
        raise damaged(checkpoint, error) from error


def check_readable(checkpoint: str) -> None:
    """Reads all of a checkpoint, or raises the GroovaeError of a damaged one."""
    for _ in _values(checkpoint):
        pass


def _values(checkpoint: str) -> Iterator[tuple[str, np.ndarray]]:
    """Each variable in a checkpoint; raises the GroovaeError of a damaged one."""
    try:
        reader = tf.train.load_checkpoint(checkpoint)
        for name in reader.get_variable_to_shape_map():
            value = reader.get_tensor(name)
            if not np.isfinite(value).all():
                raise ValueError(f"{name} holds what is no number")
            yield name, value
    except (tf.errors.OpError, IndexError, RuntimeError, ValueError) as error:
        raise damaged(checkpoint, error) from error


def _is_optimizers(name: str) -> bool:
    return bool(re.search(r"/Adam(_\d+)?$|^beta\d_power$", name))


def damaged(checkpoint: str, error: Exception) -> GroovaeError:
    """The error for a checkpoint that TensorFlow cannot read."""
    return GroovaeError(
        f"{checkpoint}: this checkpoint is damaged or incomplete ({first_line(error)}); "
        "name an older one by its prefix, or remove the files of this one"
    )
