"""groovae add_hihat: add a closed hi-hat to a groove.

Usage: groovae add_hihat IN.mid [--out=OUT.mid] [--flags]
       groovae add_hihat FILE_OR_DIR... [--out=OUT_DIR] [--flags]

Replaces the closed hi-hat of a groove by a generated one and keeps all other drums. Plays the
bundled model, unless .train or --checkpoint holds a model of groovae_2bar_add_closed_hh_context or
groovae_2bar_add_closed_hh.

Examples:
  groovae add_hihat beat.mid
  groovae add_hihat beat.mid --checkpoint=groovae_2bar_add_closed_hh.tar --wav"""

from typing import Any

from absl import flags

from groovae.cli.generation import GenerationCommand, Output, define_generation
from groovae.cli.many_files import run_on_files


def define_flags(values: flags.FlagValues) -> None:
    define_generation(values, 0.5)


def run(values: Any, positional: list[str]) -> int:
    def generate(model: Any, groove: Any) -> Output:
        return Output([model.add_hihat(groove, values.temperature)])

    return run_on_files(values, positional, GenerationCommand("add_hihat", generate))
