"""Convert one music file to NoteSequences, as Magenta's converters do, within limits.

MIDI is read by groovae/music/midi_reader.py, without TensorFlow; MusicXML and ABC by Magenta.

`convert_file` does not raise for a damaged file but returns the reason. It runs in worker processes
(see groovae/system/workers.py), so a file that crashes or hangs the parser is skipped and reported.
"""

import contextlib
import dataclasses
import functools
import hashlib
import os
import re
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import mido

from groovae.config.layout import Layout
from groovae.data.grid import count_windows
from groovae.data.music_files import KINDS, printable, suffix_of
from groovae.data.window_report import WindowReport
from groovae.errors import GroovaeError, UsageError
from groovae.music.midi_reader import BrokenMidi, TooMuch, read_midi
from groovae.music.note_sequence import NoteSequence
from groovae.music.tempo import tempo_of
from groovae.system.log import Log, no_log

# Root and file -> NoteSequences, and why tunes were skipped.
Convert = Callable[[str, str], tuple[list[Any], list[str]]]

MXL_COMPRESSION = 10  # XML compresses to a tenth and less.


@dataclasses.dataclass(frozen=True)
class Limits:
    """Limits of a file; one that exceeds them is skipped.

    Attributes:
      max_file_mb: Size in megabytes (10^6 bytes); an .mxl may unpack to ten times as much.
      max_minutes: Duration, to the end of the last note.
      max_notes: Number of notes.
    """

    max_file_mb: float = 10.0
    max_minutes: float = 180.0
    max_notes: int = 200_000

    def __post_init__(self) -> None:
        for name, value in dataclasses.asdict(self).items():
            if not value > 0:
                raise UsageError(f"{name} must be over 0, got {value:g}")


@dataclasses.dataclass
class Converted:
    """The result of converting one file.

    Attributes:
      records: Serialized NoteSequences; an ABC file may hold several tunes.
      skipped: (reason, detail) of the file, or of each tune, without a record.
      warnings: Warnings of the parsers.
      windows: Window counts of all records, if a layout was given.
    """

    records: list[bytes] = dataclasses.field(default_factory=list)
    skipped: list[tuple[str, str]] = dataclasses.field(default_factory=list)
    warnings: set[str] = dataclasses.field(default_factory=set)
    windows: WindowReport = dataclasses.field(default_factory=WindowReport)


def convert_file(root: str, file: str, limits: Limits, layout: Layout | None) -> Converted:
    """Convert one file to serialized NoteSequences.

    Args:
      root: The input folder; its name becomes the records' `collection_name`.
      file: The path relative to `root`; it becomes the records' `filename`.
      limits: Limits of the file.
      layout: How windows are cut, to count them; None counts none.

    Raises:
      GroovaeError: the file is MusicXML or ABC, and Magenta, which reads it, is not installed.
    """
    result = Converted()
    kind = KINDS[suffix_of(file) or ""]
    convert = _converter_of(kind)
    try:
        _check_file(os.path.join(root, file), limits)
        with warnings.catch_warnings(record=True) as warned:
            sequences, reasons = convert(root, file)
    except MemoryError:
        raise  # The worker pool reports it.
    except TooMuch as error:
        result.skipped.append((error.reason, error.detail))
    except OSError as error:
        result.skipped.append(("unreadable file", error.strerror or str(error)))
    except BrokenMidi as error:
        result.skipped.append(("broken MIDI", str(error)))
    except Exception as error:  # The parsers raise errors of any type.
        result.skipped.append((f"broken {kind}", f"{type(error).__name__}: {error}"))
    else:
        if not sequences and not reasons:
            reasons.append("no tune in it")
        result.skipped += [(f"broken {kind}", reason) for reason in reasons]
        result.warnings.update(str(warning.message) for warning in warned)
        for sequence in sequences:
            _add_record(sequence, limits, layout, result)
    return result


