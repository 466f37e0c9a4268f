"""groovae vary: generate variations of a groove.

Usage: groovae vary IN.mid [--amount=0.3] [--num_outputs=N] [--out=OUT.mid] [--flags]
       groovae vary DIR [--out=OUT_DIR] [--flags]

Moves the latent vectors of a groove in a random direction and decodes them. All segments of the
groove move in the same direction, so that what repeats in it repeats in the variation.

Examples:
  groovae vary take.mid --amount=0.2
  groovae vary take.mid --num_outputs=8 --seed=7 --out=variations/take.mid"""

from typing import Any

from absl import flags

from groovae.cli.flags import (
    check_arguments,
    define_all_notes,
    define_expectation,
    define_temperature,
)
from groovae.cli.generation import (
    HIT_TEMPERATURE_HELP,
    GenerationCommand,
    Output,
    define_generation,
    run_on_files,
)


def define_flags(values: flags.FlagValues) -> None:
    flags.DEFINE_float(
        "amount",
        0.3,
        "Distance from the groove, from 0, its reconstruction, to 1, an unrelated groove.",
        flag_values=values,
        lower_bound=0,
        upper_bound=1,
    )
    flags.DEFINE_integer(
        "num_outputs", 1, "Number of variations.", flag_values=values, lower_bound=1
    )
    define_temperature(values, 0.0, HIT_TEMPERATURE_HELP)
    define_all_notes(values)
    define_expectation(values)
    define_generation(values)


def run(values: Any, positional: list[str]) -> int:
    (source,) = check_arguments(positional, "IN.mid")

    def generate(model: Any, groove: Any) -> Output:
        return Output(model.vary(groove, values.amount, values.num_outputs, values.temperature))

    command = GenerationCommand("vary", generate, values.num_outputs)
    return run_on_files(values, source, command)
