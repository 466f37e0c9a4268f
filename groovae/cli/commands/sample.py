"""groovae sample: sample new grooves from a trained model.

Usage: groovae sample [--out=FILE.mid] [--flags]

Takes the latest checkpoint of a training folder, or the bundled model if nothing is trained in
.train, samples grooves and writes each to a MIDI file: drum channel, 4/4. Prints the file names.
The same seed gives the same bytes. If the first hit is before the beat, the groove starts that much
later in the file, since MIDI has no negative times; --pickup begins with an empty bar instead.

Grooves longer than the model's 4 (or 2) bars are sampled as several segments, each related to the
one before; see --drift.

Examples:
  groovae sample --temperature=0.5 --out=drum_4bar.mid
  groovae sample --num_outputs=8 --bars=2 --bpm=96 --seed=7 --out=grooves/take.mid
  groovae sample --checkpoint=.train/model.ckpt-2000 --bars=32 --drift=0.3 --png --wav"""

from typing import Any

from absl import flags

from groovae.cli.flags import check_arguments, define_expectation, define_temperature
from groovae.cli.generation import (
    HIT_TEMPERATURE_HELP,
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
    define_temperature(values, 0.5, HIT_TEMPERATURE_HELP)
    flags.DEFINE_integer("num_outputs", 1, "Number of grooves.", flag_values=values, lower_bound=1)
    flags.DEFINE_integer(
        "bars",
        4,
        "Bars of 4/4 in each groove.",
        flag_values=values,
        lower_bound=1,
        upper_bound=MAX_BARS,
    )
    flags.DEFINE_float(
        "drift",
        0.5,
        "How much a segment differs from the one before, from 0, the same latent vector, to 1, an "
        "independent one.",
        flag_values=values,
        lower_bound=0,
        upper_bound=1,
    )
    flags.DEFINE_float(
        "bpm",
        120.0,
        "Tempo in beats per minute.",
        flag_values=values,
        lower_bound=MIN_TEMPO_QPM,
        upper_bound=MAX_TEMPO_QPM,
    )
    define_expectation(values)
    define_generation(
        values, "drum_4bar.mid", "MIDI file to write; several are numbered, as drum_4bar-01.mid."
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
