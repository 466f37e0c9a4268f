"""groovae tap2drum: play a beat on the whole kit from a tapped rhythm.

Usage: groovae tap2drum IN.mid [--out=OUT.mid] [--flags]
       groovae tap2drum DIR [--out=OUT_DIR] [--flags]

Hears when something is tapped and plays a drum beat to it. It takes a model of
groovae_2bar_tap_fixed_velocity, to which all drums are one tap; in a file without drums, such as a
rhythm played on a keyboard, all notes are taps. How loud they are does not count.

Examples:
  groovae tap2drum taps.mid --checkpoint=runs/tap2drum/best --temperature=0.7
  groovae tap2drum taps/ --out=beats --checkpoint=runs/tap2drum/best"""

from typing import Any

from absl import flags

from groovae.cli.flags import define_all_notes, define_temperature, need_arguments
from groovae.cli.generation import GenerationCommand, Output, define_output, play_all


def define_flags(values: flags.FlagValues) -> None:
    define_temperature(
        values,
        0.5,
        "How much is left to chance in the hits. 0: the likeliest; 1: as many as the model has "
        "learned; more: wild.",
    )
    define_all_notes(values)
    define_output(values)


def run(values: Any, positional: list[str]) -> int:
    (source,) = need_arguments(positional, "IN.mid")

    def play(model: Any, groove: Any) -> Output:
        return Output([model.tap2drum(groove, values.temperature)])

    return play_all(values, source, GenerationCommand("tap2drum", play))
