"""Convert a folder of MIDI, MusicXML and ABC files to TFRecords of NoteSequences, on all cores.

    groovae preprocess ../groove data_dir/music.tfrecord

Each record equals that of Magenta's `convert_directory(DIR, OUT, recursive=True)` byte for byte,
unless `MidiOptions.reader` is `complete`.
Unlike there, records are in sorted path order for any number of workers; a file that is damaged,
too large, or crashes its worker is skipped and reported; each real file is read once; and outputs
are replaced together, when all of them are complete.
"""

import collections
import contextlib
import dataclasses
import functools
import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from groovae.config.layout import Layout
from groovae.data.conversion import Converted, Limits, MidiOptions, convert_file
from groovae.data.music_files import deduplicate, find_music, printable, suffix_of
from groovae.data.tfrecord import write_record
from groovae.data.window_report import WindowReport
from groovae.errors import GroovaeError, UsageError, check_number, check_whole
from groovae.system.atomic_files import atomic_write_all, json_text
from groovae.system.progress import counter_in_notebook
from groovae.system.workers import TIMEOUT_SECONDS, Lost, available_cores, ordered_map

SPLITS = ("train", "validation", "test")
MAX_SHARDS = 256
MAX_WORKERS = 1000
NOT_LISTED = "not in info.csv"

Progress = Callable[[int, int], None]


@dataclasses.dataclass(frozen=True)
class PreprocessOptions:
    """How to convert a folder.

    Attributes:
      workers: Number of processes; all cores by default.
      shards: Write N files OUT-00000-of-0000N and so on instead of OUT; 1 to 256.
      split: Convert only the files of this split in the folder's `info.csv`.
      limits: Limits of a file.
      timeout_seconds: CPU time limit of a file.
      layout: How windows are cut, to count them; None counts none.
      config: Name of the layout's config.
      midi: How to read MIDI.
    """

    workers: int | None = None
    shards: int | None = None
    split: str | None = None
    limits: Limits = dataclasses.field(default_factory=Limits)
    timeout_seconds: float = TIMEOUT_SECONDS
    layout: Layout | None = None
    config: str | None = None
    midi: MidiOptions = dataclasses.field(default_factory=MidiOptions)

    def __post_init__(self) -> None:
        if self.workers is not None:
            check_whole("workers", self.workers, 1, MAX_WORKERS)
        if self.shards is not None:
            check_whole("shards", self.shards, 1, MAX_SHARDS)
        check_number("timeout_seconds", self.timeout_seconds, 0)
        if not self.timeout_seconds:
            raise UsageError(f"timeout_seconds must be over 0, got {self.timeout_seconds:g}")


@dataclasses.dataclass
class ConversionReport:
    """The result of converting a folder; `as_dict` is the contents of `OUT.report.json`.

    Attributes:
      input: The folder.
      output: The TFRecord OUT.
      outputs: The files written: OUT, or its shards.
      split: The split of `info.csv`, if only one was converted.
      files: Number of music files, each real file once, without those of other splits.
      other_files: Number of files that are not music, by suffix.
      other_splits: Number of files of other splits, by split.
      duplicates: Other names of the same files: name -> name in the records.
      converted: Number of music files with at least one record.
      records: Number of records; an ABC file may hold several tunes.
      skipped: File, reason and detail of each music file, or ABC tune, without a record.
      warnings: Number of files by warning of the parsers.
      midi_reader: `magenta` or `complete`.
      complete_keeps: For each file, what `complete` would keep and `magenta` loses; see
        `Converted.complete_keeps`.
      windows: Window counts of the records, if a layout was given.
      windows_of: The config and layout that the windows are cut by.
    """

    input: str
    output: str
    outputs: list[str] = dataclasses.field(default_factory=list)
    split: str | None = None
    files: int = 0
    other_files: collections.Counter[str] = dataclasses.field(default_factory=collections.Counter)
    other_splits: collections.Counter[str] = dataclasses.field(default_factory=collections.Counter)
    duplicates: dict[str, str] = dataclasses.field(default_factory=dict)
    converted: int = 0
    records: int = 0
    skipped: list[dict[str, str]] = dataclasses.field(default_factory=list)
    warnings: collections.Counter[str] = dataclasses.field(default_factory=collections.Counter)
    midi_reader: str = "magenta"
    complete_keeps: dict[str, dict[str, int]] = dataclasses.field(default_factory=dict)
    windows: WindowReport | None = None
    windows_of: dict[str, Any] = dataclasses.field(default_factory=dict)

    @property
    def path(self) -> str:
        """The file of the report."""
        return f"{self.output}.report.json"

    def add(self, file: str, converted: Converted) -> None:
        """Count the result of a file."""
        for reason, detail in converted.skipped:
            self.skip(file, reason, detail)
        self.warnings.update(converted.warnings)
        if converted.complete_keeps:
            self.complete_keeps[printable(file)] = converted.complete_keeps
        self.converted += bool(converted.records)
        self.records += len(converted.records)
        if self.windows:
            self.windows.add(converted.windows)

    def skip(self, file: str, reason: str, detail: str) -> None:
        detail = detail.encode("utf-8", "backslashreplace").decode()
        self.skipped.append({"file": printable(file), "reason": reason, "detail": detail})

    def skipped_by_reason(self) -> dict[str, int]:
        return dict(collections.Counter(skip["reason"] for skip in self.skipped).most_common())

    def as_dict(self) -> dict[str, Any]:
        """Return the report for JSON."""
        values = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        for name in ("other_files", "other_splits", "warnings"):
            values[name] = dict(sorted(values[name].items()))
        about = values.pop("windows_of")
        values["windows"] = {**about, **self.windows.as_dict()} if self.windows else None
        return {**values, "skipped_by_reason": self.skipped_by_reason()}


