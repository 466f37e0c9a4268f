"""What `evaluate --metrics` and `report` share."""

from typing import Any

from absl import flags

from groovae.cli.flags import define_as_hits, define_seed, define_temperature
from groovae.cli.output import log
from groovae.errors import GroovaeError


def define_appraisal(values: flags.FlagValues) -> None:
    """What a model is judged by beside its losses: the same flags for a table and for a page."""
    flags.DEFINE_string(
        "baseline_examples_path",
        "data_dir/music-train.tfrecord",
        "The records trained on: what the baselines are fitted on, and what samples may be copies "
        "of. With --tfds_name it is the train split of that.",
        flag_values=values,
    )
    flags.DEFINE_integer(
        "num_samples",
        None,
        "How many grooves to draw; by default as many as there are windows.",
        lower_bound=0,
        flag_values=values,
    )
    define_temperature(values, 0.5, "Of the grooves that are drawn.")
    define_seed(values, 0, "Of the grooves that are drawn.")
    define_as_hits(values)


def appraised(values: Any, data: Any) -> Any:
    """The Study of the checkpoint that the flags name, on `data`."""
    import dataclasses

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
        values.checkpoint,
        data,
        baseline_data,
        values.config,
        values.hparams,
        values.num_samples,
        values.temperature,
        values.seed,
        log,
        values.as_hits,
    )
