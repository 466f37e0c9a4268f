"""Shared parts of the commands that generate grooves: a model, inputs and outputs.

An input is a music file or a folder. For a folder one model generates an output for each music file
in it, at the same place in another folder. The random numbers start anew from the seed for each
file, so that it gives the same output as alone. A file that fails is logged, reported and skipped.
COMMAND.report.json in the other folder lists what the command wrote there: the next run may replace
these files, but no others unless --overwrite is given.
"""

import collections
import contextlib
import dataclasses
import os
import shutil
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from absl import flags

from groovae.cli.flags import (
    check_arguments,
    define_all_notes,
    define_checkpoint,
    define_drums,
    define_expectation,
    define_seed,
    define_temperature,
)
from groovae.cli.output import log, print_json, print_text
from groovae.data.music_files import deduplicate, find_music, printable, shorten
from groovae.data.window_report import format_counts
from groovae.errors import GroovaeError, UsageError, first_line
from groovae.music.midi_writer import numbered, numbered_names, write_sequence
from groovae.system.atomic_files import write_json
from groovae.system.log import Log
from groovae.system.regular_files import read_json

if TYPE_CHECKING:
    from groovae.generation.groove_model import GrooveModel

MAX_OUTPUTS = 10_000  # of one input
MAX_FOLDER_OUTPUTS = 100_000
MANY_OUTPUTS = 20  # from which on there is a progress bar
OUT_HELP = (
    "MIDI file to write or replace, by default IN-COMMAND.mid, numbered if there are several; for "
    "a folder the folder to write, by default DIR-COMMAND, where only files that an earlier run of "
    "the command wrote are replaced."
)
HIT_TEMPERATURE_HELP = (
    "Sampling temperature of the hits: 0 takes the most likely ones, 1 samples from the learned "
    "distribution, higher values are more random."
)
PERFORMANCE_TEMPERATURE_HELP = (
    "Sampling temperature of timing and velocity: 0 takes the most likely performance, 1 samples "
    "from the learned distribution."
)
BATCH_SIZE = 8  # segments of a file that are decoded at once


@dataclasses.dataclass
class Output:
    """What a command generated from one input.

    Attributes:
      grooves: NoteSequences, or an iterator that generates them.
      log_lines: More lines for the log.
      json_fields: More fields for --json and the report.
    """

    grooves: Iterable[Any]
    log_lines: list[str] = dataclasses.field(default_factory=list)
    json_fields: dict[str, Any] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True)
class GenerationCommand:
    """How a command generates its output from an input.

    Attributes:
      task: The task of the model, and the command's name.
      generate: Generates the output from the NoteSequence of an input.
      num_outputs: Grooves for each input.
      also_read: Another input file, which must not be overwritten.
      check: Raises an error that would be the same for each file of a folder.
    """

    task: str
    generate: Callable[["GrooveModel", Any], Output]
    num_outputs: int = 1
    also_read: str = ""
    check: Callable[["GrooveModel"], object] = lambda model: None


