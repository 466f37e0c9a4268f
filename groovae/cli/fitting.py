"""Shared parts of the commands that fit a prior or a feel to a model, also of `train`."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from groovae.cli.flags import layout_options

if TYPE_CHECKING:
    from groovae.data.window_cache import CachedWindows
    from groovae.model.network import Network
from groovae.system.log import Log

BATCH_SIZE = 128


def load_from_flags(
    values: Any,
    checkpoint: str,
    log: Log,
    config: str | None = None,
    hparams: str | Sequence[str] = "",
    examples_path: str | None = None,
) -> tuple["Network", "CachedWindows"]:
    """Load a model, and windows of the records that the flags or `examples_path` name."""
    from groovae.config.layout import adapt_layout
    from groovae.data import records, window_cache
    from groovae.generation.networks import load_network

    if values.tfds_name and not examples_path:
        examples = records.from_tfds(values.tfds_name, values.tfds_data_dir)
    else:
        examples = records.find(os.path.expanduser(examples_path or values.examples_path))
    network = load_network(checkpoint, config, hparams, None, BATCH_SIZE)
    layout = adapt_layout(network.layout, **layout_options(values))
    folder = Path(network.checkpoint).expanduser().parent
    keep = "cache_dataset" not in values or values.cache_dataset
    return network, window_cache.load(examples, layout, folder, log, keep)
