"""groovae report: one HTML page on a trained model, to look at and to listen to.

Usage: groovae report [--out=report.html] [--flags]

Judges a checkpoint as `groovae evaluate --metrics` does and lays it out on a page: the scores
beside the baselines, windows beside what the model makes of them, grooves that it draws, the way
from one groove to another, its latent space as a map, and how it was trained. Grooves are piano
rolls with sound. The page is one file that opens from the disk and needs no network. Prints its
name.

The points of the map have the colours of musical styles: from the info.csv of --groove, or else
from file names such as 1_funk_80_beat_4-4.mid.

Examples:
  groovae report
  groovae report --checkpoint=.train/best --examples_path=data_dir/music-test.tfrecord
  groovae report --groove=data_dir/groove --baseline_examples_path=data_dir/music-train.tfrecord
  groovae report --num_pairs=20 --num_shown=100 --soundfont=kit.sf2 --out=docs/report.html"""

from pathlib import Path
from typing import Any

from absl import flags

from groovae.cli.flags import (
    check_one_set,
    define_checkpoint,
    define_examples,
    define_layout,
    define_split,
    need_arguments,
)
from groovae.cli.output import log
from groovae.cli.study import appraised, define_appraisal


def define_flags(values: flags.FlagValues) -> None:
    define_checkpoint(values)
    define_examples(values, "data_dir/music-validation.tfrecord", "report")
    define_split(values)
    define_layout(values)
    define_appraisal(values)
    flags.DEFINE_string("out", "report.html", "The page to write.", flag_values=values)
    flags.DEFINE_integer(
        "num_pairs",
        8,
        "How many windows to show beside what the model makes of them, from the best to the worst.",
        lower_bound=0,
        flag_values=values,
    )
    flags.DEFINE_integer(
        "num_shown",
        12,
        "How many of the grooves that are drawn to show, the first ones.",
        lower_bound=0,
        flag_values=values,
    )
    flags.DEFINE_string(
        "groove",
        None,
        "A folder of the Groove MIDI Dataset, whose info.csv says the style of each recording.",
        flag_values=values,
    )
    flags.DEFINE_string(
        "soundfont",
        None,
        "An .sf2 file for the sound; a small one is built in.",
        flag_values=values,
    )


def run(values: Any, positional: list[str]) -> None:
    need_arguments(positional)
    check_one_set(values)
    from groovae.data.groove_midi_dataset import read_info
    from groovae.data.source import DataSource
    from groovae.report import ReportOptions, check, write
    from groovae.report.styles import styles_of

    options = ReportOptions(values.num_pairs, values.num_shown, values.soundfont)
    # What is wrong shows before a minute's work and not after it.
    check(values.out, options)
    if values.groove:
        read_info(values.groove)
    data = DataSource(**{name: values[name].value for name in DataSource.__dataclass_fields__})
    study = appraised(values, data)
    styles = styles_of([source.filename for source in study.sources], values.groove)
    write(values.out, study, styles, options, log)
    log(f"{Path(values.out).expanduser().stat().st_size / 1e6:.1f} MB; open it in a browser")
    print(values.out)
