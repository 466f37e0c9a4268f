"""groovae sample: sample new grooves from a trained model.

Usage: groovae sample [--out=FILE.mid] [--flags]

Takes the latest checkpoint of a training folder, or the bundled model if nothing is trained in
.train, samples grooves and writes each to a MIDI file: drum channel, in the meter of the model's
training, which is 4/4 unless it was trained with --meter. Prints the file names. The same seed
gives the same bytes. If the first hit is before the beat, the groove starts that much later in the
file, since MIDI has no negative times; --pickup begins with an empty bar instead.

Grooves longer than the model's 4 (or 2) bars are sampled as several segments, each related to the
one before; see --drift.

Examples:
  groovae sample --temperature=0.5 --out=drum_4bar.mid
  groovae sample --num_outputs=8 --bars=2 --bpm=96 --seed=7 --out=grooves/take.mid
  groovae sample --checkpoint=.train/model.ckpt-2000 --bars=32 --drift=0.3 --png --wav"""

from typing import Any

from absl import flags

from groovae.cli.flags import check_arguments
from groovae.cli.generation import (
    Output,
    check_sound,
    define_generation,
    load_from_flags,
    model_fields,
    write_outputs,
)
from groovae.cli.output import print_json
from groovae.music.midi_writer import MAX_BARS, MAX_TEMPO_QPM, MIN_TEMPO_QPM, numbered

MAX_BARS_IN_MEMORY = 8192  # of all grooves that are sampled before they are written


def define_flags(values: flags.FlagValues) -> None:
    flags.DEFINE_integer("num_outputs", 1, "Number of grooves.", 1, flag_values=values)
    flags.DEFINE_integer("bars", 4, "Bars in each groove.", 1, MAX_BARS, flag_values=values)
    flags.DEFINE_float(
        "drift",
        0.5,
        "How much a segment differs from the one before, from 0, the same latent vector, to 1, an "
        "independent one.",
        0,
        1,
        flag_values=values,
    )
    flags.DEFINE_float(
        "bpm", 120.0, "Tempo in beats per minute.", MIN_TEMPO_QPM, MAX_TEMPO_QPM, flag_values=values
    )
    define_generation(
        values,
        0.5,
        expectation=True,
        reads_music=False,
        out="drum_4bar.mid",
        out_help="MIDI file to write; several are numbered, as drum_4bar-01.mid.",
    )


def run(values: Any, positional: list[str]) -> None:
    check_arguments(positional)
    paths = numbered(values.out, values.num_outputs)
    check_sound(values)
    num_segments = values.num_outputs * -(-values.bars // 4)
    model = load_from_flags(values, "sample", batch_size=num_segments)
    written: list[dict[str, Any]] = []
    at_once = max(1, MAX_BARS_IN_MEMORY // values.bars)
    for first in range(0, len(paths), at_once):
        some = paths[first : first + at_once]
        grooves = model.sample(len(some), values.bars, values.temperature, values.bpm, values.drift)
        written += write_outputs(values, model, some, Output(grooves))
    if values.json:
        print_json({**model_fields(model), "outputs": written})