def define_generation(
    values: flags.FlagValues,
    temperature: float,
    temperature_help: str = HIT_TEMPERATURE_HELP,
    expectation: bool = False,
    reads_music: bool = True,
    reads_folders: bool = True,
    out: str | None = None,
    out_help: str = OUT_HELP,
) -> None:
    """Define the flags for a model, how it generates, and what is written of its grooves."""
    define_temperature(values, temperature, temperature_help)
    if reads_music:
        define_drums(values)
        define_all_notes(values)
    if reads_music and reads_folders:
        flags.DEFINE_bool(
            "overwrite",
            False,
            "In the folder of --out, also replace files that no earlier run of this command wrote.",
            values,
        )
    if expectation:
        define_expectation(values)
    flags.DEFINE_string("out", out, out_help, values)
    define_checkpoint(
        values,
        None,
        "; or a folder written by `groovae export --format=onnx`, which needs no TensorFlow. By "
        "default .train, or if nothing is trained there a bundled model; none is bundled for "
        "tap2drum, add_hihat and transfer",
    )
    define_seed(values, None, "Random seed; by default a random one, which is logged.")
    flags.DEFINE_string(
        "drum_map",
        None,
        "MIDI pitches of the drums, read and written: gm, roland, or a JSON file such as "
        '{"kick": 36, "snare": [38, 40]}; the first pitch of a drum is written. By default the '
        "drum map that the model was trained with, or else gm.",
        values,
    )
    flags.DEFINE_enum(
        "first_hit",
        "clamp" if reads_music else "shift",
        ["clamp", "wrap", "shift"],
        "What to do with hits before the beat that the groove begins with: move them to it "
        "(clamp), to the end of the loop (wrap), or move the whole groove later (shift).",
        flag_values=values,
    )
    flags.DEFINE_bool(
        "pickup",
        False,
        "If the first hit is before the beat, begin with an empty bar, in place of --first_hit.",
        values,
    )
    flags.DEFINE_bool("png", False, "Also write a picture, NAME.png.", values)
    flags.DEFINE_bool("wav", False, "Also write the sound, NAME.wav.", values)
    flags.DEFINE_bool("play", False, "Play the groove on this machine.", values)
    flags.DEFINE_string(
        "soundfont",
        None,
        "Soundfont (.sf2) for --wav and --play; by default a small General MIDI one.",
        values,
    )
    flags.DEFINE_bool("preview", True, "Log the groove as text.", values)
    flags.DEFINE_bool("json", False, "Print one JSON object instead of file names.", values)


def load_from_flags(values: Any, task: str, batch_size: int = BATCH_SIZE) -> "GrooveModel":
    """Load the model that the flags name, and check that it is one for the task."""
    from groovae.generation.loading import load_model

    model = load_model(
        values.checkpoint,
        values.config,
        values.hparams,
        seed=values.seed,
        batch_size=batch_size,
        drum_map=values.drum_map,
        all_notes="all_notes" in values and values.all_notes,
        task=task,
        log=log,
        as_hits="expectation" in values and values.expectation == "hit",
    )
    log(f"{model.config_name} from {model.checkpoint}, seed {model.seed}")
    return model


def read(path: str, values: Any, log: Log = log) -> Any:
    """Read a music file as a NoteSequence, with the drums that the flags name."""
    from groovae.data.conversion import read_sequence

    return read_sequence(path, log=log, drums=values.drums)


def run_on_files(values: Any, positional: list[str], command: GenerationCommand) -> int:
    """Generate from a music file, or from each one in a folder.

    Returns:
      The exit code: 1 if no file in a folder succeeded.
    """
    (source,) = map(os.path.expanduser, check_arguments(positional, "IN.mid"))
    check_sound(values)
    if os.path.isdir(source):
        return _run_on_folder(values, source, command)
    out = values.out or f"{shorten(Path(source).stem)}-{command.task}.mid"
    paths = numbered(out, command.num_outputs)
    check_outputs([source, command.also_read], paths)
    check_links(values, paths)
    lost: list[str] = []
    groove = read(source, values, _logging_to(lost))
    model = load_from_flags(values, command.task)
    model.log = _logging_to(lost)
    output = command.generate(model, groove)
    written = write_outputs(values, model, paths, output)
    if values.json:
        details = {"lost": lost, **output.json_fields, "outputs": written}
        print_json({**model_fields(model), "source": source, **details})
    return 0


def write_outputs(
    values: Any, model: "GrooveModel", paths: list[Path], output: Output
) -> list[dict[str, Any]]:
    """Write the grooves as MIDI and in each other format that the flags name.

    Returns:
      The fields of each groove for JSON.
    """
    for line in output.log_lines:
        log(line)
    written = []
    with _progress(len(paths)) as advance:
        for path, groove in zip(paths, output.grooves, strict=True):
            with advance():
                written.append(_write_output(values, model, path, groove))
    return written


def define_num_outputs(values: flags.FlagValues, help_text: str) -> None:
    flags.DEFINE_integer("num_outputs", 1, help_text, 1, MAX_OUTPUTS, flag_values=values)


