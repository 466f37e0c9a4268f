"""The page of a report: what a study holds, laid out by page.html, page.css and page.js."""

import base64
import hashlib
import importlib.resources
import json
import os
import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from groovae import __version__
from groovae.errors import GroovaeError
from groovae.metrics.scores import METRICS
from groovae.music.sound import FilePath
from groovae.report import encoding, figures, latent_map, pairs, rolls, scores
from groovae.report.encoding import Sound
from groovae.report.styles import styles_of
from groovae.system.atomic_files import atomic_write
from groovae.system.log import Log, no_log

if TYPE_CHECKING:
    from groovae.evaluation.study import Study

SHOWN_PAIRS, SHOWN_SAMPLES = 3, 6  # what is not folded away
SAMPLE_QPM = 120.0


class ReportOptions(NamedTuple):
    """What of a study is shown.

    Attributes:
      num_pairs: How many windows are shown beside what the model made of them, evenly spread from
        the best to the worst.
      num_samples: How many of the samples are shown, the first ones.
      soundfont: An .sf2 file for the sound; None takes the one built in.
    """

    num_pairs: int = 8
    num_samples: int = 12
    soundfont: FilePath | None = None


class Card(NamedTuple):
    """A groove to see and to hear."""

    title: str
    name: str
    svg: str
    bars: int
    seconds: float
    sound: Sound | None


class Pair(NamedTuple):
    """A window beside what the model made of it."""

    title: str
    scores: str
    original: Card
    reconstruction: Card


class Wanted(NamedTuple):
    """A card to be, whose sound is not there yet."""

    title: str
    name: str
    window: np.ndarray
    qpm: float
    original: np.ndarray | None = None


def write(
    path: str | os.PathLike[str],
    study: "Study",
    styles: Sequence[str] | None = None,
    options: ReportOptions | None = None,
    log: Log = no_log,
) -> None:
    """Writes the page of a study, atomically.

    Args:
      path: Of the HTML file.
      study: What there is to show; at least one window.
      styles: The musical style of each window; told from the file names where it is None.
      options: What of it is shown.
      log: Gets each line that tells what is about to happen, or what is missing.

    Raises:
      GroovaeError: there is no window, the soundfont cannot be played, or the file cannot be
        written.
    """
    html = page(study, styles, options or ReportOptions(), log)
    with atomic_write(path) as temporary:
        temporary.write_text(html, "utf-8")


def check(path: str | os.PathLike[str], options: ReportOptions) -> None:
    """Checks what `write` needs beside a study.

    Raises:
      GroovaeError: the soundfont cannot be played, or `path` cannot be written.
    """
    _check_writable(path)
    if options.soundfont is not None:
        encoding.check_sound(options.soundfont)


def _check_writable(path: str | os.PathLike[str]) -> None:
    """Tries it in the folder itself, or in the nearest one above it that is there."""
    target = Path(os.path.realpath(os.path.expanduser(path)))
    if target.exists() and not target.is_file():
        raise GroovaeError(f"cannot write {path}: it is not a file")
    folder = next(parent for parent in target.parents if os.path.lexists(parent))
    try:
        with tempfile.NamedTemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise GroovaeError(f"cannot write {path}: {folder}: {error.strerror or error}") from error


def page(study: "Study", styles: Sequence[str] | None, options: ReportOptions, log: Log) -> str:
    """The page as text; see `write`."""
    if not len(study.reference):
        raise GroovaeError(f"{study.examples}: no window to report on")
    if styles is None:
        styles = styles_of([source.filename for source in study.sources])
    no_sound = _why_silent(options, log)
    chosen = pairs.spread(study, options.num_pairs)
    wanted = [
        *_wanted_pairs(study, chosen),
        *_wanted_samples(study, options.num_samples),
        *_wanted_steps(study),
    ]
    cards = _cards(wanted, options, bool(no_sound), log)
    first, steps = 2 * len(chosen), len(study.interpolation)
    log("drawing the charts")
    the_map = latent_map.latent_map(study, styles)
    data = {**the_map.data, "shots": [], "shotVelocities": encoding.VELOCITIES}
    if not no_sound:
        data["shots"] = encoding.one_shots(options.soundfont)
    warned = study.results.get("warnings") or []
    return _filled(
        study=study,
        results=study.results,
        version=__version__,
        no_sound=no_sound,
        unseen=not any("baseline" in line for line in warned),
        intervals=any(
            scores.is_number((score or {}).get("low")) for score in study.results["scores"].values()
        ),
        warnings=warned,
        words=pairs.words(study),
        spread_by=METRICS[pairs.spread_by(study)].label,
        headlines=scores.headlines(study.results),
        estimates=figures.score_figures(study.results),
        table=scores.table(study.results),
        pairs=[
            Pair(
                f"{styles[number]}: {_place(study, number)}",
                pairs.told(study, number),
                *cards[2 * i : 2 * i + 2],
            )
            for i, number in enumerate(chosen)
        ],
        samples=cards[first : len(cards) - steps],
        interpolation=cards[len(cards) - steps :],
        shown_pairs=SHOWN_PAIRS,
        shown_samples=SHOWN_SAMPLES,
        sample_qpm=f"{SAMPLE_QPM:g}",
        map=the_map,
        data=_json(data),
        profiles=figures.profile_figures(study),
        features=figures.feature_figures(study),
        originality=scores.originality(study.results),
        details=figures.detail_figures(study.results),
        curves=figures.curve_figures(study),
        configuration=_configuration(study),
        lanes=rolls.LANES,
        grid=rolls.grid(study.reference.shape[1]),
        bars=study.layout.split_bars,
    )


