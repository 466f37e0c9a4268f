"""groovae humanize: play a stiff beat with a drummer's timing and dynamics.

Usage: groovae humanize IN.mid [--out=OUT.mid] [--flags]
       groovae humanize DIR [--out=OUT_DIR] [--flags]

Keeps every hit of a beat and changes when and how hard it is played. It takes a model of
groovae_2bar_humanize, and hears nothing but which drums are hit in which 16th. Two hits of a drum
in one 16th, as in a roll, move together. Percussion that the model does not know stays as it is.

Examples:
  groovae humanize stiff.mid --checkpoint=runs/humanize/best
  groovae humanize loops/ --out=played --checkpoint=groovae_2bar_humanize.tar"""

from typing import Any

from absl import flags

from groovae.cli.flags import define_all_notes, define_temperature, need_arguments
from groovae.cli.generation import GenerationCommand, Output, define_output, play_all


def define_flags(values: flags.FlagValues) -> None:
    define_temperature(
        values,
        0.5,
        "How much is left to chance in the feel, since the hits are given: 0 for the likeliest "
        "one, 1 for ones as different as the model has learned.",
    )
    define_all_notes(values)
    define_output(values)


def run(values: Any, positional: list[str]) -> int:
    (source,) = need_arguments(positional, "IN.mid")

    def play(model: Any, groove: Any) -> Output:
        return Output([model.humanize(groove, values.temperature)])

    return play_all(values, source, GenerationCommand("humanize", play))
