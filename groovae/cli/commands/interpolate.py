"""groovae interpolate: grooves on the way from one to another.

Usage: groovae interpolate A.mid B.mid [--num_steps=N] [--out=OUT.mid] [--flags]

Goes in latent space from one groove to another, and writes what it meets, at the tempo of A: one
after another in one file, or each in a file of its own. The first and the last are what
`reconstruct` makes of A and B. Of grooves of different length, the part that both have counts.

Examples:
  groovae interpolate rock.mid funk.mid
  groovae interpolate rock.mid funk.mid --num_steps=9 --separate --out=way/step.mid"""

from typing import Any

from absl import flags

from groovae.cli.flags import define_all_notes, define_as_hits, define_temperature, need_arguments
from groovae.cli.generation import (
    CHANCE_OF_HITS,
    Output,
    about,
    check_apart,
    check_sound,
    define_output,
    deliver,
    load,
    read,
)
from groovae.cli.output import print_json
from groovae.music.midi_writer import numbered


def define_flags(values: flags.FlagValues) -> None:
    flags.DEFINE_integer(
        "num_steps", 5, "How many grooves, both ends included.", flag_values=values, lower_bound=2
    )
    flags.DEFINE_bool(
        "separate", False, "A numbered file for each groove, as in out-01.mid.", flag_values=values
    )
    define_temperature(values, 0.0, CHANCE_OF_HITS)
    define_all_notes(values)
    define_as_hits(values)
    define_output(values, "interpolate.mid", "The MIDI file to write.")


def run(values: Any, positional: list[str]) -> None:
    sources = need_arguments(positional, "A.mid", "B.mid")
    paths = numbered(values.out, values.num_steps if values.separate else 1)
    check_apart(sources, paths)
    check_sound(values)
    start, end = (read(source) for source in sources)
    model = load(values, "interpolate")
    grooves = model.interpolate(start, end, values.num_steps, values.temperature)
    if not values.separate:
        from groovae.generation.grooves import join_grooves

        grooves = [join_grooves(grooves)]
    outputs = deliver(values, model, paths, Output(grooves))
    if values.json:
        print_json({**about(model), "sources": sources, "outputs": outputs})
