"""groovae infill: generate some bars or drums of a groove anew, to fit the rest.

Usage: groovae infill IN.mid --bars=3-4 [--drums=hihat,ride] [--out=OUT.mid] [--flags]
       groovae infill FILE_OR_DIR... --drums=hihat [--out=OUT_DIR] [--flags]

Replaces the hits in --bars, of --drums, or of --drums in --bars, and keeps all others unchanged. A
hit belongs to the bar of its nearest 16th. Percussion without a drum class is kept. The model
starts from a copy of the bars before, or where a drum is hidden in all bars, from samples that are
similar to the other drums. Takes a model of the config groovae_4bar.

The drums are kick, snare, closed_hihat, open_hihat, low_tom, mid_tom, high_tom, crash and ride;
hihat stands for both hi-hats and toms for all toms.

Examples:
  groovae infill take.mid --bars=3-4
  groovae infill take.mid --drums=hihat,ride --temperature=0
  groovae infill take.mid --bars=7-8 --drums=toms,crash --seed=7 --wav"""

from typing import Any

from absl import flags

from groovae.cli.flags import parse_bars
from groovae.cli.generation import GenerationCommand, Output, define_generation
from groovae.cli.many_files import run_on_files
from groovae.errors import UsageError
from groovae.music.drums import find_drums


def define_flags(values: flags.FlagValues) -> None:
    flags.DEFINE_string(
        "bars", None, "Bars to generate, from 1, such as 3-4 or 8; by default all.", values
    )
    flags.DEFINE_list(
        "drums", None, "Drums to generate, such as hihat,ride; by default all.", flag_values=values
    )
    define_generation(values, 0.5, drums_flag="drum_notes")


def run(values: Any, positional: list[str]) -> int:
    if values.bars is None and values.drums is None:
        raise UsageError("--bars or --drums missing: which part to generate; see --help")
    bars = None if values.bars is None else parse_bars(values.bars)
    drums = None if values.drums is None else find_drums(values.drums)

    def generate(model: Any, groove: Any) -> Output:
        return Output([model.infill(groove, bars, drums, values.temperature)])

    return run_on_files(values, positional, GenerationCommand("infill", generate))
