"""Shared parts of the commands that fit a prior to a model: `fit_prior` and `train`."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from groovae.cli.flags import layout_options
from groovae.system.log import Log

BATCH_SIZE = 128


def fit_from_flags(
    values: Any,
    checkpoint: str,
    log: Log,
    config: str | None = None,
    hparams: str | Sequence[str] = "",
    groove: str | None = None,
) -> str:
    """Fit a prior to a checkpoint or an exported model, on the records that the flags name.

    Returns:
      The file that was written.
    """
    from groovae.config.layout import adapt_layout
    from groovae.data import records, window_cache
    from groovae.generation.fitting import fit_prior
    from groovae.generation.networks import load_network, prior_path

    if values.tfds_name:
        examples = records.from_tfds(values.tfds_name, values.tfds_data_dir)
    else:
        examples = records.find(os.path.expanduser(values.examples_path))
    network = load_network(checkpoint, config, hparams, None, BATCH_SIZE)
    layout = adapt_layout(network.layout, **layout_options(values))
    folder = Path(network.checkpoint).expanduser().parent
    keep = "cache_dataset" not in values or values.cache_dataset
    windows = window_cache.load(examples, layout, folder, log, keep)
    fit_prior(network, windows, groove, log)
    return str(prior_path(network))