@contextlib.contextmanager
def _progress(total: int) -> Iterator[Callable[[], contextlib.AbstractContextManager[None]]]:
    """Show a progress bar on a terminal, if there are many outputs.

    Yields a function for the block that makes one output, in which text may be printed.
    """
    if total < MANY_OUTPUTS:
        yield contextlib.nullcontext
        return
    from tqdm import tqdm

    with tqdm(total=total, unit="groove", disable=None, leave=False) as bar:

        @contextlib.contextmanager
        def advance() -> Iterator[None]:
            with tqdm.external_write_mode():
                yield
            bar.update()

        yield advance


def model_fields(model: "GrooveModel") -> dict[str, Any]:
    """Return the fields for JSON that name the model."""
    return {"checkpoint": model.checkpoint, "config": model.config_name, "seed": model.seed}


def check_sound(values: Any) -> None:
    """Check that --wav and --play have what they need, before anything is written."""
    if values.wav or values.play:
        from groovae.music.sound import check_ready

        check_ready(values.soundfont)
    elif values.soundfont:
        raise UsageError("--soundfont needs --wav or --play")


def check_outputs(sources: Iterable[str], targets: Iterable[Path]) -> None:
    """Check that no output overwrites an input or another output."""
    inputs = {os.path.realpath(os.path.expanduser(source)) for source in sources}
    outputs: set[str] = set()
    for target in targets:
        path = os.path.realpath(target)
        if path in inputs:
            raise UsageError(f"{target}: this is an input; choose another --out")
        if path in outputs:
            raise UsageError(f"{target}: the output of two inputs; run the command on each file")
        outputs.add(path)


def check_links(values: Any, targets: Iterable[Path]) -> None:
    """Check that no output is a link, apart from the one that --out names: it may lead anywhere."""
    named = Path(values.out).expanduser() if values.out else None
    for path in _all_formats(values, targets):
        if path != named and path.is_symlink():
            raise UsageError(f"{path}: this is a link; remove it, or choose another --out")


def _all_formats(values: Any, targets: Iterable[Path]) -> Iterator[Path]:
    """Yield the MIDI files to write, each with its picture and sound."""
    for path in targets:
        yield path
        yield from (path.with_suffix(f".{kind}") for kind in ("png", "wav") if values[kind].value)


def _write_output(values: Any, model: "GrooveModel", path: Path, groove: Any) -> dict[str, Any]:
    from groovae.generation.grooves import place_early_hits

    if not values.pickup:
        groove = place_early_hits(groove, values.first_hit)
    moved_ms = write_sequence(path, groove, values.pickup)
    fields = {"file": printable(str(path)), "hits": len(groove.notes), "moved_ms": moved_ms}
    log(_describe(fields, values.pickup))
    if values.preview:
        from groovae.music.picture import preview

        columns = shutil.get_terminal_size((100, 24)).columns
        log(preview(groove, model.layout.pitch_classes, columns))
    fields |= _render(values, model, path, groove, moved_ms)
    if not values.json:
        for kind in filter(fields.__contains__, ("file", "png", "wav")):
            print_text(str(fields[kind]))
    return fields


def _describe(fields: dict[str, Any], pickup: bool) -> str:
    line = f"{fields['file']}: {fields['hits']} hits"
    if not fields["hits"]:
        return f"{line}; train the model longer or raise --temperature"
    if fields["moved_ms"] and pickup:
        return f"{line}, after an empty bar, because a hit is before the beat"
    if fields["moved_ms"]:
        line += f", moved {fields['moved_ms']:.1f} ms later, because a hit is before the beat"
    return line


