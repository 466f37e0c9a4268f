"""groovae humanize: give a quantized beat the timing and dynamics of a drummer.

Usage: groovae humanize IN.mid [--out=OUT.mid] [--flags]
       groovae humanize FILE_OR_DIR... [--out=OUT_DIR] [--flags]

Keeps all hits of a beat and changes their timing and velocity. The model is given only which drums
are hit in which 16th; the swing of the beat is kept. Several hits of a drum in one 16th, as in a
roll, are moved together. Percussion without a drum class is not changed. --amount, --timing_amount,
--velocity_amount and --keep set how far timing and velocities go from the input's to the model's.
Plays the bundled model, unless .train or --checkpoint holds a model of groovae_2bar_humanize_hits
or groovae_2bar_humanize.

Examples:
  groovae humanize stiff.mid
  groovae humanize stiff.mid --amount=0.5 --keep=accents
  groovae humanize stiff.mid --checkpoint=runs/humanize_hits/best
  groovae humanize loops/ --out=played --checkpoint=groovae_2bar_humanize.tar"""

from typing import Any

from absl import flags

from groovae.cli.generation import (
    PERFORMANCE_TEMPERATURE_HELP,
    GenerationCommand,
    Output,
    define_generation,
    define_steering,
    steering_arguments,
)
from groovae.cli.many_files import run_on_files


def define_flags(values: flags.FlagValues) -> None:
    define_steering(values)
    define_generation(values, 0.5, PERFORMANCE_TEMPERATURE_HELP)


def run(values: Any, positional: list[str]) -> int:
    steering = steering_arguments(values)

    def generate(model: Any, groove: Any) -> Output:
        return Output([model.humanize(groove, values.temperature, **steering)])

    return run_on_files(values, positional, GenerationCommand("humanize", generate))
