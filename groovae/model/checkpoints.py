"""Find, check and read TensorFlow checkpoints."""

import hashlib
import os
import re
import shlex
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from groovae.errors import GroovaeError, first_line
from groovae.model.archives import unpacked
from groovae.model.checkpoint_index import check_index
from groovae.model.formats import is_onnx_export, is_web_export, step_of
from groovae.system import checkpoint_files
from groovae.system.log import Log
from groovae.system.regular_files import read_text
from groovae.upstream import tf

# Hparams, each with the variables whose shape depends on it alone.
_SHAPED_BY = {
    "z_size": r"encoder/mu/bias$",
    "enc_rnn_size": r"encoder/.*lstm_cell/bias$",
    "dec_rnn_size": r"decoder/.*lstm_cell/bias$",
}
# The model's variables, without Adam's slots, whose names begin with those of the variables.
_MODEL_VARIABLE = r"(encoder|decoder)/(?!.*/Adam(_\d+)?$)"


def find_checkpoint(path: str | os.PathLike[str]) -> str | None:
    """Return the prefix of the checkpoint at `path`, or None if nothing is found.

    Args:
      path: A training folder, for its latest checkpoint; a checkpoint's prefix, such as
        `.train/model.ckpt-400`; or a `.tar` with a checkpoint, see `groovae.model.archives`.

    Raises:
      GroovaeError: `path` is a file that is not a readable archive, or an exported model; or the
        file `checkpoint` in the folder cannot be read.
    """
    # The shell completes a prefix to one of its files.
    path = Path(re.sub(r"\.(index|meta|data-\d+-of-\d+)$", "", str(path))).expanduser()
    if Path(f"{path}.index").is_file() and not path.is_dir():
        return str(path)
    if path.suffix == ".onnx" and path.is_file():
        raise GroovaeError(f"{path}: this file is part of an exported model; name its folder")
    if path.is_file():
        return str(unpacked(path))
    if not path.is_dir():
        return None
    _check_state_file(path / "checkpoint")
    latest = tf.train.latest_checkpoint(str(path))
    if latest is not None and Path(latest).parent.resolve() == path.resolve():
        return latest
    # The file `checkpoint` is missing, or still names the folder that this one was copied from.
    found = max(all_checkpoints(path), key=step_of, default=None)
    if found is None and is_onnx_export(path):
        raise GroovaeError(
            f"{path}: this is an exported model, which supports inference only; name the "
            "checkpoint that it was exported from, or rebuild it with `groovae import`"
        )
    return found


def _check_state_file(path: Path) -> None:
    """Raise a GroovaeError if the file that names the latest checkpoint is not a small text."""
    try:
        if os.path.lexists(path):
            read_text(path)
    except FileNotFoundError:  # a dangling link
        return
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or first_line(error)
        raise GroovaeError(
            f"cannot read {path}: {reason}; remove it to use the checkpoint of the last step"
        ) from error


def need_checkpoint(path: str | os.PathLike[str], how_to_get: str | None = None) -> str:
    """Return the prefix of the checkpoint at `path`; see `find_checkpoint`.

    Args:
      path: See `find_checkpoint`.
      how_to_get: What to do if no checkpoint is found, for the error message.

    Raises:
      GroovaeError: there is no checkpoint.
    """
    found = find_checkpoint(path)
    if found is not None:
        return found
    if is_web_export(Path(path).expanduser()):
        raise GroovaeError(
            f"{path}: this is a model exported for magenta.js, which `groovae serve` plays; name "
            "the checkpoint that it was exported from, or export that with --format=onnx"
        )
    if how_to_get:
        raise GroovaeError(f"{path}: no such checkpoint; {how_to_get}")
    if Path(path).expanduser().is_dir():
        raise GroovaeError(
            f"{path}: no checkpoint in this folder; train one with "
            f"`groovae train --train_dir={shlex.quote(str(path))}`"
        )
    raise GroovaeError(
        f"{path}: no such checkpoint; name a training folder, a prefix such as "
        ".train/model.ckpt-400, a .tar or, for inference, the folder of an ONNX export; or get one "
        "with `groovae train` or `groovae download --checkpoint=groovae_4bar`"
    )


