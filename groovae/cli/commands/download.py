"""groovae download: fetch the Groove MIDI Dataset or a checkpoint by Google.

Usage: groovae download [--flags]
       groovae download --checkpoint=NAME [--flags]

Downloads the MIDI files of the Groove MIDI Dataset v1.0.0 (3.3 MB, 13.6 hours of drums by Google
LLC, CC BY 4.0), verifies size and SHA-256, and unpacks them. A failed download leaves nothing
behind.

With --checkpoint, downloads one of five models trained by Google (about 61.5 MB), verifies its
SHA-256, and keeps it packed: each --checkpoint flag takes a .tar. A file that is already downloaded
and has the right checksum is kept.

Examples:
  groovae download
  groovae download --dest=../groove
  groovae download --url=file:///tmp/groove-v1.0.0-midionly.zip
  groovae download --checkpoint=groovae_4bar
  groovae download --checkpoint=groovae_2bar_humanize --dest=humanize.tar"""

import contextlib
import dataclasses
import shlex
from collections.abc import Iterator
from typing import Any

from absl import flags

from groovae.cli.flags import check_arguments
from groovae.cli.output import log, print_text
from groovae.config.layout import LAYOUTS
from groovae.config.pretrained import CHECKPOINTS, DEST
from groovae.config.tasks import play_command
from groovae.system.download import Progress
from groovae.system.progress import progress_bar

DATASET_DEST = "data_dir/groove"


def define_flags(values: flags.FlagValues) -> None:
    flags.DEFINE_enum(
        "checkpoint",
        None,
        list(CHECKPOINTS),
        "Checkpoint by Google to download instead of the dataset.",
        values,
    )
    flags.DEFINE_string(
        "dest",
        None,
        f"Folder to write, by default {DATASET_DEST}; with --checkpoint the file, by default "
        f"{DEST}/NAME.tar.",
        values,
    )
    flags.DEFINE_string("url", None, "URL of the same file elsewhere, such as a mirror.", values)


def run(values: Any, positional: list[str]) -> None:
    check_arguments(positional)
    if values.checkpoint:
        _download_checkpoint(values)
    else:
        _download_dataset(values)


def _download_dataset(values: Any) -> None:
    from groovae.data.groove_midi_dataset import GROOVE, download

    archive = dataclasses.replace(GROOVE, url=values.url or GROOVE.url)
    log(f"downloading {archive.url}")
    with _progress(archive.size) as progress:
        dest = download(values.dest or DATASET_DEST, archive, progress)
    folder = shlex.quote(str(dest))
    log(f"wrote the dataset to {dest}; next: groovae preprocess {folder} data_dir/music.tfrecord")
    print_text(str(dest))


def _download_checkpoint(values: Any) -> None:
    from groovae.config.pretrained import download

    with _progress(None) as progress:
        path = download(values.checkpoint, values.dest, values.url, progress, log)
    config = CHECKPOINTS[values.checkpoint].config
    log(f"the checkpoint is {path}; next: {play_command(LAYOUTS[config], str(path))}")
    print_text(str(path))


@contextlib.contextmanager
def _progress(total_bytes: int | None) -> Iterator[Progress]:
    """Show a progress bar on a terminal, unless all is done within half a second."""
    with progress_bar(total=total_bytes, unit="B", unit_scale=True, leave=False, delay=0.5) as bar:
        yield lambda done_bytes: bar.update(done_bytes - bar.n)
