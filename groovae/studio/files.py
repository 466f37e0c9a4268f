"""Grooves from and to files: MIDI both ways, and WAV."""

import os
from pathlib import Path
from typing import Any

from groovae.data.conversion import Limits, read_sequence
from groovae.errors import UsageError
from groovae.music import sound
from groovae.music.midi_complete import read_complete
from groovae.music.midi_reader import BrokenMidi
from groovae.music.midi_writer import write_sequence
from groovae.studio.grooves import TooLarge, to_json
from groovae.system.log import Log
from groovae.system.temporary import temporary_folder

MAX_MIDI_BYTES = 2_000_000  # which takes some seconds to read
MAX_WAV_MINUTES = 15.0


def open_midi(path: str | os.PathLike[str], log: Log) -> dict[str, Any]:
    """Return a music file as a groove in JSON, named like the file.

    Raises:
      GroovaeError: there is no such file, it cannot be read, or it exceeds the limits.
    """
    sequence = read_sequence(path, Limits(), log)
    for line in _left_out(sequence):
        log(f"{sequence.filename}: {line}")
    return to_json(sequence, Path(path).stem)


def read_midi(content: bytes, name: str) -> tuple[dict[str, Any], list[str]]:
    """Return the bytes of a MIDI file as a groove in JSON, and lines on what is wrong with it.

    Raises:
      UsageError: it is not MIDI, or exceeds the limits.
    """
    if len(content) > MAX_MIDI_BYTES:
        raise TooLarge(f"{name}: a MIDI file is at most {MAX_MIDI_BYTES:,} bytes here")
    try:
        sequence, lines = read_complete(content)
    except BrokenMidi as error:
        raise UsageError(f"{name}: {error}") from error
    return to_json(sequence, name), [*lines, *_left_out(sequence)]


def _left_out(sequence: Any) -> list[str]:
    """Return a line on the notes of other instruments beside drums, which `to_json` leaves out."""
    drums = sum(note.is_drum for note in sequence.notes)
    others = len(sequence.notes) - drums
    return [f"notes of other instruments are left out: {others:,}"] if drums and others else []


def to_midi(groove: Any) -> bytes:
    """Return a NoteSequence as a MIDI file."""
    with temporary_folder() as folder:
        path = Path(folder) / "groove.mid"
        write_sequence(path, groove)
        return path.read_bytes()


def to_wav(groove: Any, soundfont: str | None) -> bytes:
    """Return a NoteSequence as a WAV file.

    Raises:
      TooLarge: it is longer than MAX_WAV_MINUTES.
      GroovaeError: see `sound.render`.
    """
    minutes = groove.total_time / 60
    if minutes > MAX_WAV_MINUTES:
        raise TooLarge(f"sound takes at most {MAX_WAV_MINUTES:g} minutes, got {minutes:,.1f}")
    return sound.to_wav(groove, soundfont=soundfont)
