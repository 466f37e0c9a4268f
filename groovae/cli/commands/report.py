"""groovae report: write an HTML page about a trained model.

Usage: groovae report [--out=report.html] [--flags]

Evaluates a model as `groovae evaluate --metrics` does and shows on a page: the scores beside
those of the baselines, windows beside their reconstructions, sampled grooves, an interpolation, a
map of the latent space, and the training curves. Grooves are piano rolls that can be played. The
page is one file that opens without a server or network. Prints its name.

The points of the map have the colours of musical styles, which are read from the info.csv of
--groove, or else from file names such as 1_funk_80_beat_4-4.mid.

Examples:
  groovae report
  groovae report --checkpoint=.train/best --examples_path=data_dir/music-test.tfrecord
  groovae report --groove=data_dir/groove --baseline_examples_path=data_dir/music-train.tfrecord
  groovae report --num_pairs=20 --num_shown=100 --soundfont=kit.sf2 --out=docs/report.html"""

from pathlib import Path
from typing import Any

from absl import flags

from groovae.cli.flags import (
    check_arguments,
    check_one_dataset,
    define_examples,
    define_layout,
    define_split,
    from_flags,
)
from groovae.cli.output import log, print_text
from groovae.cli.study import define_study, evaluate_from_flags, find_model


def define_flags(values: flags.FlagValues) -> None:
    define_examples(values, "data_dir/music-validation.tfrecord", "report")
    define_split(values)
    define_layout(values)
    define_study(values)
    flags.DEFINE_string("out", "report.html", "HTML file to write.", values)
    flags.DEFINE_integer(
        "num_pairs",
        8,
        "Windows to show beside their reconstructions, from the best to the worst score.",
        0,
        flag_values=values,
    )
    flags.DEFINE_integer("num_shown", 12, "Sampled grooves to show.", 0, flag_values=values)
    flags.DEFINE_string(
        "groove",
        None,
        "Folder of the Groove MIDI Dataset, whose info.csv has the style of each recording.",
        values,
    )
    flags.DEFINE_string(
        "soundfont",
        None,
        "Soundfont (.sf2) of the sound; by default a small General MIDI one.",
        values,
    )


def run(values: Any, positional: list[str]) -> None:
    check_arguments(positional)
    check_one_dataset(values)
    from groovae.data.groove_midi_dataset import read_info
    from groovae.data.source import DataSource
    from groovae.data.styles import styles_of
    from groovae.report import ReportOptions, check, write

    options = ReportOptions(values.num_pairs, values.num_shown, values.soundfont)
    # Before a minute's work.
    check(values.out, options)
    if values.groove:
        read_info(values.groove)
    study = evaluate_from_flags(values, find_model(values), from_flags(DataSource, values))
    styles = styles_of([source.filename for source in study.sources], values.groove)
    write(values.out, study, styles, options, log)
    log(f"{Path(values.out).expanduser().stat().st_size / 1e6:.1f} MB; open it in a browser")
    print_text(values.out)
