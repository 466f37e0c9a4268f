"""groovae preprocess: convert a folder of MIDI files to a TFRecord of NoteSequences.

Usage: groovae preprocess DIR OUT.tfrecord [--flags]

Reads the .mid, .midi, .xml, .mxl and .abc files in DIR and all folders below it, in parallel, and
writes the same records as Magenta's convert_dir_to_note_sequences, in sorted path order. A file
that is broken or exceeds a limit is skipped and reported; of several links to a file one is read.
OUT.tfrecord.report.json lists what was converted and skipped, and how many training windows
--config gets from the records. All outputs of a run are replaced together at its end.

--midi_reader=magenta loses hits without a length, and tempo and meter that are not in the first
track; the report counts them by file. --midi_reader=complete keeps them.

Examples:
  groovae preprocess ../groove data_dir/music.tfrecord
  groovae preprocess ../groove data_dir/music.tfrecord --splits
  groovae preprocess ../groove data_dir/train.tfrecord --split=train --hop_bars=1
  groovae preprocess ~/midi/drums drums.tfrecord --midi_reader=complete --tempo_changes=follow
  groovae preprocess ~/midi/drums drums.tfrecord --shards=8 --max_minutes=20 --json

--splits writes music-train.tfrecord, music-validation.tfrecord and music-test.tfrecord, each with a
report. Records hold all notes, so --unmapped_pitches=error takes effect in training; here such
notes are counted. --shards=8 writes drums.tfrecord-00000-of-00008 to -00007-of-00008, which other
commands read as 'drums.tfrecord-*'."""

import collections
import textwrap
from typing import TYPE_CHECKING, Any

from absl import flags

from groovae.cli.flags import (
    check_arguments,
    define_config,
    define_drums,
    define_layout,
    define_meter,
    layout_options,
)
from groovae.cli.output import log, print_json
from groovae.data.window_report import format_counts
from groovae.errors import UsageError

if TYPE_CHECKING:
    from groovae.data.preprocess import ConversionReport, PreprocessOptions
from groovae.system.progress import progress_bar

MAX_LISTED = 8


def define_flags(values: flags.FlagValues) -> None:
    _define_outputs(values)
    flags.DEFINE_enum(
        "midi_reader",
        "magenta",
        ["magenta", "complete"],
        "magenta: the records of Magenta, byte for byte; complete: every hit, and tempo and meter "
        "from any track.",
        values,
    )
    define_drums(values)
    _define_limits(values)
    define_config(values, "Config to count training windows for")
    define_layout(values)
    define_meter(values)
    flags.DEFINE_bool("json", False, "Print the report as JSON.", values)


def _define_outputs(values: flags.FlagValues) -> None:
    flags.DEFINE_integer(
        "workers",
        None,
        "Worker processes, by default one for each core. The output does not depend on it.",
        1,
        flag_values=values,
    )
    flags.DEFINE_integer(
        "shards", None, "Number of files to write, 1 to 256.", 1, 256, flag_values=values
    )
    flags.DEFINE_string(
        "split",
        None,
        "Convert only the files of one split in DIR/info.csv, which has the columns of the Groove "
        "MIDI Dataset: train, validation or test.",
        values,
    )
    flags.DEFINE_bool("splits", False, "Write one file for each split in DIR/info.csv.", values)


def _define_limits(values: flags.FlagValues) -> None:
    for name, default, text in (
        ("max_file_mb", 10.0, "Skip files larger than this in MB; an .mxl may unpack to 10 times."),
        ("max_minutes", 180.0, "Skip music longer than this in minutes."),
        ("timeout", 300.0, "Skip files that take longer than this in seconds of CPU time."),
    ):
        flags.DEFINE_float(name, default, text, flag_values=values)
    flags.DEFINE_integer(
        "max_notes", 200_000, "Skip music with more notes than this.", flag_values=values
    )