def _why_silent(options: ReportOptions, log: Log) -> str:
    """Why the page cannot have sound; empty where it can. A soundfont that was named must do."""
    try:
        encoding.check_sound(options.soundfont)
    except GroovaeError as error:
        if options.soundfont is not None:
            raise
        log(f"the page is made without sound: {error}")
        return str(error)
    return ""


def _wanted_pairs(study: "Study", chosen: Sequence[int]) -> Iterable[Wanted]:
    made = pairs.words(study).made
    for i in chosen:
        name, qpm = _place(study, i), float(study.tempo_qpm[i])
        original, estimate = study.reference[i], study.estimate[i]
        yield Wanted("Original", f"original of {name}", original, qpm)
        yield Wanted(made, f"{made.lower()}: {name}", estimate, qpm, original)


def _wanted_samples(study: "Study", count: int) -> Iterable[Wanted]:
    for i, window in enumerate(study.samples[:count]):
        yield Wanted(f"Sample {i + 1}", f"sample {i + 1}", window, SAMPLE_QPM)


def _wanted_steps(study: "Study") -> Iterable[Wanted]:
    """The way from one window to another, at a tempo that goes along."""
    steps, (first, last) = len(study.interpolation), study.interpolation_ends
    if steps:
        tempos = np.geomspace(study.tempo_qpm[first], study.tempo_qpm[last], steps)
        for i, window in enumerate(study.interpolation):
            title = f"{i + 1} of {steps}"
            yield Wanted(title, f"step {title}", window, float(tempos[i]))


def _cards(wanted: Sequence[Wanted], options: ReportOptions, silent: bool, log: Log) -> list[Card]:
    grooves = [rolls.groove_of(each.window, each.qpm) for each in wanted]
    sounds: Sequence[Sound | None] = [None] * len(wanted)
    if not silent:
        log(f"rendering {len(wanted):,} grooves to sound")
        sounds = encoding.sounds(grooves, options.soundfont)
    return [
        Card(
            each.title,
            each.name,
            rolls.roll(each.window, each.original),
            len(each.window) // rolls.BAR_STEPS,
            groove.total_time,
            sound,
        )
        for each, groove, sound in zip(wanted, grooves, sounds, strict=True)
    ]


def _place(study: "Study", number: int) -> str:
    source = study.sources[number]
    return f"{source.filename}, bar {source.first_bar + 1}, {source.tempo_qpm:.4g} bpm"


def _configuration(study: "Study") -> dict[str, dict[str, Any]]:
    """Tables of what the model was trained with, of what config.json says."""
    about = study.about
    training = {
        name.replace("_", " "): value
        for name, value in about.items()
        if not isinstance(value, (dict, list)) and value is not None
    }
    tables = {
        "Evaluation": {
            "checkpoint": study.checkpoint,
            "step": f"{study.step:,}",
            "examples": study.examples,
            "velocities and timing": "of a hit" if study.as_hits else "mean over hit and no hit",
            "baselines fitted on": study.results.get("baseline_examples") or "nothing",
            **{name: f"{value:.4f}" for name, value in (study.results.get("losses") or {}).items()},
        },
        "Training": training,
        "Hyperparameters": about.get("hparams") or {},
        "Versions": about.get("versions") or {},
    }
    return {title: rows for title, rows in tables.items() if rows}


def _filled(**values: Any) -> str:
    """The template with its style and its script, which the page's policy knows by its hash."""
    import jinja2
    from markupsafe import Markup

    def read(name: str) -> str:
        return importlib.resources.files("groovae.report").joinpath(name).read_text("utf-8")

    environment = jinja2.Environment(
        autoescape=True,
        loader=jinja2.FunctionLoader(read),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["raw"] = Markup
    script = read("page.js")
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    template = environment.get_template("page.html")
    return template.render(**values, style=read("page.css"), script=script, script_hash=digest)


def _json(value: Any) -> str:
    """JSON that cannot end the element it stands in."""
    return json.dumps(value, separators=(",", ":")).replace("<", "\\u003c")