def _render(
    values: Any, model: "GrooveModel", path: Path, groove: Any, moved_ms: float
) -> dict[str, str]:
    """Write or play a groove as picture and sound; return the files by kind."""
    drum_map, written = model.layout.pitch_classes, {}
    if values.png:
        from groovae.music.picture import draw

        written["png"] = path.with_suffix(".png")
        draw(written["png"], groove, drum_map, title=printable(path.stem))
    if values.wav or values.play:
        from groovae.generation.grooves import shift_groove
        from groovae.music.sound import play, write_wav

        as_in_midi = shift_groove(groove, moved_ms / 1000)
        if values.wav:
            written["wav"] = path.with_suffix(".wav")
            write_wav(written["wav"], as_in_midi, drum_map, values.soundfont)
        if values.play:
            play(as_in_midi, drum_map, values.soundfont)
    return {kind: printable(str(file)) for kind, file in written.items()}


def _logging_to(lines: list[str]) -> Log:
    """Return a log that also keeps its lines."""

    def log_and_keep(line: str) -> None:
        log(line)
        lines.append(line)

    return log_and_keep


# Folders


def _run_on_folder(values: Any, source: str, command: GenerationCommand) -> int:
    name = os.path.basename(os.path.abspath(source))
    folder = Path(values.out or f"{name}-{command.task}").expanduser()
    if folder.is_file():
        raise UsageError(
            f"{folder}: this is a file, but {source} is a folder; --out needs a folder"
        )
    targets = _targets(source, folder)
    _check_folder_outputs(values, source, targets, command)
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
        _run_on_file(values, model, command, os.path.join(source, file), path, report)
    return _finish_folder(values, folder, report_path, report)


def _check_folder_outputs(
    values: Any, source: str, targets: dict[str, Path], command: GenerationCommand
) -> None:
    """Check that there are not too many outputs, and that none overwrites an input."""
    count = len(targets) * command.num_outputs
    if count > MAX_FOLDER_OUTPUTS:
        raise UsageError(
            f"--num_outputs={command.num_outputs} for {len(targets):,} files would write "
            f"{count:,} files, over {MAX_FOLDER_OUTPUTS:,}; give less"
        )
    paths = _numbered_all(targets, command.num_outputs)
    inputs = [command.also_read, *(os.path.join(source, file) for file in targets)]
    check_outputs(inputs, paths)
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
    for path in _all_formats(values, _numbered_all(targets, num_outputs)):
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


def _targets(source: str, folder: Path) -> dict[str, Path]:
    """Return the output, not yet numbered, for each music file below `source`.

    Files in `folder`, where an earlier run may have written, are no inputs.
    """
    root, own = os.path.abspath(source), Path(os.path.realpath(folder))
    files, _ = deduplicate(root, find_music(root).files)
    if Path(os.path.realpath(root)) in own.parents:
        real_paths = {file: Path(os.path.realpath(os.path.join(root, file))) for file in files}
        files = [file for file in files if own not in real_paths[file].parents]
    targets: dict[str, Path] = {}
    taken: set[Path] = set()
    for file in files:
        path = Path(file)
        target = folder / path.with_name(f"{shorten(path.stem)}.mid")
        if target in taken:  # as of take.mid and take.midi
            target = folder / path.with_name(f"{shorten(path.name)}.mid")
        taken.add(target)
        targets[file] = target
    return targets


def _run_on_file(
    values: Any,
    model: "GrooveModel",
    command: GenerationCommand,
    path: str,
    target: Path,
    report: dict[str, Any],
) -> None:
    """Generate from one file of a folder, and add to the report what was written or why not."""
    name, lost = printable(path), list[str]()
    model.log = _logging_to(lost)
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


def _finish_folder(values: Any, folder: Path, path: Path, report: dict[str, Any]) -> int:
    """Write the report, log a summary of it, and return the exit code."""
    num_done, skipped = len(report["takes"]), report["skipped"]
    report["files"] = [name for name in report["files"] if os.path.lexists(folder / name)]
    write_json(path, report)
    line = f"wrote the output of {num_done} of {num_done + len(skipped)} files to {folder}"
    if skipped:
        line += (
            f"; skipped: {format_counts(collections.Counter(skip['reason'] for skip in skipped))}"
        )
    log(f"{line}; see {path}")
    if values.json:
        print_json(report)
    return 0 if num_done else 1