def convert_directory(
    root_dir: str | os.PathLike[str],
    output_file: str | os.PathLike[str],
    progress: Progress | None = None,
    options: PreprocessOptions = PreprocessOptions(),
    *,
    recursive: bool = True,
) -> ConversionReport:
    """Convert all music files below a folder to a TFRecord, and write `OUTPUT.report.json`.

    Args:
      root_dir: The folder; its name becomes the records' `collection_name`.
      output_file: The TFRecord to write or replace.
      progress: Called with the number of files done and of all files, after each file; by default
        it shows a bar in a notebook.
      options: Which files to convert, and how.
      recursive: True, as of Magenta's function of this name: folders below are read as well.

    Raises:
      GroovaeError: no such folder, no file in it can be converted, or the output cannot be written.
        Earlier outputs are then unchanged.
      UsageError: `info.csv` has no such split.
    """
    if recursive is not True:
        raise UsageError("recursive must be True; to leave folders out, name one without them")
    output = os.fspath(output_file)
    with counter_in_notebook("file") as show:
        reports = _convert(root_dir, {options.split: output}, progress or show, options)
    return reports[options.split]


def convert_splits(
    root_dir: str | os.PathLike[str],
    output_file: str | os.PathLike[str],
    progress: Progress | None = None,
    options: PreprocessOptions = PreprocessOptions(),
) -> dict[str, ConversionReport]:
    """Convert as `convert_directory` does, with records and a report for each split of `info.csv`.

    Instead of `music.tfrecord`, `music-train.tfrecord`, `music-validation.tfrecord` and
    `music-test.tfrecord` are replaced together. The records of a split may be empty.
    """
    if options.split:
        raise UsageError(f"convert either the split {options.split} or all splits, not both")
    stem, suffix = os.path.splitext(os.fspath(output_file))
    outputs: dict[str | None, str] = {split: f"{stem}-{split}{suffix}" for split in SPLITS}
    reports = _convert(root_dir, outputs, progress, options)
    return {str(split): report for split, report in reports.items()}


def _convert(
    root_dir: str | os.PathLike[str],
    names: dict[str | None, str],
    progress: Progress | None,
    options: PreprocessOptions,
) -> dict[str | None, ConversionReport]:
    """Write the records and report of each split, and put all of them in place together."""
    # Magenta names the collection after the last part of the path, which a trailing slash makes
    # empty; the same folder should give the same records.
    root = os.path.abspath(os.path.expanduser(root_dir))
    outputs = [_Output(root, split, name, options) for split, name in names.items()]
    _assign_files(root, outputs)
    paths = [path for output in outputs for path in output.paths]
    with atomic_write_all(paths, follow_links=False) as temporaries:
        left = iter(temporaries)
        for output in outputs:
            output.temporaries = [next(left) for _ in output.paths]
        _write_records(root, outputs, progress, options)
        _check_not_empty(root, outputs)
        for output in outputs:
            output.temporaries[-1].write_text(json_text(output.report.as_dict()), "utf-8")
    return {output.report.split: output.report for output in outputs}


