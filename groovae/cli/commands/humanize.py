"""groovae humanize: give a quantized beat the timing and dynamics of a drummer.

Usage: groovae humanize IN.mid [--out=OUT.mid] [--flags]
       groovae humanize DIR [--out=OUT_DIR] [--flags]

Keeps all hits of a beat and changes their timing and velocity. The model is given only which drums
are hit in which 16th. Several hits of a drum in one 16th, as in a roll, are moved together.
Percussion without a drum class is not changed. Needs a model of the config groovae_2bar_humanize.

Examples:
  groovae humanize stiff.mid --checkpoint=runs/humanize/best
  groovae humanize loops/ --out=played --checkpoint=groovae_2bar_humanize.tar"""

from typing import Any

from absl import flags

from groovae.cli.flags import check_arguments, define_all_notes, define_temperature
from groovae.cli.generation import GenerationCommand, Output, define_generation, run_on_files


def define_flags(values: flags.FlagValues) -> None:
    define_temperature(
        values,
        0.5,
        "Sampling temperature of timing and velocity: 0 takes the most likely performance, 1 "
        "varies it as much as the model has learned.",
    )
    define_all_notes(values)
    define_generation(values)


def run(values: Any, positional: list[str]) -> int:
    (source,) = check_arguments(positional, "IN.mid")

    def generate(model: Any, groove: Any) -> Output:
        return Output([model.humanize(groove, values.temperature)])

    return run_on_files(values, source, GenerationCommand("humanize", generate))
