"""groovae add_hihat: play a hi-hat to a groove.

Usage: groovae add_hihat IN.mid [--out=OUT.mid] [--flags]
       groovae add_hihat DIR [--out=OUT_DIR] [--flags]

Plays a closed hi-hat to a groove, in place of the one it may have, and leaves all its other drums
as they are. It takes a model of groovae_2bar_add_closed_hh.

Examples:
  groovae add_hihat beat.mid --checkpoint=runs/add_hihat/best
  groovae add_hihat beat.mid --checkpoint=groovae_2bar_add_closed_hh.tar --wav"""

from typing import Any

from absl import flags

from groovae.cli.flags import define_all_notes, define_temperature, need_arguments
from groovae.cli.generation import GenerationCommand, Output, define_output, play_all


def define_flags(values: flags.FlagValues) -> None:
    define_temperature(
        values,
        0.5,
        "How much is left to chance in the hi-hat. 0: its likeliest hits; 1: as many as the model "
        "has learned; more: wild.",
    )
    define_all_notes(values)
    define_output(values)


def run(values: Any, positional: list[str]) -> int:
    (source,) = need_arguments(positional, "IN.mid")

    def play(model: Any, groove: Any) -> Output:
        return Output([model.add_hihat(groove, values.temperature)])

    return play_all(values, source, GenerationCommand("add_hihat", play))
