"""Load the network of a checkpoint or of an exported model, which needs no TensorFlow."""

import dataclasses
import os
from collections.abc import Sequence
from pathlib import Path

from groovae.errors import GroovaeError
from groovae.generation.bundled import find_bundled
from groovae.model.feel import FEEL_FILE, Feel, read_feel, write_feel
from groovae.model.formats import is_onnx_export
from groovae.model.network import Network
from groovae.model.onnx_network import load_export
from groovae.model.prior import PRIOR_FILE, Prior, read_prior, write_prior
from groovae.system.log import Log


def load_network(
    checkpoint: str | os.PathLike[str],
    config: str | None,
    hparams: str | Sequence[str],
    task: str | None,
    batch_size: int,
) -> Network:
    """Load a network; see `loading.load_model` for arguments and errors."""
    checkpoint = find_bundled(checkpoint) or checkpoint
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


def folder_of(network: Network) -> Path:
    """Return the folder of a network: that of its checkpoint, or of its export."""
    path = Path(network.checkpoint).expanduser()
    return path if path.is_dir() else path.parent


def prior_path(network: Network) -> Path:
    """Return where the fitted prior of a network lies: in its folder."""
    return folder_of(network) / PRIOR_FILE


def feel_path(network: Network) -> Path:
    """Return where the feel of a network lies: in its folder."""
    return folder_of(network) / FEEL_FILE


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


def copy_prior(network: Network, copy: Network, log: Log) -> None:
    """Write the fitted prior of a network, if it has one, as that of a network with its weights."""
    try:
        prior = load_prior(network)
    except GroovaeError as error:
        log(f"without a fitted prior: {error}")
        return
    if prior is not None:
        write_prior(prior_path(copy), dataclasses.replace(prior, model=copy.fingerprint()))
        log(f"copied the fitted prior, styles: {', '.join(prior.shares()) or 'none known'}")


def load_feel(network: Network) -> Feel | None:
    """Return the feel of a network, None if it has none.

    Raises:
      GroovaeError: it is damaged.
    """
    path = feel_path(network)
    return read_feel(path, network.fingerprint()) if os.path.lexists(path) else None


def copy_feel(network: Network, copy: Network, log: Log) -> None:
    """Write the feel of a network, if it has one, as that of a network with its weights."""
    try:
        feel = load_feel(network)
    except GroovaeError as error:
        log(f"without a feel: {error}")
        return
    if feel is not None:
        write_feel(feel_path(copy), dataclasses.replace(feel, model=copy.fingerprint()))
        log(f"copied the feel, fitted to {feel.hits:,} hits")