def all_checkpoints(folder: Path) -> list[str]:
    """Return the prefixes of all checkpoints in a folder, sorted by step."""
    found = (str(index)[: -len(".index")] for index in folder.glob("*.index") if index.is_file())
    return sorted(found, key=step_of)


def newest_readable(train_dir: Path, log: Log) -> str | None:
    """Return the newest readable checkpoint of a training folder, or None if it has no checkpoint.

    Checkpoints that a kill, a full disk or a power cut left incomplete are skipped and logged.

    Raises:
      GroovaeError: there are checkpoints, but none is readable.
    """
    latest = find_checkpoint(train_dir)
    if latest is None:
        return None
    for checkpoint in dict.fromkeys([latest, *reversed(all_checkpoints(train_dir))]):
        try:
            check_readable(checkpoint)
            return checkpoint
        except GroovaeError as error:
            failure = error
            log(f"warning: skipped {error}")
    raise failure


def remove_partial_checkpoints(train_dir: Path) -> None:
    """Remove files of checkpoints without an index, which a killed process was still writing."""
    for name in checkpoint_files.prefixes(train_dir):
        if not os.path.lexists(train_dir / f"{name}.index"):
            checkpoint_files.remove_checkpoint(train_dir / name)


@dataclass(frozen=True)
class InitialWeights:
    """The weights that a new training starts from.

    Attributes:
      checkpoint: The prefix they were read from.
      values: The model's variables, by name.
      unused: The checkpoint's other variables: the global step, the optimizer's slots.
    """

    checkpoint: str
    values: dict[str, Any]
    unused: list[str]

    def __str__(self) -> str:
        others = [name for name in self.unused if not _is_optimizer_state(name)]
        slots = len(self.unused) - len(others)
        skipped = [f"{slots} variables of its optimizer"] * bool(slots) + others
        text = f"loaded all {len(self.values)} variables of the model from {self.checkpoint}"
        return text + (f"; not loaded: {', '.join(skipped)}" if skipped else "")


def read_initial_weights(
    checkpoint: str, variables: Iterable[Any], config_name: str
) -> InitialWeights:
    """Return the values of `variables` in a checkpoint by groovae, Magenta or Google.

    Raises:
      GroovaeError: the checkpoint is damaged, or of another model; see `check_fits`.
    """
    variables = list(variables)
    check_fits(checkpoint, variables, config_name)
    unused = dict(_read_variables(checkpoint))
    values = {name: unused.pop(name) for name in sorted(v.op.name for v in variables)}
    return InitialWeights(checkpoint, values, list(unused))


def check_fits(checkpoint: str, variables: Iterable[Any], config_name: str) -> None:
    """Check by its index that a checkpoint has each of `variables`, with the same shape.

    Raises:
      GroovaeError: the index is damaged, or the checkpoint is of another model; the message names
        a variable, both shapes, and the hparams that differ.
    """
    shapes = variable_shapes(checkpoint)
    here = {variable.op.name: variable.shape.as_list() for variable in variables}
    wrong = [name for name, shape in here.items() if shapes.get(name) != shape]
    # More layers in the checkpoint are an error as well.
    wrong += [name for name in shapes if name not in here and name.endswith("lstm_cell/bias")]
    if not wrong:
        return
    if all(map(_is_optimizer_state, wrong)):
        raise GroovaeError(
            f"{checkpoint}: no state of the optimizer in this checkpoint; start a new training "
            "from it with --init_checkpoint and another --train_dir"
        )
    differing = [
        hparam
        for hparam, pattern in _SHAPED_BY.items()
        if any(re.search(pattern, name) for name in wrong)
    ]
    name = next((name for name in wrong if name in here and name.endswith("/bias")), wrong[0])
    sizes = f"{shapes.get(name, 'missing')}, expected {here.get(name, 'no such variable')}"
    raise GroovaeError(
        f"{checkpoint}: this is not a checkpoint of {config_name} with these hparams: "
        f"{name} is {sizes}"
        + (f" (differing: {', '.join(differing)})" if differing else "")
        + "; give the --config and --hparams it was trained with"
    )


