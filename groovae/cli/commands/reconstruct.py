"""groovae reconstruct: encode a groove, decode it and compare both.

Usage: groovae reconstruct IN.mid [--out=OUT.mid] [--flags]
       groovae reconstruct FILE_OR_DIR... [--out=OUT_DIR] [--flags]

Reads a music file of any length and writes its reconstruction by the model, at the same tempo. The
F1 score of the hits and the mean absolute errors of timing and velocity show how much of the groove
is preserved.

Examples:
  groovae reconstruct take.mid --png
  groovae reconstruct ../groove/drummer1/session1 --out=again --drum_map=roland --json"""

import math
from typing import Any

from absl import flags

from groovae.cli.generation import GenerationCommand, Output, define_generation
from groovae.cli.many_files import run_on_files


def define_flags(values: flags.FlagValues) -> None:
    define_generation(values, 0.0, expectation=True)


def run(values: Any, positional: list[str]) -> int:
    def generate(model: Any, groove: Any) -> Output:
        reconstruction = model.reconstruct(groove, values.temperature)
        scores = model.compare(groove, reconstruction)
        # JSON has no NaN.
        finite = {name: None if math.isnan(score) else score for name, score in scores.items()}
        return Output([reconstruction], [_format(scores)], {"scores": finite})

    return run_on_files(values, positional, GenerationCommand("reconstruct", generate))


def _format(scores: dict[str, float]) -> str:
    line = "hits: F1 {hit_f1:.2f}, precision {hit_precision:.2f}, recall {hit_recall:.2f}"
    if math.isnan(scores["timing_mae_ms"]):
        line += "; no hit in common"
    else:
        line += "; mean error of timing {timing_mae_ms:.1f} ms, of velocity {velocity_mae:.1f}"
    return line.format(**scores)
