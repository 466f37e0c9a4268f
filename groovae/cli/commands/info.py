"""groovae info: summarize a Groove MIDI Dataset folder or a TFRecord of NoteSequences.

Usage: groovae info DIR [--json]
       groovae info FILE.tfrecord [--flags]

For a folder, reads DIR/info.csv and shows files, hours and tempo by split, style and meter, and how
many of the listed files are missing. For a TFRecord, or a quoted glob of them, shows how many
training windows the config gets from the records, what is lost and why.

Examples:
  groovae info data_dir/groove
  groovae info data_dir/music.tfrecord
  groovae info 'data_dir/music.tfrecord-*' --config=groovae_2bar_humanize --hop_bars=1 --json"""

import os
from typing import Any

from absl import flags

from groovae.cli.flags import check_arguments, define_config, define_layout
from groovae.cli.output import print_json


def define_flags(values: flags.FlagValues) -> None:
    define_config(values, "Config to count training windows for.")
    define_layout(values)
    flags.DEFINE_bool("json", False, "Print one JSON object.", values)


def run(values: Any, positional: list[str]) -> None:
    (path,) = check_arguments(positional, "DIR or FILE.tfrecord")
    if os.path.basename(path) == "info.csv":
        path = os.path.dirname(path) or "."
    full_path, name = os.path.expanduser(path), os.path.basename(path)
    # A missing path without a dot or a wildcard was meant to be a folder.
    is_named_like_a_file = any(mark in name for mark in ".*?[")
    is_file = os.path.isfile(full_path) or (is_named_like_a_file and not os.path.isdir(full_path))
    (_show_records if is_file else _show_folder)(path, values)


def _show_records(path: str, values: Any) -> None:
    from groovae.config import config_map
    from groovae.data import records
    from groovae.data.grid import count_windows
    from groovae.data.window_report import WindowReport

    layout = config_map.layout(
        values.config, values.hop_bars, values.unmapped_pitches, values.all_notes
    )
    examples, report = records.find(path), WindowReport()
    for counted in examples.map(lambda sequence: count_windows(sequence, layout)):
        report.add(counted)
    if not values.json:
        print(report.summary(path))
        return
    print_json(
        {
            "files": list(examples.files),
            "config": values.config,
            "layout": layout.report_fields(),
            "windows": report.as_dict(),
        }
    )


def _show_folder(folder: str, values: Any) -> None:
    from groovae.data.groove_midi_dataset import read_info, summarize

    summary = summarize(read_info(folder))
    if values.json:
        print_json(summary)
        return
    tempo = summary["tempo_bpm"]
    print(
        f"{folder}: {summary['files']:,} files, {summary['hours']:.1f} hours, "
        f"{summary['drummers']} drummers, {tempo['min']:.0f} to {tempo['max']:.0f} bpm "
        f"(median {tempo['median']:.0f})"
    )
    if summary["missing_files"]:
        print(f"{summary['missing_files']:,} of the files listed in info.csv are missing")
    for title in ("splits", "styles", "meters"):
        _print_table(title[:-1], summary[title])


def _print_table(title: str, table: dict[str, dict[str, Any]]) -> None:
    width = max(len(title), *map(len, table))
    print(f"\n{title:<{width}}  {'files':>6} {'hours':>6} {'beats':>6} {'fills':>6} {'bpm':>5}")
    for name, row in table.items():
        print(
            f"{name:<{width}}  {row['files']:>6,} {row['hours']:>6.2f} {row['beats']:>6,} "
            f"{row['fills']:>6,} {row['median_bpm']:>5.0f}"
        )
