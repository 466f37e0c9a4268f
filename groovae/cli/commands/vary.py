"""groovae vary: generate variations of a groove.

Usage: groovae vary IN.mid [--amount=0.3] [--num_outputs=N] [--out=OUT.mid] [--flags]
       groovae vary FILE_OR_DIR... [--out=OUT_DIR] [--flags]

Moves the latent vectors of a groove in a random direction and decodes them. All segments of the
groove move in the same direction, so that what repeats in it repeats in the variation.

Examples:
  groovae vary take.mid --amount=0.2
  groovae vary take.mid --num_outputs=8 --seed=7 --out=variations/take.mid"""

from typing import Any

from absl import flags

from groovae.cli.generation import (
    GenerationCommand,
    Output,
    define_generation,
    define_num_outputs,
)
from groovae.cli.many_files import run_on_files


def define_flags(values: flags.FlagValues) -> None:
    flags.DEFINE_float(
        "amount",
        0.3,
        "Distance from the groove, from 0, its reconstruction, to 1, an unrelated groove.",
        0,
        1,
        flag_values=values,
    )
    define_num_outputs(values, "Number of variations.")
    define_generation(values, 0.0, expectation=True)


def run(values: Any, positional: list[str]) -> int:
    def generate(model: Any, groove: Any) -> Output:
        return Output(model.vary(groove, values.amount, values.num_outputs, values.temperature))

    return run_on_files(values, positional, GenerationCommand("vary", generate, values.num_outputs))
