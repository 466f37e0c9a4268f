"""The weights of a trained model, read from a checkpoint."""

import re
from collections.abc import Iterator

import numpy as np

from groovae.model.checkpoints import damaged, shapes_in
from groovae.model.formats import step_of
from groovae.upstream import tf

# An optimizer's slots carry the names of the variables that they belong to.
_OF_MODEL = re.compile(r"(encoder|decoder)/(?!.*/Adam(_\d+)?$)")


def model_tensors(prefix: str) -> dict[str, np.ndarray]:
    """The model's variables in a checkpoint, float32 and by name, in the order of the names.

    The slots of the optimizer and the global step are left out.

    Args:
      prefix: Of a checkpoint by groovae, Magenta or Google.

    Raises:
      GroovaeError: the checkpoint is damaged or incomplete, or holds what is no number.
    """
    names = [name for name in sorted(shapes_in(prefix)) if _OF_MODEL.match(name)]
    tensors = {name: tensor.astype(np.float32) for name, tensor in _read(prefix, names)}
    broken = [name for name in names if not np.isfinite(tensors[name]).all()]
    if broken or not names:
        what = f"{broken[0]} holds what is no number" if broken else "it holds no model"
        raise damaged(prefix, ValueError(what))
    return tensors


def training_step(prefix: str) -> int:
    """The global step in a checkpoint, or in its name where it holds none.

    Raises:
      GroovaeError: the checkpoint is damaged or incomplete.
    """
    names = [name for name in shapes_in(prefix) if name == "global_step"]
    return next((int(step) for _, step in _read(prefix, names)), step_of(prefix))


def _read(prefix: str, names: list[str]) -> Iterator[tuple[str, np.ndarray]]:
    try:
        reader = tf.train.load_checkpoint(prefix)
        for name in names:
            yield name, np.asarray(reader.get_tensor(name))
    except (tf.errors.OpError, IndexError, RuntimeError, ValueError) as error:
        raise damaged(prefix, error) from error