def variable_shapes(checkpoint: str) -> dict[str, list[int]]:
    """Return the shape of each variable in a checkpoint, from its index.

    Raises:
      GroovaeError: the index is damaged.
    """
    check_safe(checkpoint)
    try:
        return dict(tf.train.list_variables(checkpoint))
    except (tf.errors.OpError, IndexError, RuntimeError, ValueError) as error:
        raise damaged(checkpoint, error) from error


def check_readable(checkpoint: str) -> None:
    """Read all of a checkpoint.

    Raises:
      GroovaeError: it is damaged, incomplete, or has non-finite values.
    """
    for _ in _read_variables(checkpoint):
        pass


def model_tensors(checkpoint: str) -> dict[str, np.ndarray]:
    """Return the model's variables in a checkpoint, float32, sorted by name.

    Raises:
      GroovaeError: the checkpoint is damaged, has non-finite values, or has no model's variables.
    """
    variables = _read_variables(checkpoint, _MODEL_VARIABLE)
    tensors = {name: value.astype(np.float32) for name, value in variables}
    if not tensors:
        raise damaged(checkpoint, ValueError("it holds no model"))
    return tensors


def model_fingerprint(checkpoint: str) -> str:
    """Return a SHA-256 of the model's variables in a checkpoint.

    Raises:
      GroovaeError: as `model_tensors`.
    """
    digest = hashlib.sha256()
    for name, value in model_tensors(checkpoint).items():
        digest.update(f"{name} {value.shape}".encode())
        digest.update(value.tobytes())
    return digest.hexdigest()


def training_step(checkpoint: str) -> int:
    """Return the global step in a checkpoint, or the step in its name if it has none.

    Raises:
      GroovaeError: the checkpoint is damaged or incomplete.
    """
    steps = _read_variables(checkpoint, "global_step$")
    return next((int(step) for _, step in steps), step_of(checkpoint))


def damaged(checkpoint: str, error: Exception) -> GroovaeError:
    """Return the error for a checkpoint that TensorFlow cannot read."""
    return GroovaeError(
        f"{checkpoint}: this checkpoint is damaged or incomplete ({first_line(error)}); "
        "name an older one by its prefix, or remove the files of this one"
    )


def _read_variables(checkpoint: str, pattern: str = "") -> Iterator[tuple[str, np.ndarray]]:
    """Yield the variables whose names begin with `pattern`, sorted; raise if one is damaged."""
    check_safe(checkpoint)
    try:
        reader = tf.train.load_checkpoint(checkpoint)
        for name in sorted(reader.get_variable_to_shape_map()):
            if re.match(pattern, name):
                value = np.asarray(reader.get_tensor(name))
                if not np.isfinite(value).all():
                    raise ValueError(f"{name} contains non-finite values")
                yield name, value
    except (tf.errors.OpError, IndexError, RuntimeError, ValueError) as error:
        raise damaged(checkpoint, error) from error


def check_safe(checkpoint: str) -> None:
    """Check that TensorFlow may open the files of a checkpoint.

    Raises:
      GroovaeError: it would wait for one that is not a regular file, or be aborted by the index.
    """
    for path in checkpoint_files.irregular_files(checkpoint):
        raise damaged(checkpoint, ValueError(f"{path.name} is not a regular file"))
    try:
        check_index(checkpoint)
    except FileNotFoundError:
        return  # of which TensorFlow says more
    except (OSError, ValueError) as error:
        raise damaged(checkpoint, error) from error


def _is_optimizer_state(name: str) -> bool:
    return bool(re.search(r"/Adam(_\d+)?$|^beta\d_power$", name))
