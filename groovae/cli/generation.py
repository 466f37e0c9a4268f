"""What the commands that play share: a model, music files to play from, and what is left of it.

A take is what a command makes of one input: a file and its grooves. Where the input is a folder,
each music file in it is a take, written to the same place in another folder by one model, and the
draws start anew from the seed for each, so that it comes out as it would alone. A file that cannot
be played is told, counted and left out.
"""

import collections
import dataclasses
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from absl import flags

from groovae.cli.flags import define_checkpoint, define_seed
from groovae.cli.output import log, print_json
from groovae.data.music_files import deduplicate, find_music, printable
from groovae.data.window_report import format_counts
from groovae.errors import GroovaeError, UsageError
from groovae.music.midi_writer import numbered, write_sequence
from groovae.system.atomic_files import write_json
from groovae.system.log import Log

if TYPE_CHECKING:
    from groovae.generation.groove_model import GrooveModel

REPORT_FILE = "report.json"
OUT_HELP = (
    "The MIDI file to write, by default IN-COMMAND.mid, numbered where there are several; for a "
    "folder the folder to write, by default DIR-COMMAND."
)
CHANCE_OF_HITS = "How much is left to chance in the hits: 0 for the likeliest ones."
BATCH_SIZE = 8  # pieces of a file that are decoded at a time


@dataclasses.dataclass
class Output:
    """The grooves that were made of one input, and what there is to say of it.

    Attributes:
      grooves: NoteSequences.
      lines: For a person.
      about: For machines.
    """

    grooves: list[Any]
    lines: list[str] = dataclasses.field(default_factory=list)
    about: dict[str, Any] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True)
class GenerationCommand:
    """What a command does with an input.

    Attributes:
      task: What the model shall do.
      play: Does it, for one input.
      count: How many grooves it makes of one.
      also_read: Another file that must not be written over.
      check: Raises for what would make all files of a folder fail.
    """

    task: str
    play: Callable[["GrooveModel", Any], Output]
    count: int = 1
    also_read: str = ""
    check: Callable[["GrooveModel"], object] = lambda model: None


def define_output(
    values: flags.FlagValues, out: str | None = None, out_help: str = OUT_HELP
) -> None:
    """Which model plays, and how its grooves are written, shown and heard."""
    flags.DEFINE_string("out", out, out_help, flag_values=values)
    define_checkpoint(
        values,
        None,
        "; or what `groovae export --format=onnx` wrote, which takes no TensorFlow. By default "
        ".train; where nothing is trained there, what plays whole grooves takes the model that "
        "comes with groovae",
    )
    define_seed(values, None, "For the same grooves again; random by default, and printed.")
    flags.DEFINE_string(
        "drum_map",
        "gm",
        "The pitches of drums in MIDI, read and written: gm, roland, or a JSON file such as "
        '{"kick": 36, "snare": [38, 40]}, of which the first is written.',
        flag_values=values,
    )
    flags.DEFINE_bool(
        "pickup",
        False,
        "Where the first hit is ahead of the beat, begin with an empty bar, so that all stays on "
        "the grid of a sequencer; else the groove starts that much later.",
        flag_values=values,
    )
    flags.DEFINE_bool("png", False, "Also a picture, NAME.png.", flag_values=values)
    flags.DEFINE_bool("wav", False, "Also the sound, NAME.wav.", flag_values=values)
    flags.DEFINE_bool("play", False, "Play it on this machine.", flag_values=values)
    flags.DEFINE_string(
        "soundfont",
        None,
        "An .sf2 file for the sound; a small one is built in.",
        flag_values=values,
    )
    flags.DEFINE_bool("preview", True, "Show the groove as text.", flag_values=values)
    flags.DEFINE_bool(
        "json", False, "Print the files and what they hold as JSON.", flag_values=values
    )


