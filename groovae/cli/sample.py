"""groovae sample: draw grooves from a trained model, as MIDI.

Usage: groovae sample [--out=FILE.mid] [--flags]

Takes the newest checkpoint of a training folder, draws as many grooves as asked for, and writes
each to a MIDI file: drum channel, its tempo, 4/4. Prints the names of the files. The same seed
gives the same bytes. Where the first hit is played ahead of the beat, the groove starts that much
later in the file, since MIDI has no time before 0.

Examples:
  groovae sample --temperature=0.5 --out=drum_4bar.mid
  groovae sample --num_outputs=8 --bars=2 --bpm=96 --seed=7 --out=grooves/take.mid
  groovae sample --checkpoint=.train/model.ckpt-2000"""

from typing import Any

from absl import flags

from groovae.cli import (
    define_checkpoint,
    define_seed,
    define_temperature,
    need_arguments,
    print_json,
    say,
)
from groovae.midi import MAX_TEMPO_QPM, MIN_TEMPO_QPM, numbered, write_sequence


def define_flags(values: flags.FlagValues) -> None:
    flags.DEFINE_string(
        "out",
        "drum_4bar.mid",
        "The MIDI file to write; several are numbered, as in drum_4bar-01.mid.",
        flag_values=values,
    )
    define_checkpoint(values)
    define_temperature(values)
    flags.DEFINE_integer(
        "num_outputs", 1, "How many grooves to draw.", flag_values=values, lower_bound=1
    )
    flags.DEFINE_integer(
        "bars", 4, "Bars of 4/4 in each groove.", flag_values=values, lower_bound=1
    )
    flags.DEFINE_float(
        "bpm",
        120.0,
        "Tempo of the file, in beats a minute.",
        flag_values=values,
        lower_bound=MIN_TEMPO_QPM,
        upper_bound=MAX_TEMPO_QPM,
    )
    define_seed(values, None, "For the same grooves again; random by default, and printed.")
    flags.DEFINE_bool(
        "json", False, "Print the files and what they hold as JSON.", flag_values=values
    )


def run(values: Any, positional: list[str]) -> None:
    need_arguments(positional)
    paths = numbered(values.out, values.num_outputs)
    from groovae.generate import load_model

    model = load_model(
        values.checkpoint, values.config, values.hparams, values.seed, values.num_outputs
    )
    say(f"{model.config_name} from {model.checkpoint}, seed {model.seed}")
    grooves = model.sample(values.num_outputs, values.bars, values.temperature, values.bpm)
    written = []
    for path, groove in zip(paths, grooves, strict=True):
        moved_ms = write_sequence(path, groove)
        written.append({"file": str(path), "hits": len(groove.notes), "moved_ms": moved_ms})
        say(_describe(written[-1]))
        if not values.json:
            print(path)
    if values.json:
        about = {"checkpoint": model.checkpoint, "config": model.config_name, "seed": model.seed}
        print_json({**about, "outputs": written})


def _describe(written: dict[str, Any]) -> str:
    line = f"{written['file']}: {written['hits']} hits"
    if not written["hits"]:
        return f"{line}; the model is silent, train it longer or raise --temperature"
    if written["moved_ms"]:
        line += f", starts {written['moved_ms']:.1f} ms late to keep a hit played before the beat"
    return line
