"""groovae interpolate: generate the grooves between two grooves.

Usage: groovae interpolate A.mid B.mid [--num_steps=N] [--out=OUT.mid] [--flags]

Decodes latent vectors from that of one groove to that of another, at the tempo of A, and writes the
grooves one after another to one file, or each to its own. The first and the last are the
reconstructions of A and B. If one is longer, only the bars that both have are used.

Examples:
  groovae interpolate rock.mid funk.mid
  groovae interpolate rock.mid funk.mid --num_steps=9 --separate --out=way/step.mid"""

from typing import Any

from absl import flags

from groovae.cli.flags import check_arguments
from groovae.cli.generation import (
    MAX_OUTPUTS,
    Output,
    check_links,
    check_outputs,
    check_sound,
    define_generation,
    load_from_flags,
    model_fields,
    read,
    write_outputs,
)
from groovae.cli.output import print_json
from groovae.music.midi_writer import numbered


def define_flags(values: flags.FlagValues) -> None:
    flags.DEFINE_integer(
        "num_steps",
        5,
        "Number of grooves, including both ends.",
        2,
        MAX_OUTPUTS,
        flag_values=values,
    )
    flags.DEFINE_bool(
        "separate", False, "Write each groove to a numbered file, as out-01.mid.", values
    )
    define_generation(
        values,
        0.0,
        expectation=True,
        reads_folders=False,
        out="interpolate.mid",
        out_help="MIDI file to write or replace.",
    )


def run(values: Any, positional: list[str]) -> None:
    sources = check_arguments(positional, "A.mid", "B.mid")
    paths = numbered(values.out, values.num_steps if values.separate else 1)
    check_outputs(sources, paths)
    check_links(values, paths)
    check_sound(values)
    start, end = (read(source, values) for source in sources)
    model = load_from_flags(values, "interpolate")
    grooves = model.interpolate(start, end, values.num_steps, values.temperature)
    if not values.separate:
        from groovae.generation.grooves import join_grooves

        grooves = [join_grooves(grooves)]
    written = write_outputs(values, model, paths, Output(grooves))
    if values.json:
        print_json({**model_fields(model), "sources": sources, "outputs": written})
