"""Convert one music file to NoteSequences, as Magenta's converters do, within limits.

MIDI is read by groovae/music, without TensorFlow: as Magenta reads it, or completely, as a DAW
shows it. MusicXML and ABC are read by Magenta.

`convert_file` does not raise for a damaged file but returns the reason. It runs in worker processes
(see groovae/system/workers.py), so a file that crashes or hangs the parser is skipped and reported.
"""

import contextlib
import copy
import dataclasses
import hashlib
import os
import warnings
import zipfile
import zlib
from typing import Any

from groovae.config.layout import Layout
from groovae.data.grid import count_windows
from groovae.data.music_files import KINDS, printable, suffix_of
from groovae.data.window_report import WindowReport
from groovae.errors import GroovaeError, UsageError, check_number
from groovae.music.drum_tracks import check_choice
from groovae.music.midi_complete import read_complete
from groovae.music.midi_magenta import read_mido_events, to_sequence
from groovae.music.midi_reader import DRUM_CHANNEL, METER, TEMPO, BrokenMidi, MidiFile
from groovae.music.note_sequence import NoteSequence
from groovae.music.tempo import meter_of
from groovae.system.log import Log, no_log
from groovae.system.regular_files import read_regular

MIDI_READERS = ("magenta", "complete")
PERCUSSION_IN_XML = "percussion in MusicXML is not supported; export the score as MIDI"

MXL_COMPRESSION = 10  # XML compresses to a tenth and less.
MAX_BYTES = 1 << 30  # of a file that grows after its size was checked
CHUNK_BYTES = 1 << 16


# What zipfile raises for broken or encrypted archives.
BROKEN_ZIP = (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError)


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
            check_number(name, value, 0)
            if not value:
                raise UsageError(f"{name} must be over 0, got {value:g}")


class TooMuch(Exception):
    """A file exceeds a limit."""

    def __init__(self, reason: str, detail: str):
        super().__init__(reason, detail)
        self.reason, self.detail = reason, detail


@dataclasses.dataclass(frozen=True)
class MidiOptions:
    """How to read MIDI.

    Attributes:
      reader: `magenta`: the records of Magenta, byte for byte; `complete`: every hit, and tempo and
        meter from any track.
      drums: Which notes are drums; see `drum_tracks.choose_drums`. `magenta` takes channel 10.
    """

    reader: str = "magenta"
    drums: str = "auto"

    def __post_init__(self) -> None:
        if self.reader not in MIDI_READERS:
            raise UsageError(f"midi_reader must be magenta or complete, got {self.reader!r}")
        if self.reader == "magenta" and self.drums != "auto":
            raise UsageError("--drums needs --midi_reader=complete")
        check_choice(self.drums)


@dataclasses.dataclass
class Converted:
    """The result of converting one file.

    Attributes:
      records: Serialized NoteSequences; an ABC file may hold several tunes.
      skipped: (reason, detail) of the file, or of each tune, without a record.
      warnings: Warnings of the parsers.
      windows: Window counts of all records, if a layout was given.
      complete_keeps: What `complete` would keep of the file and `magenta` loses: `hits`, a number,
        and whether it would find a `tempo` or `meter`.
    """

    records: list[bytes] = dataclasses.field(default_factory=list)
    skipped: list[tuple[str, str]] = dataclasses.field(default_factory=list)
    warnings: set[str] = dataclasses.field(default_factory=set)
    windows: WindowReport = dataclasses.field(default_factory=WindowReport)
    complete_keeps: dict[str, int] = dataclasses.field(default_factory=dict)


