"""groovae tap2drum: generate a drum beat from a tapped rhythm.

Usage: groovae tap2drum IN.mid [--out=OUT.mid] [--flags]
       groovae tap2drum FILE_OR_DIR... [--out=OUT_DIR] [--flags]

Generates a beat on the whole drum kit from the times of taps; their velocities are ignored. Each
drum note is a tap; in a file without drums, such as a rhythm played on a keyboard, each note is.
Needs a model of the config groovae_2bar_tap_fixed_velocity.

Examples:
  groovae tap2drum taps.mid --checkpoint=runs/tap2drum/best --temperature=0.7
  groovae tap2drum taps/ --out=beats --checkpoint=runs/tap2drum/best"""

from typing import Any

from absl import flags

from groovae.cli.generation import GenerationCommand, Output, define_generation
from groovae.cli.many_files import run_on_files


def define_flags(values: flags.FlagValues) -> None:
    define_generation(values, 0.5)


def run(values: Any, positional: list[str]) -> int:
    def generate(model: Any, taps: Any) -> Output:
        return Output([model.tap2drum(taps, values.temperature)])

    return run_on_files(values, positional, GenerationCommand("tap2drum", generate))
