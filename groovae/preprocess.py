"""A folder of MIDI, MusicXML and ABC files to a TFRecord of NoteSequences.

Each record is, byte for byte, what Magenta's `convert_directory(DIR, OUT, recursive=True)` writes
for that file; Magenta's own functions convert it. What differs is around it: records come in
sorted path order on every machine, a broken file costs only itself and is reported, a symlink loop
ends, and the output is replaced only by a complete new one.

    groovae preprocess ../groove data_dir/music.tfrecord
"""

import collections
import contextlib
import dataclasses
import logging
import os
from collections.abc import Callable, Iterator
from typing import Any

from groovae.errors import GroovaeError
from groovae.files import replacing, write_json
from groovae.upstream import converter_script, tf

# The suffixes that Magenta knows, whatever their case, and its converter for each.
CONVERTERS: dict[str, tuple[str, Callable[[str, str, str], Any]]] = {
    ".mid": ("MIDI", converter_script.convert_midi),
    ".midi": ("MIDI", converter_script.convert_midi),
    ".xml": ("MusicXML", converter_script.convert_musicxml),
    ".mxl": ("MusicXML", converter_script.convert_musicxml),
    ".abc": ("ABC", converter_script.convert_abc),
}


@dataclasses.dataclass
class Report:
    """What became of every file below the input folder.

    Attributes:
      input: The folder that was read.
      output: The TFRecord that was written.
      files: Music files found, by their suffix.
      other_files: How many files are not music by their suffix, by that suffix.
      converted: Music files that gave at least one record.
      records: Records written; an ABC file may hold several tunes.
      skipped: Each music file, or ABC tune, that gave no record, and why.
    """

    input: str
    output: str
    files: int = 0
    other_files: collections.Counter[str] = dataclasses.field(default_factory=collections.Counter)
    converted: int = 0
    records: int = 0
    skipped: list[dict[str, str]] = dataclasses.field(default_factory=list)

    def skip(self, file: str, reason: str, detail: str) -> None:
        self.skipped.append({"file": file, "reason": reason, "detail": detail})

    def as_dict(self) -> dict[str, Any]:
        """The report as `OUT.report.json` holds it, with the skips counted by reason."""
        values = dataclasses.asdict(self)
        values["other_files"] = dict(sorted(self.other_files.items()))
        values["skipped_by_reason"] = dict(
            collections.Counter(skip["reason"] for skip in self.skipped).most_common()
        )
        return values


def convert_directory(
    root_dir: str | os.PathLike[str],
    output_file: str | os.PathLike[str],
    progress: Callable[[int, int], None] | None = None,
) -> Report:
    """Converts every music file below a folder, and writes `OUTPUT.report.json` beside the records.

    Args:
      root_dir: The folder; its own name becomes the records' `collection_name`.
      output_file: The TFRecord to write or replace.
      progress: Called with the files done and the files in all, after each file.

    Raises:
      GroovaeError: there is no such folder, no file in it can be converted, or the output cannot
        be written. What was there before is still there.
    """
    # Magenta names the collection after the last part of the path as it was typed, which a
    # trailing slash makes empty; the same folder must give the same records.
    root = os.path.abspath(os.path.expanduser(root_dir))
    output = os.path.expanduser(output_file)
    report = Report(input=root, output=os.path.abspath(output))
    files = _find_music(root, report)
    with replacing(output) as temporary:
        _write_records(root, files, str(temporary), report, progress)
        if not report.records:
            raise GroovaeError(
                f"{root}: none of {len(files)} files could be converted: {_why(report)}"
            )
        write_json(f"{output}.report.json", report.as_dict())
    return report


