"""groovae sample: sample new grooves from a trained model.

Usage: groovae sample [--out=FILE.mid] [--flags]

Takes the latest checkpoint of a training folder, or the bundled model if nothing is trained in
.train, samples grooves and writes each to a MIDI file: drum channel, in the meter of the model's
training, which is 4/4 unless it was trained with --meter. Prints the file names. The same seed
gives the same bytes. A first hit before the beat is moved to it, since MIDI has no negative times;
see --first_hit.

z is drawn from the prior that was fitted to the model's training windows, if it has one, or else
from N(0, I) as in Magenta; see --prior. --style draws from the part of the fitted prior that
belongs to a musical style, or mixes several; `groovae info MODEL` lists the styles. --density
draws several grooves and takes the one whose number of hits a bar is nearest to a quantile of the
training windows. --like begins with the latent of a file.

Grooves longer than the model's 4 (or 2) bars are sampled as several segments, each related to the
one before; see --drift.

Examples:
  groovae sample --temperature=0.5 --out=drum_4bar.mid
  groovae sample --num_outputs=8 --bars=2 --bpm=96 --seed=7 --out=grooves/take.mid
  groovae sample --style=funk --num_outputs=4 --out=funk.mid
  groovae sample --style=funk:0.7,jazz:0.3 --density=0.8 --out=busy.mid
  groovae sample --like=take.mid --drift=0.3 --num_outputs=4 --out=more.mid
  groovae sample --checkpoint=.train/model.ckpt-2000 --bars=32 --drift=0.3 --png --wav"""

from collections.abc import Iterator
from typing import Any

from absl import flags

from groovae.cli.flags import check_arguments, define_drift, define_prior
from groovae.cli.generation import (
    Output,
    check_links,
    check_outputs,
    check_sound,
    define_generation,
    define_num_outputs,
    load_from_flags,
    model_fields,
    write_outputs,
)
from groovae.cli.output import log, print_json
from groovae.music.midi_writer import MAX_BARS, MAX_TEMPO_QPM, MIN_TEMPO_QPM, numbered

BARS_AT_ONCE = 2048  # of the grooves that are sampled before they are written


def define_flags(values: flags.FlagValues) -> None:
    define_num_outputs(values, "Number of grooves.")
    flags.DEFINE_integer("bars", 4, "Bars in each groove.", 1, MAX_BARS, flag_values=values)
    define_drift(values)
    define_prior(values)
    flags.DEFINE_string(
        "style",
        None,
        "Musical style to sample, such as funk, of those that the fitted prior has; or a mix with "
        "weights, such as funk:0.7,jazz:0.3.",
        values,
    )
    flags.DEFINE_float(
        "density",
        None,
        "Hits a bar, from 0, as in the sparsest training windows, to 1, as in the densest.",
        0,
        1,
        flag_values=values,
    )
    flags.DEFINE_string(
        "like", None, "Music file to sample near; --drift sets how far from it.", values
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
        out_help="MIDI file to write or replace; several are numbered, as drum_4bar-01.mid.",
    )


def run(values: Any, positional: list[str]) -> None:
    check_arguments(positional)
    paths = numbered(values.out, values.num_outputs)
    check_outputs([values.like] if values.like else [], paths)
    check_links(values, paths)
    check_sound(values)
    num_segments = values.num_outputs * -(-values.bars // 4)
    model = load_from_flags(values, "sample", batch_size=num_segments)
    chosen = model.choose_prior(values.prior, values.style, values.density)
    prior = "standard" if chosen is None else "fitted"
    log(f"{prior} prior" + (f", style {values.style}" if values.style else ""))
    written = write_outputs(values, model, paths, Output(_grooves(values, model)))
    if values.json:
        drawn = {"prior": prior, "style": values.style}
        print_json({**model_fields(model), **drawn, "outputs": written})


def _grooves(values: Any, model: Any) -> Iterator[Any]:
    """Sample the grooves, not many more at once than a batch."""
    from groovae.data.conversion import read_sequence

    like = None if values.like is None else read_sequence(values.like, log=log)
    at_once = max(1, BARS_AT_ONCE // values.bars)
    for first in range(0, values.num_outputs, at_once):
        count = min(at_once, values.num_outputs - first)
        yield from model.sample(
            count,
            values.bars,
            values.temperature,
            values.bpm,
            values.drift,
            values.prior,
            values.style,
            values.density,
            like,
        )