def load(values: Any, task: str, batch_size: int = BATCH_SIZE) -> "GrooveModel":
    """The model that the flags name, fit for the task."""
    from groovae.generation.groove_model import load_model

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
        as_hits="as_hits" in values and values.as_hits,
    )
    log(f"{model.config_name} from {model.checkpoint}, seed {model.seed}")
    return model


def read(path: str, tell: Log = log) -> Any:
    """The groove in a music file."""
    from groovae.data.conversion import read_sequence

    return read_sequence(path, log=tell)


def play_all(values: Any, source: str, job: GenerationCommand) -> int:
    """Plays a music file, or each one in a folder.

    Returns:
      The exit code: 1 where nothing in a folder could be played.
    """
    source = os.path.expanduser(source)
    check_sound(values)
    if os.path.isdir(source):
        return _play_folder(values, source, job)
    paths = numbered(values.out or f"{Path(source).stem}-{job.task}.mid", job.count)
    check_apart([source, job.also_read], paths)
    lost: list[str] = []
    groove = read(source, _telling(lost))
    model = load(values, job.task)
    model.log = _telling(lost)
    take = job.play(model, groove)
    played = {"lost": lost, **take.about, "outputs": deliver(values, model, paths, take)}
    if values.json:
        print_json({**about(model), "source": source, **played})
    return 0


def deliver(
    values: Any, model: "GrooveModel", paths: list[Path], take: Output
) -> list[dict[str, Any]]:
    """Writes the grooves of a take, as MIDI and whatever else is wanted, and tells of them."""
    for line in take.lines:
        log(line)
    outputs = []
    for path, groove in zip(paths, take.grooves, strict=True):
        moved_ms = write_sequence(path, groove, values.pickup)
        output = {"file": printable(str(path)), "hits": len(groove.notes), "moved_ms": moved_ms}
        log(_describe(output, values.pickup))
        outputs.append({**output, **_show(values, model, path, groove, moved_ms)})
        if not values.json:
            for kind in filter(outputs[-1].__contains__, ("file", "png", "wav")):
                print(outputs[-1][kind], flush=True)
    return outputs


def about(model: "GrooveModel") -> dict[str, Any]:
    """Where grooves come from, for JSON."""
    return {"checkpoint": model.checkpoint, "config": model.config_name, "seed": model.seed}


def check_sound(values: Any) -> None:
    """Checks what `--wav` and `--play` need, before anything is written."""
    if values.wav or values.play:
        from groovae.music.sound import check_ready

        check_ready(values.soundfont)
    elif values.soundfont:
        raise UsageError("--soundfont is for --wav and --play; give one of them")


def _show(
    values: Any, model: "GrooveModel", path: Path, groove: Any, moved_ms: float
) -> dict[str, str]:
    """The groove as text, picture and sound; the files that were written, by their kind."""
    drum_map, written = model.layout.pitch_classes, {}
    if values.preview:
        from groovae.music.picture import preview

        log(preview(groove, drum_map, shutil.get_terminal_size((100, 24)).columns))
    if values.png:
        from groovae.music.picture import draw

        written["png"] = path.with_suffix(".png")
        draw(written["png"], groove, drum_map, title=printable(path.stem))
    if values.wav or values.play:
        from groovae.generation.grooves import shift_groove
        from groovae.music.sound import play, write_wav

        heard = shift_groove(groove, moved_ms / 1000)  # as in the MIDI file
        if values.wav:
            written["wav"] = path.with_suffix(".wav")
            write_wav(written["wav"], heard, drum_map, values.soundfont)
        if values.play:
            play(heard, drum_map, values.soundfont)
    return {kind: printable(str(name)) for kind, name in written.items()}


def _describe(output: dict[str, Any], pickup: bool) -> str:
    line = f"{output['file']}: {output['hits']} hits"
    if not output["hits"]:
        return f"{line}; the model is silent, train it longer or raise --temperature"
    if output["moved_ms"] and pickup:
        return f"{line}, after an empty bar, since a hit is played before the beat"
    if output["moved_ms"]:
        line += f", starts {output['moved_ms']:.1f} ms late to keep a hit played before the beat"
    return line


