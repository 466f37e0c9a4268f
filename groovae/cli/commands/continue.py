"""groovae continue: generate the next bars of a groove.

Usage: groovae continue IN.mid [--bars=4] [--out=OUT.mid] [--flags]
       groovae continue FILE_OR_DIR... [--bars=4] [--out=OUT_DIR] [--flags]

Adds bars to the end of a groove, in its last tempo and meter, and keeps its own hits unchanged. If
the groove ends within a segment of the model, the rest of the segment is generated as by `infill`.
Each further segment of 4 bars is related to the one before; see --drift. Takes a model of the
config groovae_4bar.

Examples:
  groovae continue take.mid --bars=8
  groovae continue take.mid --bars=16 --drift=0.2 --seed=7 --wav"""

from typing import Any

from absl import flags

from groovae.cli.flags import define_drift
from groovae.cli.generation import GenerationCommand, Output, define_generation
from groovae.cli.many_files import run_on_files
from groovae.music.midi_writer import MAX_BARS


def define_flags(values: flags.FlagValues) -> None:
    flags.DEFINE_integer("bars", 4, "Bars to add.", 1, MAX_BARS, flag_values=values)
    define_drift(values)
    define_generation(values, 0.5)


def run(values: Any, positional: list[str]) -> int:
    def generate(model: Any, groove: Any) -> Output:
        return Output([model.extend(groove, values.bars, values.temperature, values.drift)])

    return run_on_files(values, positional, GenerationCommand("continue", generate))
