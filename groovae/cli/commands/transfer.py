"""groovae transfer: play the hits of one beat with the feel of another.

Usage: groovae transfer --groove=A.mid --beat=B.mid [--out=OUT.mid] [--flags]

Keeps every hit of B, at the tempo of B, and plays it with the timing and dynamics of A. It takes a
model of groovae_2bar_hits_control_tfds. Each two bars of A lend their feel to two bars of B, in
turn; where B goes on, A begins again. --beat may be a folder, whose beats all get the feel of A.

Examples:
  groovae transfer --groove=funk.mid --beat=stiff.mid --checkpoint=runs/transfer/best
  groovae transfer --groove=funk.mid --beat=loops/ --out=funky --checkpoint=runs/transfer/best"""

from typing import Any

from absl import flags

from groovae.cli.flags import define_all_notes, define_temperature, need_arguments
from groovae.cli.generation import GenerationCommand, Output, define_output, play_all, read
from groovae.errors import UsageError


def define_flags(values: flags.FlagValues) -> None:
    flags.DEFINE_string("groove", None, "The music file whose feel it gets.", flag_values=values)
    flags.DEFINE_string("beat", None, "The music file whose hits are played.", flag_values=values)
    define_temperature(
        values,
        0.0,
        "How much is left to chance in the feel, since the hits are given: 0 for the one of A.",
    )
    define_all_notes(values)
    define_output(values)


def run(values: Any, positional: list[str]) -> int:
    need_arguments(positional)
    for name in ("groove", "beat"):
        if not values[name].value:
            raise UsageError(f"--{name}=FILE.mid missing; see --help")
    feel = read(values.groove)

    def play(model: Any, beat: Any) -> Output:
        return Output([model.transfer(feel, beat, values.temperature)])

    def check(model: Any) -> None:
        model.split(feel)

    return play_all(
        values,
        values.beat,
        GenerationCommand("transfer", play, also_read=values.groove, check=check),
    )
