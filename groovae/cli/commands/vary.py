"""groovae vary: generate variations of a groove.

Usage: groovae vary IN.mid [--amount=0.3] [--num_outputs=N] [--out=OUT.mid] [--flags]
       groovae vary FILE_OR_DIR... [--out=OUT_DIR] [--flags]

Moves the latent vectors of a groove in a random direction and decodes them. All segments of the
groove move in the same direction, so that what repeats in it repeats in the variation. --more and
--less move in the direction in which density or syncopation grow in the training windows, by
the fitted prior of the model. With --amount=1 it is the way from the mean of the quarter with the
least to that of the quarter with the most.

Examples:
  groovae vary take.mid --amount=0.2
  groovae vary take.mid --more=density --amount=0.6
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
from groovae.errors import UsageError


def define_flags(values: flags.FlagValues) -> None:
    flags.DEFINE_float(
        "amount",
        0.3,
        "Distance from the groove, from 0, its reconstruction, to 1, an unrelated groove.",
        0,
        1,
        flag_values=values,
    )
    for name in ("more", "less"):
        flags.DEFINE_enum(
            name,
            None,
            ["density", "syncopation"],
            f"Move towards {name} of this, instead of in a random direction.",
            flag_values=values,
        )
    define_num_outputs(values, "Number of variations.")
    define_generation(values, 0.0, expectation=True)


def run(values: Any, positional: list[str]) -> int:
    if values.more and values.less:
        raise UsageError("--more and --less are mutually exclusive")

    def generate(model: Any, groove: Any) -> Output:
        num_outputs, temperature = values.num_outputs, values.temperature
        return Output(
            model.vary(groove, values.amount, num_outputs, temperature, values.more, values.less)
        )

    return run_on_files(values, positional, GenerationCommand("vary", generate, values.num_outputs))
