"""groovae tap2drum: generate a drum beat from a tapped rhythm.

Usage: groovae tap2drum IN.mid [--out=OUT.mid] [--flags]
       groovae tap2drum FILE_OR_DIR... [--out=OUT_DIR] [--flags]

Generates a beat on the whole drum kit from the times of taps. Their velocities are ignored, unless
--velocity_amount is below 1. Each drum note is a tap; in a file without drums, such as a rhythm
played on a keyboard, each note is. Plays the bundled model, unless .train or --checkpoint holds a
model of groovae_2bar_tap_context or groovae_2bar_tap_fixed_velocity.

Examples:
  groovae tap2drum taps.mid --temperature=0.7
  groovae tap2drum taps/ --out=beats"""

from typing import Any

from absl import flags

from groovae.cli.generation import GenerationCommand, Output, define_generation
from groovae.cli.many_files import run_on_files


def define_flags(values: flags.FlagValues) -> None:
    flags.DEFINE_float(
        "velocity_amount",
        1.0,
        "From 0, the velocities of the taps, to 1, the model's.",
        0,
        1,
        flag_values=values,
    )
    define_generation(values, 0.5)


def run(values: Any, positional: list[str]) -> int:
    def generate(model: Any, taps: Any) -> Output:
        return Output([model.tap2drum(taps, values.temperature, values.velocity_amount)])

    return run_on_files(values, positional, GenerationCommand("tap2drum", generate))
