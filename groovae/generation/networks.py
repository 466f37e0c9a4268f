"""Load the network of a checkpoint or of an exported model, which needs no TensorFlow."""

import os
from collections.abc import Sequence
from pathlib import Path

from groovae.errors import GroovaeError
from groovae.model.formats import is_onnx_export
from groovae.model.network import Network
from groovae.model.onnx_network import load_export
from groovae.model.prior import PRIOR_FILE, Prior, read_prior


def load_network(
    checkpoint: str | os.PathLike[str],
    config: str | None,
    hparams: str | Sequence[str],
    task: str | None,
    batch_size: int,
) -> Network:
    """Load a network; see `loading.load_model` for arguments and errors."""
    if is_onnx_export(checkpoint):
        return load_export(checkpoint, config, hparams, task, batch_size)
    try:
        from groovae.model.tensorflow_network import load_checkpoint
    except GroovaeError as error:
        raise GroovaeError(
            f"{checkpoint}: this is not an exported model, and to load a checkpoint {error}; or "
            "name the folder of an ONNX export by --checkpoint"
        ) from error
    return load_checkpoint(checkpoint, config, hparams, task, batch_size)


def prior_path(network: Network) -> Path:
    """Return where the fitted prior of a network lies: in its folder."""
    path = Path(network.checkpoint).expanduser()
    return (path if path.is_dir() else path.parent) / PRIOR_FILE


def load_prior(network: Network) -> Prior | None:
    """Return the fitted prior of a network, None if it has none.

    Raises:
      ForeignPrior: it was fitted to another model.
      GroovaeError: it is damaged.
    """
    path = prior_path(network)
    if not os.path.lexists(path):  # before the weights are read for the fingerprint
        return None
    return read_prior(path, network.z_size, network.fingerprint())