def run(values: Any, positional: list[str]) -> None:
    root_dir, output_file = check_arguments(positional, "DIR", "OUT.tfrecord")
    if values.split and values.splits:
        raise UsageError("--split and --splits are mutually exclusive")
    from groovae.data.preprocess import convert_directory, convert_splits

    options = _options(values)
    with progress_bar(unit="file", leave=False) as bar:

        def progress(done: int, total: int) -> None:
            bar.total = total
            bar.update(done - bar.n)

        reports = (
            list(convert_splits(root_dir, output_file, progress, options).values())
            if values.splits
            else [convert_directory(root_dir, output_file, progress, options)]
        )
    _log_losses(reports)
    for report in reports:
        _log_outputs(report)
    if values.json:
        by_split = {str(report.split): report.as_dict() for report in reports}
        print_json(by_split if values.splits else reports[0].as_dict())


def _options(values: Any) -> "PreprocessOptions":
    from groovae.config.layout import layout_of
    from groovae.data.conversion import Limits, MidiOptions
    from groovae.data.preprocess import PreprocessOptions

    options = layout_options(values)
    if options["unmapped_pitches"] == "error":
        options["unmapped_pitches"] = "drop"  # records hold all notes, so they are only counted
    return PreprocessOptions(
        workers=values.workers,
        shards=values.shards,
        split=values.split,
        limits=Limits(values.max_file_mb, values.max_minutes, values.max_notes),
        timeout_seconds=values.timeout,
        layout=layout_of(values.config, meter=values.meter, **options),
        config=values.config,
        midi=MidiOptions(values.midi_reader, values.drums),
    )


def _log_outputs(report: "ConversionReport") -> None:
    shards = f" in {len(report.outputs):,} shards" if report.outputs != [report.output] else ""
    log(
        f"wrote {report.records:,} records from {report.converted:,} of {report.files:,} files "
        f"to {report.output}{shards}"
    )
    if report.windows:
        log(textwrap.indent(report.windows.summary(f"for {report.windows_of['config']}"), "  "))
    log(f"  report: {report.path}")


def _log_lost_hits(keeps: list[dict[str, int]]) -> None:
    """Log what --midi_reader=complete would keep."""
    found = []
    if hits := sum(counts["hits"] for counts in keeps):
        files = sum(counts["hits"] > 0 for counts in keeps)
        found.append(f"{hits:,} more drum hits in {files:,} files")
    for name in ("tempo", "meter"):
        if files := sum(counts[name] for counts in keeps):
            found.append(f"the {name} of {files:,} files")
    if found:
        log(f"--midi_reader=complete would keep {', '.join(found)}")


def _log_losses(reports: "list[ConversionReport]") -> None:
    """Log what was not converted and why, once for all splits."""
    skips = {tuple(skip.values()): skip for report in reports for skip in report.skipped}
    by_reason: dict[str, list[dict[str, str]]] = {}
    for skip in skips.values():
        by_reason.setdefault(skip["reason"], []).append(skip)
    for reason, group in sorted(by_reason.items(), key=lambda item: -len(item[1])):
        first = group[0]
        log(f"skipped {len(group):,}: {reason}, such as {first['file']} ({first['detail']})")
    warnings: collections.Counter[str] = collections.Counter()
    for report in reports:
        warnings += report.warnings
    for text, count in warnings.items():
        log(f"warning for {count:,} files: {text}")
    _log_lost_hits([keeps for report in reports for keeps in report.complete_keeps.values()])
    duplicates = {name: same for report in reports for name, same in report.duplicates.items()}
    if duplicates:
        name, same = next(iter(duplicates.items()))
        log(f"skipped duplicate links: {len(duplicates):,}, such as {name} to {same}")
    if reports[0].other_files:
        log(f"not music: {format_counts(reports[0].other_files, MAX_LISTED)}")
    if len(reports) == 1 and reports[0].other_splits:
        log(f"in other splits: {format_counts(reports[0].other_splits, MAX_LISTED)}")
