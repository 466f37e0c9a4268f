"""groovae info: what a Groove MIDI Dataset folder holds.

Usage: groovae info DIR [--json]

Reads DIR/info.csv and shows files, hours and tempo by split, style and meter, and whether each
file of the list is there.

Examples:
  groovae info data_dir/groove
  groovae info ../groove --json"""

import json
import sys
from typing import Any

from absl import flags

from groovae.cli import need_arguments


def define_flags(values: flags.FlagValues) -> None:
    flags.DEFINE_bool("json", False, "Print JSON.", flag_values=values)


def run(values: Any, positional: list[str]) -> None:
    (directory,) = need_arguments(positional, "DIR")
    from groovae.dataset import read_info, summarize

    summary = summarize(read_info(directory))
    if values.json:
        json.dump(summary, sys.stdout, indent=2)
        print()
        return
    tempo = summary["tempo_bpm"]
    print(
        f"{directory}: {summary['files']:,} files, {summary['hours']:.1f} hours, "
        f"{summary['drummers']} drummers, {tempo['min']:.0f} to {tempo['max']:.0f} bpm "
        f"(median {tempo['median']:.0f})"
    )
    if summary["missing_files"]:
        print(f"{summary['missing_files']:,} of the files listed in info.csv are not there")
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
