"""Run a command that generates grooves on a music file, on several, or on folders of them.

For several inputs or a folder, one model generates an output for each music file, in another
folder. The random numbers start anew from the seed for each file, so that it gives the same output
as alone. A file that fails is logged, reported and skipped. COMMAND.report.json in the other folder
lists what the command wrote there: the next run may replace these files, but no others unless
--overwrite is given.
"""

import collections
import itertools
import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from groovae.cli.flags import check_files
from groovae.cli.generation import (
    GenerationCommand,
    all_formats,
    check_links,
    check_outputs,
    check_sound,
    load_from_flags,
    logging_to,
    model_fields,
    read,
    write_outputs,
)
from groovae.cli.output import log, print_json
from groovae.data.music_files import deduplicate, find_music, printable, shorten
from groovae.data.window_report import format_counts
from groovae.errors import GroovaeError, UsageError, first_line
from groovae.music.midi_writer import numbered, numbered_names
from groovae.system.atomic_files import write_json
from groovae.system.regular_files import read_json

if TYPE_CHECKING:
    from groovae.generation.groove_model import GrooveModel

MAX_OUTPUTS_OF_FILES = 100_000


def run_on_files(values: Any, positional: list[str], command: GenerationCommand) -> int:
    """Generate from a music file, or from each of several files and folders.

    Returns:
      The exit code: 1 if a file that was named failed, or all files of the folders.
    """
    sources = [os.path.expanduser(source) for source in check_files(positional)]
    check_sound(values)
    if len(sources) > 1 or os.path.isdir(sources[0]):
        return _run_on_many(values, sources, command)
    (source,) = sources
    out = values.out or f"{shorten(Path(source).stem)}-{command.task}.mid"
    paths = numbered(out, command.num_outputs)
    check_outputs([source, command.also_read], paths)
    check_links(values, paths)
    lost: list[str] = []
    groove = read(source, values, logging_to(lost))
    model = load_from_flags(values, command.task)
    model.log = logging_to(lost)
    output = command.generate(model, groove)
    written = write_outputs(values, model, paths, output)
    if values.json:
        details = {"lost": lost, **output.json_fields, "outputs": written}
        print_json({**model_fields(model), "source": source, **details})
    return 0


def find_files(source: str, ignored: Path | None = None) -> list[str]:
    """Return a music file itself, or the music files below a folder, sorted.

    Args:
      source: A file or a folder.
      ignored: A folder whose files are left out.

    Raises:
      GroovaeError: there is no such file or folder, or no music file below the folder.
    """
    if not os.path.isdir(source):
        if not os.path.lexists(source):
            raise GroovaeError(f"{printable(source)}: no such file or folder")
        return [source]
    names, _ = deduplicate(os.path.abspath(source), find_music(os.path.abspath(source)).files)
    files = [os.path.join(source, name) for name in names]
    if ignored is None or Path(os.path.realpath(source)) not in ignored.parents:
        return files
    return [file for file in files if ignored not in Path(os.path.realpath(file)).parents]


def _run_on_many(values: Any, sources: list[str], command: GenerationCommand) -> int:
    folder = _output_folder(values, sources, command)
    targets = _targets(sources, folder)
    _check_targets(values, targets, command)
    report_path = folder / f"{command.task}.report.json"
    names = _names_to_write(values, folder, targets, command.num_outputs, report_path)
    values.preview = False
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise GroovaeError(f"cannot write {folder}: {error.strerror}") from error
    model = load_from_flags(values, command.task)
    command.check(model)
    report: dict[str, Any] = {**model_fields(model), "takes": [], "skipped": [], "files": names}
    write_json(report_path, report)  # if this run is stopped, the next one may replace its files
    for file, path in targets.items():
        _run_on_file(values, model, command, file, path, report)
    return _finish(values, sources, report_path, report)


def _output_folder(values: Any, sources: list[str], command: GenerationCommand) -> Path:
    name = command.task
    if len(sources) == 1:
        name = f"{os.path.basename(os.path.abspath(sources[0]))}-{command.task}"
    folder = Path(values.out or name).expanduser()
    inputs = f"{sources[0]} is a folder" if len(sources) == 1 else "there are several inputs"
    if folder.is_file():
        raise UsageError(f"{folder}: this is a file, but {inputs}; --out needs a folder")
    if len(sources) > 1 and folder.suffix.lower() in (".mid", ".midi"):
        raise UsageError(f"--out={folder} names a file, but {inputs}; name a folder")
    return folder