def convert_file(
    root: str,
    file: str,
    limits: Limits,
    layout: Layout | None,
    midi: MidiOptions = MidiOptions(),
) -> Converted:
    """Convert one file to serialized NoteSequences.

    Args:
      root: The input folder; its name becomes the records' `collection_name`.
      file: The path relative to `root`; it becomes the records' `filename`.
      limits: Limits of the file.
      layout: How windows are cut, to count them; None counts none.
      midi: How to read MIDI.

    Raises:
      GroovaeError: the file is MusicXML or ABC, and Magenta, which reads it, is not installed.
    """
    result = Converted()
    kind = KINDS[suffix_of(file) or ""]
    try:
        _check_file(os.path.join(root, file), limits)
        with warnings.catch_warnings(record=True) as warned:
            if kind == "MIDI":
                sequences, reasons = [_convert_midi(root, file, midi, result)], list[str]()
            else:
                sequences, reasons = _convert_score(kind, root, file)
    except MemoryError:
        raise  # The worker pool reports it.
    except TooMuch as error:
        result.skipped.append((error.reason, error.detail))
    except OSError as error:
        result.skipped.append(("unreadable file", error.strerror or str(error)))
    except BrokenMidi as error:
        result.skipped.append(("broken MIDI", str(error)))
    except GroovaeError as error:
        result.skipped.append((f"unsupported {kind}", str(error)))
    except Exception as error:  # The parsers of scores raise errors of any type.
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
    drums: str = "auto",
) -> Any:
    """Read one MIDI, MusicXML or ABC file; MIDI completely, as a DAW shows it.

    Args:
      path: The file.
      limits: Limits of the file.
      log: Gets a line on what is wrong with the file, and one if drums are not on channel 10.
      drums: Which notes of a MIDI file are drums; see `drum_tracks.choose_drums`.

    Returns:
      A NoteSequence whose `filename` is `path`. That of a MIDI file lasts to the end of its
      longest track.

    Raises:
      GroovaeError: there is no such file, it cannot be read, or it holds several tunes.
      UsageError: `drums` is not valid.
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
    converted = convert_file(folder, file, limits, None, MidiOptions("complete", drums))
    for reason, detail in converted.skipped:
        raise GroovaeError(f"{name}: {reason} ({detail})")
    if len(converted.records) > 1:
        raise GroovaeError(f"{name}: {len(converted.records)} tunes in it; pass a file with one")
    for line in sorted(converted.warnings):
        log(f"{name}: {line}")
    sequence = NoteSequence.FromString(converted.records[0])
    sequence.filename = name
    return sequence


def _check_file(path: str, limits: Limits) -> None:
    """Raise TooMuch if a file is too large to be opened."""
    size = os.stat(path).st_size
    if not os.path.isfile(path):
        raise OSError("not a regular file")
    _check_size(size, "", limits.max_file_mb)
    if suffix_of(path) == ".mxl" and zipfile.is_zipfile(path):
        with contextlib.suppress(*BROKEN_ZIP), zipfile.ZipFile(path) as archive:
            _check_unpacked(archive, limits.max_file_mb * MXL_COMPRESSION)


def _check_unpacked(archive: zipfile.ZipFile, max_mb: float) -> None:
    """Raise TooMuch if an archive unpacks to more, whatever sizes its directory claims."""
    unpacked = 0
    for member in archive.infolist():
        if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise TooMuch("unsupported compression", "an .mxl file is compressed by deflate")
        whole = copy.copy(member)
        whole.file_size, whole.CRC = int(max_mb * 1e6) + 1, None  # type: ignore[assignment]  # not checked
        with archive.open(whole) as file:
            while chunk := file.read(CHUNK_BYTES):
                unpacked += len(chunk)
                if unpacked > max_mb * 1e6:
                    raise TooMuch("too large", f"over {max_mb:,g} MB unpacked")


def _check_size(size: int, what: str, max_mb: float) -> None:
    if size > max_mb * 1e6:
        raise TooMuch("too large", f"{size / 1e6:,.1f} MB{what}, over {max_mb:,g} MB")


def _convert_score(kind: str, root: str, file: str) -> tuple[list[Any], list[str]]:
    """Read a MusicXML or ABC file; return its sequences, and why tunes were skipped."""
    if kind == "MusicXML" and _has_percussion(os.path.join(root, file)):
        raise GroovaeError(PERCUSSION_IN_XML)
    try:
        from groovae.data import musicxml_abc
    except GroovaeError as error:
        raise GroovaeError(f"cannot read {kind}, only MIDI: {error}") from error
    return musicxml_abc.convert(kind, root, file)


def _has_percussion(path: str) -> bool:
    """Return whether a score has notes without a pitch, which note_seq cannot read."""
    if not zipfile.is_zipfile(path):
        return b"<unpitched" in read_regular(path, MAX_BYTES)
    with contextlib.suppress(*BROKEN_ZIP), zipfile.ZipFile(path) as archive:
        names = (name for name in archive.namelist() if name.endswith("xml"))
        return any(b"<unpitched" in archive.read(name) for name in names)
    return False


def _convert_midi(root: str, file: str, midi: MidiOptions, result: Converted) -> Any:
    """Read a MIDI file, and set the names that Magenta's `convert_midi` sets."""
    data = read_regular(os.path.join(root, file), MAX_BYTES)
    if midi.reader == "complete":
        sequence, lines = read_complete(data, midi.drums)
        result.warnings.update(lines)
    else:
        sequence = _read_as_magenta(data, result)
    sequence.filename = printable(file)
    sequence.collection_name = os.path.basename(printable(root))
    name = hashlib.sha1(sequence.filename.encode("utf-8")).hexdigest()
    sequence.id = f"/id/midi/{sequence.collection_name}/{name}"
    return sequence


def _read_as_magenta(data: bytes, result: Converted) -> Any:
    """Read MIDI as Magenta does, and count what that loses."""
    try:
        events = read_mido_events(data)
        sequence = to_sequence(events)
    except BrokenMidi:
        with contextlib.suppress(BrokenMidi):
            result.complete_keeps = _compare_to_complete(data, None)
        raise
    hits = sum(track.count_notes(DRUM_CHANNEL) for track in events.tracks)
    if not hits or _may_lose_tracks(data, events):
        result.complete_keeps = _compare_to_complete(data, sequence)
    else:
        result.complete_keeps = _counts(hits - _num_drums(sequence), False, False)
    return sequence


def _may_lose_tracks(data: bytes, events: MidiFile) -> bool:
    """Return whether the two readings may differ in more than notes without a length."""
    has_marks = any(
        meta.kind in (TEMPO, METER) for track in events.tracks[1:] for meta in track.metas
    )
    return has_marks or data.count(b"MTrk") > len(events.tracks)


def _compare_to_complete(data: bytes, sequence: Any) -> dict[str, int]:
    """Return what `read_complete` finds beyond a sequence as Magenta reads it, or None."""
    complete, _ = read_complete(data)
    if sequence is None:
        return _counts(_num_drums(complete), False, False)
    return _counts(
        _num_drums(complete) - _num_drums(sequence),
        [mark.qpm for mark in complete.tempos] != [mark.qpm for mark in sequence.tempos],
        meter_of(complete) != meter_of(sequence),
    )


def _counts(hits: int, tempo: bool, meter: bool) -> dict[str, int]:
    counts = {"hits": max(0, hits), "tempo": int(tempo), "meter": int(meter)}
    return counts if any(counts.values()) else {}


def _num_drums(sequence: Any) -> int:
    return sum(note.is_drum for note in sequence.notes)


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
