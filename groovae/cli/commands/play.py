"""groovae play: play the drums of music files on this machine.

Usage: groovae play FILE.mid [FILE_OR_DIR...] [--flags]

Renders the drums of each file with a soundfont and plays them one after another, until the end or
Ctrl-C; those of a folder in the order of their names. It uses winsound on Windows, afplay on macOS,
and pw-play, paplay, aplay or ffplay elsewhere. The commands that generate grooves do the same with
--play, and --wav writes the sound to a file instead.

Examples:
  groovae play drum_4bar.mid
  groovae play take.mid played/ --soundfont=kit.sf2
  groovae play kit.mid --drum_map=roland"""

import os
from typing import Any

from absl import flags

from groovae.cli.flags import check_files, define_drums
from groovae.cli.many_files import find_files
from groovae.cli.output import log
from groovae.data.music_files import printable
from groovae.errors import GroovaeError


def define_flags(values: flags.FlagValues) -> None:
    define_drums(values)
    flags.DEFINE_string(
        "drum_map",
        "gm",
        "Drum map of the files: gm, roland, or a JSON file; the drums are played by the General "
        "MIDI drums of the same classes.",
        values,
    )
    flags.DEFINE_string(
        "soundfont", None, "Soundfont (.sf2); by default a small General MIDI one.", values
    )


def run(values: Any, positional: list[str]) -> int:
    sources = [os.path.expanduser(source) for source in check_files(positional, "FILE.mid")]
    from groovae.music.drums import read_drum_map
    from groovae.music.sound import check_ready, play

    drum_map = read_drum_map(values.drum_map)
    check_ready(values.soundfont)
    files = [file for source in sources for file in find_files(source)]
    failed = False
    for file in files:
        try:
            drums = _read_drums(file, values.drums)
        except GroovaeError as error:
            if len(files) == 1:
                raise
            log(f"skipped: {error}")
            failed = True
            continue
        log(f"{printable(file)}: {len(drums.notes):,} hits, {drums.total_time:.1f} s")
        play(drums, drum_map, values.soundfont)
    return 1 if failed else 0


def _read_drums(file: str, drums: str) -> Any:
    """Read the drums of a music file as a NoteSequence; raise a GroovaeError if it has none."""
    from groovae.data.conversion import read_sequence

    groove = read_sequence(file, log=log, drums=drums)
    kept = [note for note in groove.notes if note.is_drum]
    del groove.notes[:]
    groove.notes.extend(kept)
    if not kept:
        raise GroovaeError(f"{printable(file)}: no drum notes; see --drums")
    return groove
