"""groovae sample: draw grooves from a trained model, as MIDI.

Usage: groovae sample [--out=FILE.mid] [--flags]

Takes the newest checkpoint of a training folder, or, where nothing is trained in .train, the model
that comes with groovae, draws as many grooves as asked for, and writes each to a MIDI file: drum
channel, its tempo, 4/4. Prints the names of the files. The same seed gives the same bytes. Where
the first hit is played ahead of the beat, the groove starts that much later in the file, since MIDI
has no time before 0; --pickup gives it an empty bar instead.

More bars than the model has (4, or 2) are played as several pieces, each drawn near the one before:
--drift says how near.

Examples:
  groovae sample --temperature=0.5 --out=drum_4bar.mid
  groovae sample --num_outputs=8 --bars=2 --bpm=96 --seed=7 --out=grooves/take.mid
  groovae sample --checkpoint=.train/model.ckpt-2000 --bars=32 --drift=0.3 --png --wav"""

from typing import Any

from absl import flags

from groovae.cli.flags import define_as_hits, define_temperature, need_arguments
from groovae.cli.generation import Output, about, check_sound, define_output, deliver, load
from groovae.cli.output import print_json
from groovae.music.midi_writer import MAX_BARS, MAX_TEMPO_QPM, MIN_TEMPO_QPM, numbered

BARS_AT_ONCE = 8192  # of all grooves, to draw before they are written


def define_flags(values: flags.FlagValues) -> None:
    define_temperature(
        values,
        0.5,
        "How much is left to chance. 0: the likeliest hits; 1: as many as the model has learned; "
        "more: wild.",
    )
    flags.DEFINE_integer(
        "num_outputs", 1, "How many grooves to draw.", flag_values=values, lower_bound=1
    )
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
        "How far a piece moves from the one before, in grooves longer than the model: from 0, the "
        "same idea all along, to 1, a new one each time.",
        flag_values=values,
        lower_bound=0,
        upper_bound=1,
    )
    flags.DEFINE_float(
        "bpm",
        120.0,
        "Tempo of the file, in beats a minute.",
        flag_values=values,
        lower_bound=MIN_TEMPO_QPM,
        upper_bound=MAX_TEMPO_QPM,
    )
    define_as_hits(values)
    define_output(
        values,
        "drum_4bar.mid",
        "The MIDI file to write; several are numbered, as in drum_4bar-01.mid.",
    )


def run(values: Any, positional: list[str]) -> None:
    need_arguments(positional)
    paths = numbered(values.out, values.num_outputs)
    check_sound(values)
    segments = values.num_outputs * -(-values.bars // 4)
    model = load(values, "sample", batch_size=segments)
    outputs: list[dict[str, Any]] = []
    at_once = max(1, BARS_AT_ONCE // values.bars)
    for first in range(0, len(paths), at_once):
        some = paths[first : first + at_once]
        grooves = model.sample(len(some), values.bars, values.temperature, values.bpm, values.drift)
        outputs += deliver(values, model, some, Output(grooves))
    if values.json:
        print_json({**about(model), "outputs": outputs})
