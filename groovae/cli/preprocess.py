"""groovae preprocess: a folder of MIDI files to a TFRecord of NoteSequences.

Usage: groovae preprocess DIR OUT.tfrecord [--flags]

Reads .mid, .midi, .xml, .mxl and .abc files in DIR and all folders below it, and writes the same
records as Magenta's convert_dir_to_note_sequences, in sorted path order. A file that cannot be
read is skipped and reported; OUT.tfrecord.report.json says what became of each. OUT is replaced
only when all is written.

Examples:
  groovae preprocess ../groove data_dir/music.tfrecord
  groovae preprocess ~/midi/drums drums.tfrecord --json"""

import json
import sys
from typing import Any

from absl import flags
from tqdm import tqdm

from groovae.cli import need_arguments, say


def define_flags(values: flags.FlagValues) -> None:
    flags.DEFINE_bool("json", False, "Print the report as JSON.", flag_values=values)


def run(values: Any, positional: list[str]) -> None:
    root_dir, output_file = need_arguments(positional, "DIR", "OUT.tfrecord")
    from groovae.preprocess import convert_directory

    with tqdm(unit="file", disable=None, leave=False) as bar:

        def progress(done: int, total: int) -> None:
            bar.total = total
            bar.update(done - bar.n)

        report = convert_directory(root_dir, output_file, progress)
    for reason, count in report.as_dict()["skipped_by_reason"].items():
        first = next(skip for skip in report.skipped if skip["reason"] == reason)
        say(f"skipped {count:,}: {reason}, such as {first['file']} ({first['detail']})")
    if report.other_files:
        others = ", ".join(f"{count:,} {suffix}" for suffix, count in report.other_files.items())
        say(f"not music: {others}")
    say(
        f"wrote {report.records:,} records from {report.converted:,} of {report.files:,} files to "
        f"{output_file}; the report is {output_file}.report.json"
    )
    if values.json:
        json.dump(report.as_dict(), sys.stdout, indent=2)
        print()
