"""A folder of MIDI, MusicXML and ABC files to TFRecords of NoteSequences, on all cores.

Each record is, byte for byte, what Magenta's `convert_directory(DIR, OUT, recursive=True)` writes
for that file; Magenta's own functions convert it. What differs is around it: records come in
sorted path order however many workers there are, a file that is broken, too large, or deadly costs
only itself and is reported, each real file is read once, and the outputs are replaced together,
and only by complete new ones.

    groovae preprocess ../groove data_dir/music.tfrecord
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
from groovae.data.conversion import Converted, Limits, convert_file
from groovae.data.music_files import deduplicate, find_music, printable, suffix_of
from groovae.data.window_report import WindowReport as WindowReport
from groovae.errors import GroovaeError, UsageError
from groovae.system.atomic_files import atomic_write_all, json_text
from groovae.system.workers import TIMEOUT_SECONDS, Lost, available_cores, ordered_map
from groovae.upstream import tf

SPLITS = ("train", "validation", "test")
MAX_SHARDS = 256
NOT_LISTED = "not in info.csv"

Progress = Callable[[int, int], None]


@dataclasses.dataclass(frozen=True)
class PreprocessOptions:
    """How to convert a folder.

    Attributes:
      workers: Processes at work; all cores by default.
      shards: Write OUT-00000-of-0000N and so on, N files, instead of OUT; 1 to 256.
      split: Convert only the files that `info.csv` in the folder lists in this split.
      limits: What a file may be.
      timeout_seconds: How long one file may take of a core.
      layout: How to count the training windows that the records give; None counts none.
      config: The name of the config that the layout is of.
    """

    workers: int | None = None
    shards: int | None = None
    split: str | None = None
    limits: Limits = dataclasses.field(default_factory=Limits)
    timeout_seconds: float = TIMEOUT_SECONDS
    layout: Layout | None = None
    config: str | None = None

    def __post_init__(self) -> None:
        if self.workers is not None and self.workers < 1:
            raise UsageError(f"workers must be 1 or more, got {self.workers}")
        if self.shards is not None and not 1 <= self.shards <= MAX_SHARDS:
            raise UsageError(f"shards must be 1 to {MAX_SHARDS}, got {self.shards}")
        if not self.timeout_seconds > 0:
            raise UsageError(f"timeout_seconds must be over 0, got {self.timeout_seconds:g}")


@dataclasses.dataclass
class ConversionReport:
    """What became of every file below the input folder.

    Attributes:
      input: The folder that was read.
      output: The TFRecord that was asked for.
      outputs: The files that were written: that one, or its shards.
      split: The split of `info.csv` that was asked for.
      files: Music files found, each real file once, but for those of other splits.
      other_files: How many files are not music by their suffix, by that suffix.
      other_splits: How many files belong to other splits, by split.
      duplicates: Further names of files found, and the name that stands for them.
      converted: Music files that gave at least one record.
      records: Records written; an ABC file may hold several tunes.
      skipped: Each music file, or ABC tune, that gave no record, and why.
      warnings: What the parsers warned of, and in how many files.
      windows: How many training windows the records give, and what was lost on the way.
      windows_of: What these windows are of: the config, and how it cuts them.
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
    windows: WindowReport | None = None
    windows_of: dict[str, Any] = dataclasses.field(default_factory=dict)

    @property
    def path(self) -> str:
        """Where the report is kept."""
        return f"{self.output}.report.json"

    def skip(self, file: str, reason: str, detail: str) -> None:
        detail = detail.encode("utf-8", "backslashreplace").decode()
        self.skipped.append({"file": printable(file), "reason": reason, "detail": detail})

    def skipped_by_reason(self) -> dict[str, int]:
        return dict(collections.Counter(skip["reason"] for skip in self.skipped).most_common())

    def as_dict(self) -> dict[str, Any]:
        """The report as `OUT.report.json` holds it."""
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
) -> ConversionReport:
    """Converts every music file below a folder, and writes `OUTPUT.report.json` beside the records.

    Args:
      root_dir: The folder; its own name becomes the records' `collection_name`.
      output_file: The TFRecord to write or replace.
      progress: Called with the files done and the files in all, after each file.
      options: Which files, and how.

    Raises:
      GroovaeError: there is no such folder, no file in it can be converted, or the output cannot
        be written. What was there before is still there.
      UsageError: `info.csv` has no such split.
    """
    output = os.fspath(output_file)
    return _convert(root_dir, {options.split: output}, progress, options)[options.split]


def convert_splits(
    root_dir: str | os.PathLike[str],
    output_file: str | os.PathLike[str],
    progress: Progress | None = None,
    options: PreprocessOptions = PreprocessOptions(),
) -> dict[str, ConversionReport]:
    """Like `convert_directory`, for the splits of `info.csv`: each gets its records and report.

    `music.tfrecord` stands for `music-train.tfrecord`, `music-validation.tfrecord` and
    `music-test.tfrecord`, which are replaced together. A split without records gets empty ones.
    """
    if options.split:
        raise UsageError(f"one split, {options.split}, or all of them: not both")
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
    """Writes the records and report of each split, all of which are put in place together."""
    # Magenta names the collection after the last part of the path as it was typed, which a
    # trailing slash makes empty; the same folder must give the same records.
    root = os.path.abspath(os.path.expanduser(root_dir))
    outputs = [_Output(root, split, name, options) for split, name in names.items()]
    for output in outputs:
        if suffix_of(output.report.output):
            raise UsageError(
                f"{output.report.output}: the output has the name of a music file; "
                "call it OUT.tfrecord"
            )
    _find(root, outputs)
    paths = [path for output in outputs for path in output.paths]
    with atomic_write_all(paths) as temporaries:
        left = iter(temporaries)
        for output in outputs:
            output.temporaries = [next(left) for _ in output.paths]
        _write_records(root, outputs, progress, options)
        _check_any(root, outputs)
        for output in outputs:
            output.temporaries[-1].write_text(json_text(output.report.as_dict()), "utf-8")
    return {output.report.split: output.report for output in outputs}


