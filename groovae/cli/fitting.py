"""Shared parts of the commands that fit a prior or a feel to a model, also of `train`."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from absl import flags

from groovae.cli.flags import (
    check_arguments,
    check_one_dataset,
    define_checkpoint,
    define_examples,
    define_layout,
    layout_options,
)
from groovae.system.log import Log

if TYPE_CHECKING:
    from groovae.data.records import Examples
    from groovae.data.window_cache import CachedWindows
    from groovae.generation.fitting import Fill
    from groovae.model.network import Network

BATCH_SIZE = 128


def define_fitting(values: flags.FlagValues, examples_path: str) -> None:
    """Define the flags for a model and the records to fit to, by default `examples_path`."""
    define_checkpoint(values, more_help="; or a folder written by `groovae export --format=onnx`")
    define_examples(values, examples_path, "fit")
    define_layout(values)


def load_from_flags(
    values: Any, positional: list[str], log: Log
) -> tuple["Network", "CachedWindows"]:
    """Load the model and the windows that the flags of `define_fitting` name."""
    check_arguments(positional)
    check_one_dataset(values)
    examples = find_examples(values)
    network = load_to_fit(values.checkpoint, values.config, values.hparams)
    return network, load_windows(values, network, examples, log)


def load_to_fit(
    checkpoint: str, config: str | None = None, hparams: str | Sequence[str] = ""
) -> "Network":
    from groovae.generation.networks import load_network

    return load_network(checkpoint, config, hparams, None, BATCH_SIZE)


def load_windows(
    values: Any, network: "Network", examples: "Examples", log: Log
) -> "CachedWindows":
    """Load the windows of records, cut for a model as the flags say."""
    from groovae.config.layout import adapt_layout
    from groovae.data import window_cache

    layout = adapt_layout(network.layout, **layout_options(values))
    folder = Path(network.checkpoint).expanduser().parent
    keep = "cache_dataset" not in values or values.cache_dataset
    return window_cache.load(examples, layout, folder, log, keep)


def find_fills_from_flags(values: Any, network: "Network") -> list["Fill"]:
    """Return the fills among the records that the flags name; see `fitting.find_fills`."""
    from groovae.config.layout import adapt_layout
    from groovae.generation.fitting import find_fills

    return find_fills(find_examples(values), adapt_layout(network.layout, **layout_options(values)))


def find_examples(values: Any) -> "Examples":
    """Find the records that the flags name."""
    from groovae.data import records

    if values.tfds_name:
        return records.from_tfds(values.tfds_name, values.tfds_data_dir)
    return records.find(os.path.expanduser(values.examples_path))
