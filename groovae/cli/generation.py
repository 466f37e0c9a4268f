"""Shared parts of the commands that generate grooves: their flags, a model, and outputs."""

import contextlib
import dataclasses
import os
import shutil
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from absl import flags

from groovae.cli.flags import (
    define_all_notes,
    define_drums,
    define_expectation,
    define_feel,
    define_first_hit,
    define_model,
    define_seed,
    define_temperature,
)
from groovae.cli.output import log, print_text
from groovae.data.music_files import printable
from groovae.errors import UsageError
from groovae.music.midi_writer import write_sequence
from groovae.system.log import Log
from groovae.system.progress import progress_bar

if TYPE_CHECKING:
    from groovae.generation.groove_model import GrooveModel

MAX_OUTPUTS = 10_000  # of one input
MANY_OUTPUTS = 20  # from which on there is a progress bar
OUT_HELP = (
    "MIDI file to write or replace, by default IN-COMMAND.mid, numbered if there are several. For "
    "a folder or several inputs, the folder to write, by default DIR-COMMAND or COMMAND; only "
    "files that an earlier run of the command wrote there are replaced."
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
      check: Raises an error that would be the same for each input.
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
    drums_flag: str = "drums",
    out: str | None = None,
    out_help: str = OUT_HELP,
) -> None:
    """Define the flags for a model, how it generates, and what is written of its grooves.

    Where --drums names the drums to generate, `drums_flag` is `drum_notes`.
    """
    define_temperature(values, temperature, temperature_help)
    if reads_music:
        define_drums(values, drums_flag)
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
    define_feel(values)
    flags.DEFINE_string("out", out, out_help, values)
    define_model(values)
    define_seed(values, None, "Random seed; by default a random one, which is logged.")
    flags.DEFINE_string(
        "drum_map",
        None,
        "MIDI pitches of the drums, read and written: gm, roland, or a JSON file such as "
        '{"kick": 36, "snare": [38, 40]}; the first pitch of a drum is written for new hits. By '
        "default the drum map that the model was trained with, or else gm.",
        values,
    )
    define_first_hit(values)
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


def define_steering(values: flags.FlagValues) -> None:
    """Define how far a command changes the timing and velocities of its input."""
    amounts = {
        "amount": (1.0, "From 0, the input note for note, to 1, the model's timing and velocities"),
        "timing_amount": (None, "The same for timing alone, by default --amount"),
        "velocity_amount": (None, "The same for velocities alone, by default --amount"),
    }
    for name, (default, help_text) in amounts.items():
        flags.DEFINE_float(name, default, f"{help_text}.", 0, 1, flag_values=values)
    flags.DEFINE_enum(
        "keep",
        None,
        ["timing", "velocity", "accents"],
        "Keep the input's timing, its velocities, or its accents: the order of the velocities of "
        "each drum.",
        flag_values=values,
    )
    flags.DEFINE_float(
        "push_ms",
        0.0,
        "How far all hits move ahead of the beat, in milliseconds; behind it if negative.",
        -100,
        100,
        flag_values=values,
    )


def steering_arguments(values: Any) -> dict[str, Any]:
    """Return the flags of `define_steering` as arguments of the model's methods.

    Raises:
      UsageError: an amount contradicts --keep.
    """
    from groovae.generation.steering import make_steering

    names = ("amount", "timing_amount", "velocity_amount", "keep", "push_ms")
    arguments = {name: values[name].value for name in names}
    make_steering(**arguments)  # before a model is loaded
    return arguments


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
        as_hits="expectation" not in values or values.expectation == "hit",
        feel=values.feel,
    )
    log(f"{model.config_name} from {model.checkpoint}, seed {model.seed}")
    return model


def read(path: str, values: Any, log: Log = log) -> Any:
    """Read a music file as a NoteSequence, with the drums that the flags name."""
    from groovae.data.conversion import read_sequence

    drums = values.drum_notes if "drum_notes" in values else values.drums
    return read_sequence(path, log=log, drums=drums)


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

    with progress_bar(total=total, unit="groove", leave=False) as bar:

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
    for path in all_formats(values, targets):
        if path != named and path.is_symlink():
            raise UsageError(f"{path}: this is a link; remove it, or choose another --out")


def all_formats(values: Any, targets: Iterable[Path]) -> Iterator[Path]:
    """Yield the MIDI files to write, each with its picture and sound."""
    for path in targets:
        yield path
        yield from (path.with_suffix(f".{kind}") for kind in ("png", "wav") if values[kind].value)


def _write_output(values: Any, model: "GrooveModel", path: Path, groove: Any) -> dict[str, Any]:
    from groovae.generation.grooves import place_early_hits

    groove, has_pickup = place_early_hits(groove, values.first_hit), values.first_hit == "pickup"
    moved_ms = write_sequence(path, groove, has_pickup)
    fields = {"file": printable(str(path)), "hits": len(groove.notes), "moved_ms": moved_ms}
    log(_describe(fields, has_pickup))
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


def logging_to(lines: list[str]) -> Log:
    """Return a log that also keeps its lines."""

    def log_and_keep(line: str) -> None:
        log(line)
        lines.append(line)

    return log_and_keep