class _Output:
    """The records and report of one split, or of all files."""

    def __init__(self, root: str, split: str | None, name: str, options: PreprocessOptions):
        name = os.path.abspath(os.path.expanduser(name))
        self.report = ConversionReport(printable(root), printable(name), split=split)
        count = options.shards
        self._shards = [f"{name}-{i:05}-of-{count:05}" for i in range(count)] if count else [name]
        self.paths = [*self._shards, f"{name}.report.json"]
        self.temporaries: list[Path] = []
        self.files: list[str] = []
        self._taken = 0
        self._shard = -1
        self._writer: Any = None
        self.report.outputs = [printable(shard) for shard in self._shards]
        if options.layout:
            self.report.windows = WindowReport()
            layout = options.layout.report_fields()
            self.report.windows_of = {"config": options.config, "layout": layout}

    def take(self, file: str, converted: Converted | Lost) -> None:
        """Writes what became of the next of `files`, into the shard whose turn it is."""
        if isinstance(converted, Lost):
            converted = Converted(skipped=[("worker lost", converted.reason)])
        self._turn_to(self._taken * len(self._shards) // len(self.files))
        self._taken += 1
        with self._writing():
            for record in converted.records:
                self._writer.write(record)
        self._account(file, converted)

    def close(self) -> None:
        writer, self._writer = self._writer, None
        if writer:
            with self._writing():
                writer.close()

    def _account(self, file: str, converted: Converted) -> None:
        report = self.report
        for reason, detail in converted.skipped:
            report.skip(file, reason, detail)
        report.warnings.update(converted.warnings)
        report.converted += bool(converted.records)
        report.records += len(converted.records)
        if report.windows:
            report.windows.add(converted.windows)

    def _turn_to(self, shard: int) -> None:
        if shard != self._shard:
            self.close()
            self._shard = shard
            with self._writing():
                self._writer = tf.io.TFRecordWriter(os.fsencode(self.temporaries[shard]))

    @contextlib.contextmanager
    def _writing(self) -> Iterator[None]:
        try:
            yield
        except tf.errors.OpError as error:
            path = self.report.outputs[self._shard]
            raise GroovaeError(f"cannot write {path}: {error.message}") from error


def _write_records(
    root: str, outputs: Sequence[_Output], progress: Progress | None, options: PreprocessOptions
) -> None:
    turns = sorted(
        ((file, output) for output in outputs for file in output.files), key=lambda turn: turn[0]
    )
    work = functools.partial(convert_file, root, limits=options.limits, layout=options.layout)
    results = ordered_map(
        work,
        (file for file, _ in turns),
        options.workers or available_cores(),
        options.timeout_seconds,
    )
    with contextlib.closing(results), contextlib.ExitStack() as stack:
        for output in outputs:
            stack.callback(output.close)
        for done, ((file, output), converted) in enumerate(zip(turns, results, strict=True), 1):
            output.take(file, converted)
            if progress:
                progress(done, len(turns))


def _check_any(root: str, outputs: Sequence[_Output]) -> None:
    if any(output.report.records for output in outputs):
        return
    files = sum(output.report.files for output in outputs)
    skips = [skip for output in outputs for skip in output.report.skipped]
    first = min(skips, key=lambda skip: skip["reason"] == NOT_LISTED)  # what says more comes first
    raise GroovaeError(
        f"{printable(root)}: none of {files} files could be converted: "
        f"{first['file']}: {first['reason']} ({first['detail']})"
    )


# Which files belong to which output


def _find(root: str, outputs: Sequence[_Output]) -> None:
    """Gives each output its files, and each report what is known of the folder."""
    contents = find_music(root)
    table = _splits(root, outputs) if outputs[0].report.split else None
    for output in outputs:
        report = output.report
        report.other_files.update(contents.other_files)
        for folder, detail in contents.unreadable_folders:
            report.skip(os.path.relpath(folder, root), "unreadable folder", detail)
        files = contents.files
        if table is not None:
            files = _of_split(files, table, report)
        output.files, duplicates = deduplicate(root, files)
        report.duplicates = {printable(a): printable(b) for a, b in sorted(duplicates.items())}
        report.files += len(output.files)


def _splits(root: str, outputs: Sequence[_Output]) -> dict[str, str]:
    """The split of each file that `info.csv` lists."""
    from groovae.data.groove_midi_dataset import read_info  # pandas, which nothing else here needs

    info = read_info(root)
    names, splits = info["midi_filename"].astype(str), info["split"].astype(str)
    known = set(splits)
    if not known.intersection(str(output.report.split) for output in outputs):
        raise UsageError(
            f"{root}/info.csv: it has no split {outputs[0].report.split!r}; "
            f"it has {', '.join(sorted(known))}"
        )
    return {os.path.normpath(name): split for name, split in zip(names, splits, strict=True)}


def _of_split(files: Sequence[str], table: dict[str, str], report: ConversionReport) -> list[str]:
    """The files of the report's split; what becomes of the others goes into the report."""
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
