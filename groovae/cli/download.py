"""groovae download: fetch the Groove MIDI Dataset and check it.

Usage: groovae download [--flags]

Fetches the MIDI of the Groove MIDI Dataset v1.0.0 (3.3 MB, 13.6 hours of drums by Google LLC,
CC BY 4.0), checks its size and SHA-256, and unpacks it. Nothing is left behind if that fails.

Examples:
  groovae download
  groovae download --dest=../groove
  groovae download --url=file:///tmp/groove-v1.0.0-midionly.zip"""

import dataclasses
import shlex
from typing import Any

from absl import flags
from tqdm import tqdm

from groovae.cli import need_arguments, say


def define_flags(values: flags.FlagValues) -> None:
    flags.DEFINE_string("dest", "data_dir/groove", "The folder to make.", flag_values=values)
    flags.DEFINE_string(
        "url", None, "Another address of the same file, such as a mirror.", flag_values=values
    )


def run(values: Any, positional: list[str]) -> None:
    need_arguments(positional)
    from groovae.dataset import GROOVE, download

    archive = dataclasses.replace(GROOVE, url=values.url or GROOVE.url)
    say(f"fetching {archive.url}")
    with tqdm(total=archive.size, unit="B", unit_scale=True, disable=None, leave=False) as bar:
        dest = download(values.dest, archive, lambda done_bytes: bar.update(done_bytes - bar.n))
    folder = shlex.quote(str(dest))
    say(f"the dataset is in {dest}; now: groovae preprocess {folder} data_dir/music.tfrecord")
    print(dest)
