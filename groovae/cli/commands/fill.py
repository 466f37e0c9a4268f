"""groovae fill: replace every fourth bar of a groove by a drum fill.

Usage: groovae fill IN.mid [--every=4] [--out=OUT.mid] [--flags]
       groovae fill FILE_OR_DIR... [--every=4] [--out=OUT_DIR] [--flags]

Generates bar N, 2N, 3N and so on anew, as a fill after the bars before it, and keeps all other hits
unchanged. What makes a fill is a direction in latent space, from grooves to those with a fill in
their last bar, which `groovae fit_prior` finds from recordings that are fills, such as those of the
Groove MIDI Dataset. Takes a model of the config groovae_4bar with such a prior.

Examples:
  groovae fill take.mid
  groovae fill take.mid --every=8 --temperature=0.8 --seed=7 --wav"""

from typing import Any

from absl import flags

from groovae.cli.generation import GenerationCommand, Output, define_generation
from groovae.cli.many_files import run_on_files


def define_flags(values: flags.FlagValues) -> None:
    flags.DEFINE_integer("every", 4, "Bars from one fill to the next.", 2, flag_values=values)
    define_generation(values, 0.5)


def run(values: Any, positional: list[str]) -> int:
    def generate(model: Any, groove: Any) -> Output:
        return Output([model.fill(groove, values.every, values.temperature)])

    return run_on_files(values, positional, GenerationCommand("fill", generate))