def _find_music(root: str, report: Report) -> list[str]:
    """The music files below `root`, as sorted paths relative to it."""
    if os.path.isfile(root):
        raise GroovaeError(f"{root}: this is a file; name the folder that holds it")
    if not os.path.isdir(root):
        raise GroovaeError(
            f"{root}: there is no such folder; name the one that holds the MIDI files"
        )
    files = []
    for file in _walk(root, report):
        suffix = os.path.splitext(file)[1].lower()
        if suffix in CONVERTERS:
            files.append(os.path.relpath(file, root))
        else:
            report.other_files[_printable(suffix) or "no suffix"] += 1
    if not files:
        others = sum(report.other_files.values())
        raise GroovaeError(
            f"{root}: no music file below this folder ({others} other files, "
            f"{len(report.skipped)} unreadable folders); "
            f"groovae reads {', '.join(CONVERTERS)}"
        )
    report.files = len(files)
    return sorted(files)


def _walk(root: str, report: Report) -> Iterator[str]:
    """Every file below `root`; links to folders are followed, but no folder is visited twice."""
    seen = set()

    def unreadable(error: OSError) -> None:
        report.skip(
            _printable(os.path.relpath(error.filename, root)), "unreadable folder", str(error)
        )

    for folder, subfolders, names in os.walk(root, followlinks=True, onerror=unreadable):
        status = os.stat(folder)
        if (status.st_dev, status.st_ino) in seen:
            subfolders.clear()
            continue
        seen.add((status.st_dev, status.st_ino))
        subfolders.sort()
        yield from (os.path.join(folder, name) for name in names)


def _write_records(
    root: str,
    files: list[str],
    records_file: str,
    report: Report,
    progress: Callable[[int, int], None] | None,
) -> None:
    try:
        with tf.io.TFRecordWriter(records_file) as writer:
            for done, file in enumerate(files, start=1):
                for sequence in _convert_file(root, file, report):
                    writer.write(sequence.SerializeToString())
                if progress:
                    progress(done, len(files))
    except tf.errors.OpError as error:
        raise GroovaeError(f"cannot write {report.output}: {error.message}") from error


def _convert_file(root: str, file: str, report: Report) -> list[Any]:
    """The NoteSequences of one file; what could not be converted goes into the report."""
    kind, convert = CONVERTERS[os.path.splitext(file)[1].lower()]
    path = os.path.join(root, file)
    unusable = _why_unusable(path)
    if unusable:
        report.skip(_printable(file), "unreadable file", unusable)
        return []
    with _magenta_warnings() as warnings:
        try:
            sequences = convert(root, os.path.dirname(file), path) or []
        except (OSError, tf.errors.OpError) as error:
            report.skip(_printable(file), "unreadable file", str(error))
            return []
        except Exception as error:
            # Whatever a broken file makes the parsers raise, it costs only itself.
            report.skip(_printable(file), f"broken {kind}", f"{type(error).__name__}: {error}")
            return []
    if not isinstance(sequences, list):
        sequences = [sequences]
    if not sequences and not warnings:
        warnings.append("no tune in it")
    for warning in warnings:
        report.skip(_printable(file), f"broken {kind}", warning)
    report.converted += bool(sequences)
    report.records += len(sequences)
    return sequences


def _why_unusable(path: str) -> str | None:
    if _printable(path) != path:
        return "its path is not UTF-8, in which a record holds it; rename it"
    if os.path.exists(path) and not os.path.isfile(path):
        return "not a regular file"
    return None


@contextlib.contextmanager
def _magenta_warnings() -> Iterator[list[str]]:
    """Collects why Magenta's converters skipped something: they tell only the log."""
    reasons: list[str] = []

    class Collector(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            if record.levelno == logging.WARNING:
                # 'Could not parse ... %s. It will be skipped. Error was: %s'
                reasons.append(str(tuple(record.args)[-1]) if record.args else record.getMessage())

    logger, collector = tf.get_logger(), Collector()
    level = logger.level
    handlers = logger.handlers[:]
    logger.handlers[:] = [collector]
    logger.setLevel(min(level, logging.WARNING) or logging.WARNING)
    try:
        yield reasons
    finally:
        logger.handlers[:] = handlers
        logger.setLevel(level)


def _why(report: Report) -> str:
    first = report.skipped[0]
    return f"{first['file']}: {first['reason']} ({first['detail']})"


def _printable(file: str) -> str:
    """A file name that JSON and a terminal can hold, even where it is not UTF-8."""
    return os.fsencode(file).decode("utf-8", "backslashreplace")
