"""groovae vary: neighbours of a groove.

Usage: groovae vary IN.mid [--amount=0.3] [--num_outputs=N] [--out=OUT.mid] [--flags]
       groovae vary DIR [--out=OUT_DIR] [--flags]

Steps away from a groove in latent space and writes what is there: the same groove played another
way. Its pieces all step the same way, so that what comes again in it comes again in its variation.

Examples:
  groovae vary take.mid --amount=0.2
  groovae vary take.mid --num_outputs=8 --seed=7 --out=variations/take.mid"""

from typing import Any

from absl import flags

from groovae.cli.flags import define_all_notes, define_as_hits, define_temperature, need_arguments
from groovae.cli.generation import (
    CHANCE_OF_HITS,
    GenerationCommand,
    Output,
    define_output,
    play_all,
)


def define_flags(values: flags.FlagValues) -> None:
    flags.DEFINE_float(
        "amount",
        0.3,
        "How far to step, from 0, the reconstruction, to 1, some other groove.",
        flag_values=values,
        lower_bound=0,
        upper_bound=1,
    )
    flags.DEFINE_integer(
        "num_outputs", 1, "How many variations.", flag_values=values, lower_bound=1
    )
    define_temperature(values, 0.0, CHANCE_OF_HITS)
    define_all_notes(values)
    define_as_hits(values)
    define_output(values)


def run(values: Any, positional: list[str]) -> int:
    (source,) = need_arguments(positional, "IN.mid")

    def play(model: Any, groove: Any) -> Output:
        return Output(model.vary(groove, values.amount, values.num_outputs, values.temperature))

    return play_all(values, source, GenerationCommand("vary", play, values.num_outputs))
