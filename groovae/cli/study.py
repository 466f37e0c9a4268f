"""Shared parts of `evaluate --metrics` and `report`: flags, and the evaluation of a model."""

import dataclasses
from typing import TYPE_CHECKING, Any

from absl import flags

from groovae.cli.flags import (
    define_expectation,
    define_feel,
    define_model,
    define_prior,
    define_seed,
    define_temperature,
)
from groovae.cli.output import log
from groovae.errors import GroovaeError

if TYPE_CHECKING:
    from groovae.data.source import DataSource
    from groovae.evaluation.study import Study


def define_study(values: flags.FlagValues) -> None:
    define_model(values)
    flags.DEFINE_string(
        "baseline_examples_path",
        "data_dir/music-train.tfrecord",
        "The training records: the baselines are fitted on them, and samples are checked for being "
        "copies of them. With --tfds_name, by default its train split.",
        values,
    )
    flags.DEFINE_integer(
        "num_samples",
        None,
        "Grooves to sample; by default as many as there are windows.",
        0,
        1_000_000,
        flag_values=values,
    )
    define_temperature(values, 0.5, "Sampling temperature of these grooves.")
    define_seed(values, 0, "Random seed of these grooves.")
    define_prior(values)
    define_expectation(values)
    define_feel(values)


def find_model(values: Any) -> str:
    """Return the model that the flags name; by default that in .train or a bundled one."""
    from groovae.generation.bundled import default_checkpoint, find_bundled

    if values.checkpoint is None:
        return default_checkpoint(None, log)
    return find_bundled(values.checkpoint) or values.checkpoint


def evaluate_from_flags(values: Any, checkpoint: str, data: "DataSource") -> "Study":
    """Evaluate a model on `data`, beside baselines."""
    from groovae.data.records import find
    from groovae.evaluation.study import evaluate_model

    split = "train" if data.tfds_name else data.split
    baseline_data = dataclasses.replace(
        data, examples_path=values.baseline_examples_path, split=split
    )
    if values["baseline_examples_path"].present:
        baseline_data.tfds_name = None
    if not baseline_data.tfds_name:
        try:
            find(baseline_data.examples_path)
        except GroovaeError as error:
            raise GroovaeError(f"--baseline_examples_path: {error}") from error
    return evaluate_model(
        checkpoint,
        data,
        baseline_data,
        values.config,
        values.hparams,
        values.num_samples,
        values.temperature,
        values.seed,
        log,
        values.expectation == "hit",
        values.prior,
        values.feel,
    )
