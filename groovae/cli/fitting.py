"""Shared parts of the commands that fit a prior or a feel to a model, also of `train`."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from groovae.cli.flags import layout_options
from groovae.system.log import Log

if TYPE_CHECKING:
    from groovae.data.records import Examples
    from groovae.data.window_cache import CachedWindows
    from groovae.generation.fitting import Fill
    from groovae.model.network import Network

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
    from groovae.data import window_cache
    from groovae.generation.networks import load_network

    examples = _examples(values, examples_path)
    network = load_network(checkpoint, config, hparams, None, BATCH_SIZE)
    layout = adapt_layout(network.layout, **layout_options(values))
    folder = Path(network.checkpoint).expanduser().parent
    keep = "cache_dataset" not in values or values.cache_dataset
    return network, window_cache.load(examples, layout, folder, log, keep)


def find_fills_from_flags(values: Any, network: "Network") -> list["Fill"]:
    """Return the fills among the records that the flags name; see `fitting.find_fills`."""
    from groovae.config.layout import adapt_layout
    from groovae.generation.fitting import find_fills

    return find_fills(_examples(values), adapt_layout(network.layout, **layout_options(values)))


def _examples(values: Any, examples_path: str | None = None) -> "Examples":
    from groovae.data import records

    if values.tfds_name and not examples_path:
        return records.from_tfds(values.tfds_name, values.tfds_data_dir)
    return records.find(os.path.expanduser(examples_path or values.examples_path))
