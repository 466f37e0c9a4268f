"""groovae transfer: apply the timing and dynamics of one groove to the hits of a beat.

Usage: groovae transfer --groove=A.mid --beat=B.mid [--out=OUT.mid] [--flags]
       groovae transfer --groove=A.mid FILE_OR_DIR... [--out=OUT_DIR] [--flags]

Keeps all hits of B and its tempo, and takes timing and velocity from A: those of each two bars of A
are applied to two bars of B, in order, starting over with A if B is longer. Beats are named
by --beat or as arguments. --amount, --timing_amount, --velocity_amount and --keep set how far
timing and velocities go from those of B to those of A. Plays the bundled model, unless .train or
--checkpoint holds a model of groovae_2bar_transfer_hits or groovae_2bar_hits_control_tfds.

Examples:
  groovae transfer --groove=funk.mid --beat=stiff.mid
  groovae transfer --groove=funk.mid loops/ take.mid --out=funky"""

from typing import Any

from absl import flags

from groovae.cli.flags import check_files
from groovae.cli.generation import (
    PERFORMANCE_TEMPERATURE_HELP,
    GenerationCommand,
    Output,
    define_generation,
    define_steering,
    read,
    steering_arguments,
)
from groovae.cli.many_files import run_on_files
from groovae.errors import UsageError


def define_flags(values: flags.FlagValues) -> None:
    flags.DEFINE_string("groove", None, "Music file to take timing and velocity from.", values)
    flags.DEFINE_string("beat", None, "Music file, or folder, whose hits are kept.", values)
    define_steering(values)
    define_generation(values, 0.0, PERFORMANCE_TEMPERATURE_HELP)


def run(values: Any, positional: list[str]) -> int:
    if not values.groove:
        raise UsageError("--groove=FILE.mid missing; see --help")
    beats = [*([values.beat] if values.beat else []), *positional]
    check_files(beats, "--beat=FILE.mid")
    steering = steering_arguments(values)
    groove = read(values.groove, values)

    def generate(model: Any, beat: Any) -> Output:
        return Output([model.transfer(groove, beat, values.temperature, **steering)])

    command = GenerationCommand(
        "transfer", generate, also_read=values.groove, check=lambda model: model.split(groove)
    )
    return run_on_files(values, beats, command)