class _Output:
    """The records and report of one split, or of all files."""

    def __init__(self, root: str, split: str | None, name: str, options: PreprocessOptions):
        name = os.path.abspath(os.path.expanduser(name))
        if suffix_of(name):
            raise UsageError(
                f"{printable(name)}: an output must not have the suffix of music files"
            )
        self.report = ConversionReport(printable(root), printable(name), split=split)
        count = options.shards
        self._shards = [f"{name}-{i:05}-of-{count:05}" for i in range(count)] if count else [name]
        # A link is followed if the user named it.
        records = self._shards if count else [os.path.realpath(name)]
        self.paths = [*records, f"{name}.report.json"]
        self.temporaries: list[Path] = []
        self.files: list[str] = []
        self._added = 0
        self._shard = -1
        self._writer: Any = None
        self.report.outputs = [printable(shard) for shard in self._shards]
        self.report.midi_reader = options.midi.reader
        if options.layout:
            self.report.windows = WindowReport()
            layout = options.layout.report_fields()
            self.report.windows_of = {"config": options.config, "layout": layout}

    def add(self, file: str, converted: Converted | Lost) -> None:
        """Write the records of the next of `files` into its shard, and update the report."""
        if isinstance(converted, Lost):
            converted = Converted(skipped=[("worker lost", converted.reason)])
        shard = self._added * len(self._shards) // len(self.files)
        self._added += 1
        if shard != self._shard:
            self.close()
            self._shard = shard
        with self._named_errors():
            if not self._writer:
                self._writer = open(self.temporaries[shard], "wb")  # noqa: SIM115
            for record in converted.records:
                write_record(self._writer, record)
        self.report.add(file, converted)

    def close(self) -> None:
        writer, self._writer = self._writer, None
        if writer:
            with self._named_errors():
                writer.close()

    @contextlib.contextmanager
    def _named_errors(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            path = self.report.outputs[self._shard]
            raise GroovaeError(f"cannot write {path}: {error.strerror or error}") from error


def _write_records(
    root: str, outputs: Sequence[_Output], progress: Progress | None, options: PreprocessOptions
) -> None:
    jobs = sorted(
        ((file, output) for output in outputs for file in output.files), key=lambda job: job[0]
    )
    work = functools.partial(
        convert_file, root, limits=options.limits, layout=options.layout, midi=options.midi
    )
    results = ordered_map(
        work,
        (file for file, _ in jobs),
        options.workers or available_cores(),
        options.timeout_seconds,
    )
    with contextlib.closing(results), contextlib.ExitStack() as stack:
        for output in outputs:
            stack.callback(output.close)
        for done, ((file, output), converted) in enumerate(zip(jobs, results, strict=True), 1):
            output.add(file, converted)
            if progress:
                progress(done, len(jobs))


def _check_not_empty(root: str, outputs: Sequence[_Output]) -> None:
    if any(output.report.records for output in outputs):
        return
    files = sum(output.report.files for output in outputs)
    skips = [skip for output in outputs for skip in output.report.skipped]
    first = min(skips, key=lambda skip: skip["reason"] == NOT_LISTED)  # the least helpful reason
    raise GroovaeError(
        f"{printable(root)}: none of {files} files could be converted: "
        f"{first['file']}: {first['reason']} ({first['detail']})"
    )


# Which files belong to which output


def _assign_files(root: str, outputs: Sequence[_Output]) -> None:
    """Assign files to the outputs, and add the other files to the reports."""
    contents = find_music(root)
    table = _split_of_files(root, outputs) if outputs[0].report.split else None
    for output in outputs:
        report = output.report
        report.other_files.update(contents.other_files)
        for folder, detail in contents.unreadable_folders:
            report.skip(os.path.relpath(folder, root), "unreadable folder", detail)
        files = contents.files
        if table is not None:
            files = _files_of_split(files, table, report)
        output.files, duplicates = deduplicate(root, files)
        report.duplicates = {printable(a): printable(b) for a, b in sorted(duplicates.items())}
        report.files += len(output.files)


def _split_of_files(root: str, outputs: Sequence[_Output]) -> dict[str, str]:
    """Return the split of each file in `info.csv`."""
    from groovae.data.groove_midi_dataset import read_info  # imports pandas

    info = read_info(root)
    names, splits = info["midi_filename"].astype(str), info["split"].astype(str)
    known = set(splits)
    if not known.intersection(str(output.report.split) for output in outputs):
        raise UsageError(
            f"{root}/info.csv: it has no split {outputs[0].report.split!r}; "
            f"it has {', '.join(sorted(known))}"
        )
    return {os.path.normpath(name): split for name, split in zip(names, splits, strict=True)}


def _files_of_split(
    files: Sequence[str], table: dict[str, str], report: ConversionReport
) -> list[str]:
    """Return the files of the report's split, and add the others to the report."""
    for file in files:
        split = table.get(file)
        if split is None:
            report.skip(file, NOT_LISTED, "no row has it as midi_filename")
            report.files += 1
        elif split != report.split:
            report.other_splits[split] += 1
    found = set(files)
    for file, split in table.items():
        if split == report.split and file not in found:
            report.skip(file, "missing", "info.csv lists it, but there is no such music file")
    return [file for file in files if table.get(file) == report.split]