def read_sequence(
    path: str | os.PathLike[str],
    limits: Limits = Limits(),
    log: Log = no_log,
) -> Any:
    """Read one MIDI, MusicXML or ABC file, as `groovae preprocess` does.

    Args:
      path: The file.
      limits: Limits of the file.
      log: Gets a line if notes are left out.

    Returns:
      A NoteSequence whose `filename` is `path`. That of a MIDI file lasts to the end of its
      longest track.

    Raises:
      GroovaeError: there is no such file, it cannot be read, or it holds several tunes.
    """
    name = printable(os.fspath(path))
    folder, file = os.path.split(os.path.abspath(os.path.expanduser(os.fspath(path))))
    real = os.path.join(folder, file)
    if os.path.isdir(real):
        raise GroovaeError(f"{name}: this is a folder; name a file in it")
    if not os.path.isfile(real):
        raise GroovaeError(f"{name}: there is no such file")
    if suffix_of(file) is None:
        raise GroovaeError(f"{name}: not music by its suffix; groovae reads {', '.join(KINDS)}")
    with contextlib.suppress(OSError), open(real, "rb") as header:
        if header.read(4) == b"MThd" and header.read(10)[8:9] >= b"\x80":
            raise GroovaeError(
                f"{name}: its times are SMPTE frames; write it with ticks per quarter note"
            )
    converted = convert_file(folder, file, limits, None)
    for reason, detail in converted.skipped:
        raise GroovaeError(f"{name}: {reason} ({_without_python(detail)})")
    if len(converted.records) > 1:
        raise GroovaeError(f"{name}: {len(converted.records)} tunes in it; pass a file with one")
    sequence = NoteSequence.FromString(converted.records[0])
    sequence.filename = name
    if KINDS[suffix_of(file) or ""] == "MIDI":
        _extend_to_track_end(real, sequence, log)
    return sequence


def _extend_to_track_end(path: str, sequence: Any, log: Log) -> None:
    """Set `total_time` to the end of the longest track; log notes that note_seq leaves out."""
    midi = mido.MidiFile(path)
    ticks = max((sum(event.time for event in track) for track in midi.tracks), default=0)
    end_seconds = ticks / midi.ticks_per_beat * 60 / tempo_of(sequence)
    sequence.total_time = max(sequence.total_time, end_seconds)
    events = (event for track in midi.tracks for event in track)
    hits = sum(event.type == "note_on" and event.velocity > 0 for event in events)
    if lost := hits - len(sequence.notes):
        log(f"{sequence.filename}: {lost:,} of {hits:,} notes left out: they have no length or end")


def _without_python(detail: str) -> str:
    """Return the error of a MIDI parser without the name of its Python class."""
    match = re.fullmatch(r"Midi decoding error <class '(\w+)'>: (.*)", detail, re.DOTALL)
    if not match:
        return detail
    return "the file ends too early" if match[1] == "EOFError" else match[2] or match[1]


def _check_file(path: str, limits: Limits) -> None:
    size = os.stat(path).st_size
    if not os.path.isfile(path):
        raise OSError("not a regular file")
    _check_size(size, "", limits.max_file_mb)
    if suffix_of(path) == ".mxl" and zipfile.is_zipfile(path):
        with contextlib.suppress(zipfile.BadZipFile), zipfile.ZipFile(path) as archive:
            unpacked = sum(member.file_size for member in archive.infolist())
            _check_size(unpacked, " unpacked", limits.max_file_mb * MXL_COMPRESSION)


def _check_size(size: int, what: str, max_mb: float) -> None:
    if size > max_mb * 1e6:
        raise TooMuch("too large", f"{size / 1e6:,.1f} MB{what}, over {max_mb:,g} MB")


def _converter_of(kind: str) -> Convert:
    """Return the function that reads a kind of file, if its packages are installed."""
    if kind == "MIDI":
        return _convert_midi
    try:
        from groovae.data import musicxml_abc
    except GroovaeError as error:
        raise GroovaeError(f"cannot read {kind}, only MIDI: {error}") from error
    return functools.partial(musicxml_abc.convert, kind)


def _convert_midi(root: str, file: str) -> tuple[list[Any], list[str]]:
    """Read a MIDI file, and set the names that Magenta's `convert_midi` sets."""
    sequence = read_midi(Path(root, file).read_bytes())
    sequence.filename = printable(file)
    sequence.collection_name = os.path.basename(printable(root))
    name = hashlib.sha1(sequence.filename.encode("utf-8")).hexdigest()
    sequence.id = f"/id/midi/{sequence.collection_name}/{name}"
    return [sequence], []


def _add_record(sequence: Any, limits: Limits, layout: Layout | None, result: Converted) -> None:
    """Add a sequence to the result if it is within limits, and count its windows."""
    minutes, notes = sequence.total_time / 60, len(sequence.notes)
    if minutes > limits.max_minutes:
        detail = f"{minutes:,.0f} minutes, over {limits.max_minutes:,g} minutes"
        result.skipped.append(("too long", detail))
    elif notes > limits.max_notes:
        detail = f"{notes:,} notes, over {limits.max_notes:,} notes"
        result.skipped.append(("too many notes", detail))
    else:
        result.records.append(sequence.SerializeToString())
        if layout:
            result.windows.add(count_windows(sequence, layout))