def _targets(sources: list[str], folder: Path) -> dict[str, Path]:
    """Return the output, not yet numbered, for each music file, which is used once.

    A single folder's files keep their place below it, and those of one of several inputs in a
    folder of its name. Files in `folder`, where an earlier run may have written, are no inputs.
    """
    own = Path(os.path.realpath(folder))
    targets: dict[str, Path] = {}
    taken: set[Path] = set()
    seen: set[str] = set()
    for source in sources:
        root = os.path.abspath(source)
        top = os.path.dirname(root) if len(sources) > 1 or not os.path.isdir(root) else root
        for file in find_files(source, own):
            if (real := os.path.realpath(file)) not in seen:
                seen.add(real)
                place = Path(os.path.relpath(os.path.abspath(file), top))
                targets[file] = _free_target(folder / place, taken)
                taken.add(targets[file])
    return targets


def _free_target(path: Path, taken: set[Path]) -> Path:
    """Return the MIDI file for an input that would be here, with a name that is not taken."""
    more = (f"{path.stem} ({i})" for i in itertools.count(2))
    stems = itertools.chain([path.stem, path.name], more)  # as of take.mid and take.midi
    targets = (path.with_name(f"{shorten(stem)}.mid") for stem in stems)
    return next(target for target in targets if target not in taken)


def _check_targets(values: Any, targets: dict[str, Path], command: GenerationCommand) -> None:
    """Check that there are not too many outputs, and that none overwrites an input."""
    count = len(targets) * command.num_outputs
    if count > MAX_OUTPUTS_OF_FILES:
        raise UsageError(
            f"--num_outputs={command.num_outputs} for {len(targets):,} files would write "
            f"{count:,} files, over {MAX_OUTPUTS_OF_FILES:,}; give less"
        )
    check_outputs([command.also_read, *targets], _numbered_all(targets, command.num_outputs))
    check_links(values, _numbered_all(targets, command.num_outputs))


def _numbered_all(targets: dict[str, Path], count: int) -> Iterator[Path]:
    for target in targets.values():
        yield from numbered_names(target, count)


def _names_to_write(
    values: Any, folder: Path, targets: dict[str, Path], num_outputs: int, report_path: Path
) -> list[str]:
    """Return the names in `folder` that this command writes or has written there.

    Raises:
      UsageError: a file is there that no earlier run of this command wrote.
    """
    earlier = _written_earlier(report_path, values.overwrite)
    names = []
    for path in all_formats(values, _numbered_all(targets, num_outputs)):
        name = printable(str(path.relative_to(folder)))
        if not values.overwrite and name not in earlier and os.path.lexists(path):
            raise UsageError(
                f"{path}: no earlier run of this command wrote this file; give --overwrite to "
                "replace it, or another --out"
            )
        names.append(name)
    return sorted({*names, *(name for name in earlier if os.path.lexists(folder / name))})


def _written_earlier(report_path: Path, overwrite: bool) -> set[str]:
    """Return the names of the files that earlier runs wrote, from their report."""
    if not os.path.lexists(report_path):
        return set()
    try:
        names = read_json(report_path)["files"]
        if not all(isinstance(name, str) for name in names):
            raise ValueError("files is not a list of names")
        return set(names)
    except (OSError, ValueError, KeyError, TypeError) as error:
        if overwrite:
            return set()
        raise UsageError(
            f"{report_path}: not a report of this command ({first_line(error)}); give --overwrite "
            "to replace it, or another --out"
        ) from error


def _run_on_file(
    values: Any,
    model: "GrooveModel",
    command: GenerationCommand,
    path: str,
    target: Path,
    report: dict[str, Any],
) -> None:
    """Generate from one of several files, and add to the report what was written or why not."""
    name, lost = printable(path), list[str]()
    model.log = logging_to(lost)
    model.reset_random()
    try:
        paths = numbered(target, command.num_outputs)
        output = command.generate(model, read(path, values, model.log))
        written = write_outputs(values, model, paths, output)
    except (GroovaeError, OSError, MemoryError) as error:
        log(f"skipped: {error if isinstance(error, GroovaeError) else f'{name}: {error!r}'}")
        # Without name, details and advice, so that equal reasons can be counted.
        reason = str(error).removeprefix(f"{name}: ").partition(";")[0].partition(" (")[0]
        report["skipped"].append({"source": name, "reason": reason})
        return
    report["takes"].append({"source": name, "lost": lost, **output.json_fields, "outputs": written})


def _finish(values: Any, sources: list[str], path: Path, report: dict[str, Any]) -> int:
    """Write the report, log a summary of it, and return the exit code."""
    folder, num_done, skipped = path.parent, len(report["takes"]), report["skipped"]
    report["files"] = [name for name in report["files"] if os.path.lexists(folder / name)]
    write_json(path, report)
    line = f"wrote the output of {num_done} of {num_done + len(skipped)} files to {folder}"
    if skipped:
        counts = collections.Counter(skip["reason"] for skip in skipped)
        line += f"; skipped: {format_counts(counts)}"
    log(f"{line}; see {path}")
    if values.json:
        print_json(report)
    named = set(map(printable, sources))
    return 0 if num_done and not any(skip["source"] in named for skip in skipped) else 1
