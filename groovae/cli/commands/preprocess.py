"""groovae preprocess: a folder of MIDI files to a TFRecord of NoteSequences.

Usage: groovae preprocess DIR OUT.tfrecord [--flags]

Reads .mid, .midi, .xml, .mxl and .abc files in DIR and all folders below it, and writes the same
records as Magenta's convert_dir_to_note_sequences, in sorted path order, on all cores. A file that
is broken or too much is skipped and reported; a file with several names, by links, is read once.
OUT.tfrecord.report.json says what became of each, and how many training windows --config gets from
the records. All files of a run are replaced together, once all are written.

Examples:
  groovae preprocess ../groove data_dir/music.tfrecord
  groovae preprocess ../groove data_dir/music.tfrecord --splits
  groovae preprocess ../groove data_dir/train.tfrecord --split=train --hop_bars=1
  groovae preprocess ~/midi/drums drums.tfrecord --shards=8 --max_minutes=20 --json

--splits writes music-train.tfrecord, music-validation.tfrecord and music-test.tfrecord, with a
report each. Records hold every note, so that --unmapped_pitches=error only counts here, and stops
the training. --shards=8 writes drums.tfrecord-00000-of-00008 to -00007-of-00008, which other
commands read as 'drums.tfrecord-*'."""

import collections
import textwrap
from typing import TYPE_CHECKING, Any

from absl import flags
from tqdm import tqdm

from groovae.cli.flags import define_config, define_layout, need_arguments
from groovae.cli.output import log, print_json
from groovae.data.window_report import format_counts
from groovae.errors import UsageError

if TYPE_CHECKING:
    from groovae.data.preprocess import ConversionReport, PreprocessOptions

MAX_LISTED = 8


def define_flags(values: flags.FlagValues) -> None:
    _define_outputs(values)
    _define_limits(values)
    define_config(values, "Name of the config to count training windows for.")
    define_layout(values)
    flags.DEFINE_bool("json", False, "Print the report as JSON.", flag_values=values)


def _define_outputs(values: flags.FlagValues) -> None:
    flags.DEFINE_integer(
        "workers",
        None,
        "Processes at work; as many as there are cores by default. The output is the same.",
        lower_bound=1,
        flag_values=values,
    )
    flags.DEFINE_integer(
        "shards", None, "Write this many files, 1 to 256.", 1, 256, flag_values=values
    )
    flags.DEFINE_string(
        "split",
        None,
        "Take only the files that DIR/info.csv, in the columns of the Groove MIDI Dataset, lists "
        "in this split: train, validation or test.",
        flag_values=values,
    )
    flags.DEFINE_bool(
        "splits",
        False,
        "Write each split of DIR/info.csv to a file of its own.",
        flag_values=values,
    )


def _define_limits(values: flags.FlagValues) -> None:
    for name, default, text in (
        ("max_file_mb", 10.0, "Skip files over this many megabytes; .mxl may unpack to ten times."),
        ("max_minutes", 180.0, "Skip music over this many minutes."),
        ("timeout", 300.0, "Skip files that take a core over this many seconds."),
    ):
        flags.DEFINE_float(name, default, text, flag_values=values)
    flags.DEFINE_integer(
        "max_notes", 200_000, "Skip music of over this many notes.", flag_values=values
    )


def run(values: Any, positional: list[str]) -> None:
    root_dir, output_file = need_arguments(positional, "DIR", "OUT.tfrecord")
    if values.split and values.splits:
        raise UsageError("--split takes one split and --splits all of them; give one of the two")
    from groovae.data.preprocess import convert_directory, convert_splits

    options = _options(values)
    with tqdm(unit="file", disable=None, leave=False) as bar:

        def progress(done: int, total: int) -> None:
            bar.total = total
            bar.update(done - bar.n)

        reports = (
            list(convert_splits(root_dir, output_file, progress, options).values())
            if values.splits
            else [convert_directory(root_dir, output_file, progress, options)]
        )
    _tell(reports)
    if values.json:
        both = {str(report.split): report.as_dict() for report in reports}
        print_json(both if values.splits else reports[0].as_dict())


def _options(values: Any) -> "PreprocessOptions":
    from groovae.config import config_map
    from groovae.data.conversion import Limits
    from groovae.data.preprocess import PreprocessOptions

    # Records hold every note, so a pitch without a drum class is counted here, never an error.
    policy = "drop" if values.unmapped_pitches == "error" else values.unmapped_pitches
    return PreprocessOptions(
        workers=values.workers,
        shards=values.shards,
        split=values.split,
        limits=Limits(values.max_file_mb, values.max_minutes, values.max_notes),
        timeout_seconds=values.timeout,
        layout=config_map.layout(values.config, values.hop_bars, policy, values.all_notes),
        config=values.config,
    )


def _tell(reports: "list[ConversionReport]") -> None:
    _tell_losses(reports)
    for report in reports:
        shards = f" in {len(report.outputs):,} shards" if report.outputs != [report.output] else ""
        log(
            f"wrote {report.records:,} records from {report.converted:,} of {report.files:,} files "
            f"to {report.output}{shards}"
        )
        if report.windows:
            log(textwrap.indent(report.windows.summary(f"for {report.windows_of['config']}"), "  "))
        log(f"  the report is {report.path}")


def _tell_losses(reports: "list[ConversionReport]") -> None:
    """What was skipped, by reason. What the reports have in common is told once."""
    skips = {tuple(skip.values()): skip for report in reports for skip in report.skipped}
    by_reason: dict[str, list[dict[str, str]]] = {}
    for skip in skips.values():
        by_reason.setdefault(skip["reason"], []).append(skip)
    for reason, those in sorted(by_reason.items(), key=lambda item: -len(item[1])):
        first = those[0]
        log(f"skipped {len(those):,}: {reason}, such as {first['file']} ({first['detail']})")
    warnings: collections.Counter[str] = collections.Counter()
    for report in reports:
        warnings += report.warnings
    for text, count in warnings.items():
        log(f"warning of {count:,} files: {text}")
    duplicates = {name: same for report in reports for name, same in report.duplicates.items()}
    if duplicates:
        name, same = next(iter(duplicates.items()))
        log(f"read once: {len(duplicates):,} further names of files, such as {name} of {same}")
    if reports[0].other_files:
        log(f"not music: {format_counts(reports[0].other_files, MAX_LISTED)}")
    if len(reports) == 1 and reports[0].other_splits:
        log(f"of other splits: {format_counts(reports[0].other_splits, MAX_LISTED)}")
