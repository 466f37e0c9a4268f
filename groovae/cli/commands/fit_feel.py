"""groovae fit_feel: fit a drummer's feel to a trained model, to draw velocities and timing from.

Usage: groovae fit_feel --checkpoint=MODEL [--examples_path=RECORDS] [--flags]

A model plays what it expects, and varies less than a drummer. This command has it play the hits of
performances that it was not trained on, measures how these deviate from it, for each drum and 16th
and from hit to hit, and writes that as feel.json in the folder of the checkpoint or of the ONNX
export. From then on `groovae sample`, `humanize`, `transfer`, `tap2drum` and `add_hihat` draw such
deviations; --feel=mean leaves them out. A training with --eval_examples_path does this at its end.
Prints the file name.

Examples:
  groovae fit_feel --checkpoint=.train/best --examples_path=data_dir/music-validation.tfrecord
  groovae fit_feel --checkpoint=drums.onnx"""

from typing import Any

from absl import flags

from groovae.cli.fitting import load_from_flags
from groovae.cli.flags import (
    check_arguments,
    check_one_dataset,
    define_checkpoint,
    define_examples,
    define_layout,
)
from groovae.cli.output import log, print_text


def define_flags(values: flags.FlagValues) -> None:
    define_checkpoint(values, more_help="; or a folder written by `groovae export --format=onnx`")
    define_examples(values, "data_dir/music-validation.tfrecord", "fit")
    define_layout(values)


def run(values: Any, positional: list[str]) -> None:
    check_arguments(positional)
    check_one_dataset(values)
    from groovae.generation.fitting import fit_feel
    from groovae.generation.networks import feel_path

    model = values.checkpoint, log, values.config, values.hparams
    network, windows = load_from_flags(values, *model)
    fit_feel(network, windows, log)
    print_text(str(feel_path(network)))
