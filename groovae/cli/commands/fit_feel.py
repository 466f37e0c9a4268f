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

from groovae.cli.fitting import define_fitting, load_from_flags
from groovae.cli.output import log, print_text


def define_flags(values: flags.FlagValues) -> None:
    define_fitting(values, "data_dir/music-validation.tfrecord")


def run(values: Any, positional: list[str]) -> None:
    from groovae.generation.fitting import fit_feel
    from groovae.generation.networks import feel_path

    network, windows = load_from_flags(values, positional, log)
    fit_feel(network, windows, log)
    print_text(str(feel_path(network)))
