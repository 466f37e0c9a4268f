"""groovae reconstruct: encode a groove and decode it, to hear what the model makes of it.

Usage: groovae reconstruct IN.mid [--out=OUT.mid] [--flags]
       groovae reconstruct DIR [--out=OUT_DIR] [--flags]

Reads a music file of any length, at its own tempo, and writes its reconstruction, which shows how
much of a groove the model keeps: share of hits, timing and velocity of both are compared and
printed. With a folder it does so for each music file in it.

Examples:
  groovae reconstruct take.mid --png
  groovae reconstruct ../groove/drummer1/session1 --out=again --drum_map=roland --json"""

import math
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
    define_temperature(values, 0.0, CHANCE_OF_HITS)
    define_all_notes(values)
    define_as_hits(values)
    define_output(values)


def run(values: Any, positional: list[str]) -> int:
    (source,) = need_arguments(positional, "IN.mid")

    def play(model: Any, groove: Any) -> Output:
        again = model.reconstruct(groove, values.temperature)
        scores = model.compare(groove, again)
        # JSON has no NaN.
        numbers = {name: None if math.isnan(score) else score for name, score in scores.items()}
        return Output([again], [_told(scores)], {"scores": numbers})

    return play_all(values, source, GenerationCommand("reconstruct", play))


def _told(scores: dict[str, float]) -> str:
    hits = "hits: F1 {hit_f1:.2f} (precision {hit_precision:.2f}, recall {hit_recall:.2f})"
    both = "where both hit, timing is off by {timing_mae_ms:.1f} ms, velocity by {velocity_mae:.1f}"
    if math.isnan(scores["timing_mae_ms"]):
        return f"{hits}; no hit in common".format(**scores)
    return f"{hits}; {both} of 127".format(**scores)