def _telling(lost: list[str]) -> Log:
    """Says a line, and keeps it."""

    def tell(line: str) -> None:
        log(line)
        lost.append(line)

    return tell


def _play_folder(values: Any, source: str, job: GenerationCommand) -> int:
    name = os.path.basename(os.path.abspath(source))
    folder = Path(values.out or f"{name}-{job.task}").expanduser()
    if folder.is_file():
        raise UsageError(f"{folder}: this is a file, and {source} is a folder; name a folder")
    targets = _targets(source, folder, job.count)
    check_apart(
        [job.also_read, *(os.path.join(source, file) for file in targets)],
        [path for paths in targets.values() for path in paths],
    )
    values.preview = False
    model = load(values, job.task)
    job.check(model)
    report: dict[str, Any] = {**about(model), "takes": [], "skipped": []}
    for file, paths in targets.items():
        _play_one(values, model, job, os.path.join(source, file), paths, report)
    return _close_folder(values, folder, report)


def _play_one(
    values: Any,
    model: "GrooveModel",
    job: GenerationCommand,
    path: str,
    paths: list[Path],
    report: dict[str, Any],
) -> None:
    """Plays a file of a folder, as it would be played alone, or leaves it out."""
    lost: list[str] = []
    model.log = _telling(lost)
    model.reset_random()
    try:
        take = job.play(model, read(path, model.log))
    except GroovaeError as error:
        log(f"left out: {error}")
        report["skipped"].append(
            {"source": printable(path), "reason": _reason(str(error), printable(path))}
        )
        return
    outputs = deliver(values, model, paths, take)
    report["takes"].append(
        {"source": printable(path), "lost": lost, **take.about, "outputs": outputs}
    )


def _targets(source: str, folder: Path, count: int) -> dict[str, list[Path]]:
    """Where the music files below `source` go, but for what an earlier run left in `folder`."""
    root, own = os.path.abspath(source), os.path.realpath(folder)
    files, _ = deduplicate(root, find_music(root).files)
    if _is_below(own, os.path.realpath(root)):
        files = [file for file in files if not _is_below(os.path.join(root, file), own)]
    targets: dict[str, list[Path]] = {}
    taken: set[Path] = set()
    for file in files:
        target = folder / Path(file).with_suffix(".mid")
        if target in taken:  # as take.mid and take.midi
            target = folder / f"{file}.mid"
        taken.add(target)
        targets[file] = numbered(target, count)
    return targets


def _is_below(path: str, folder: str) -> bool:
    real = os.path.realpath(path)
    return real != folder and os.path.commonpath([real, folder]) == folder


def _close_folder(values: Any, folder: Path, report: dict[str, Any]) -> int:
    """Tells and keeps what became of the files of a folder; the exit code."""
    done, skipped = len(report["takes"]), report["skipped"]
    write_json(folder / REPORT_FILE, report)
    line = f"played {done} of {done + len(skipped)} files to {folder}"
    if skipped:
        reasons = collections.Counter(one["reason"] for one in skipped)
        line += f"; left out: {format_counts(reasons)}"
    log(f"{line}; the report is {folder / REPORT_FILE}")
    if values.json:
        print_json(report)
    return 0 if done else 1


def _reason(message: str, name: str) -> str:
    """What an error says of a file, without its name, details and advice."""
    text = message.removeprefix(f"{name}: ")
    return text.partition(";")[0].partition(" (")[0]


def check_apart(sources: list[str], targets: list[Path]) -> None:
    """Checks that nothing is written over what is read, and no two outputs have one name."""
    read_from = {os.path.realpath(os.path.expanduser(source)) for source in sources}
    seen: set[str] = set()
    for target in targets:
        real = os.path.realpath(target)
        if real in read_from:
            raise UsageError(f"{target}: this is an input; name another --out")
        if real in seen:
            raise UsageError(f"{target}: two inputs would be written here; play them one by one")
        seen.add(real)
