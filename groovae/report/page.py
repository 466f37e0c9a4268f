"""The page of a report: what a study holds, laid out by page.html, page.css and page.js."""

import base64
import hashlib
import importlib.resources
import json
import os
import warnings
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from groovae import __version__, metrics
from groovae.errors import GroovaeError
from groovae.files import replacing
from groovae.report import encoding, figures, latent_map, rolls, scores
from groovae.report.encoding import Sound
from groovae.report.styles import styles_of
from groovae.sound import FilePath

if TYPE_CHECKING:
    from groovae.appraisal import Study

SHOWN_PAIRS, SHOWN_SAMPLES = 3, 6  # what is not folded away
SAMPLE_QPM = 120.0

Say = Callable[[str], None]


class Options(NamedTuple):
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
    options: Options | None = None,
    say: Say = lambda line: None,
) -> None:
    """Writes the page of a study, atomically.

    Args:
      path: Of the HTML file.
      study: What there is to show; at least one window.
      styles: The musical style of each window; told from the file names where it is None.
      options: What of it is shown.
      say: Gets each line that tells what is about to happen, or what is missing.

    Raises:
      GroovaeError: there is no window, the soundfont cannot be played, or the file cannot be
        written.
    """
    html = page(study, styles, options or Options(), say)
    with replacing(path) as temporary:
        temporary.write_text(html, "utf-8")


def check(path: str | os.PathLike[str], options: Options) -> None:
    """Checks what `write` needs beside a study.

    Raises:
      GroovaeError: the soundfont cannot be played, or `path` is a folder.
    """
    if os.path.isdir(os.path.expanduser(path)):
        raise GroovaeError(f"cannot write {path}: it is not a file")
    if options.soundfont is not None:
        encoding.check_sound(options.soundfont)


def page(study: "Study", styles: Sequence[str] | None, options: Options, say: Say) -> str:
    """The page as text; see `write`."""
    if not len(study.reference):
        raise GroovaeError(f"{study.examples}: no window to report on")
    if styles is None:
        styles = styles_of([source.filename for source in study.sources])
    no_sound = _why_silent(options, say)
    chosen = spread(study, options.num_pairs)
    wanted = [
        *_wanted_pairs(study, chosen),
        *_wanted_samples(study, options.num_samples),
        *_wanted_steps(study),
    ]
    cards = _cards(wanted, options, bool(no_sound), say)
    pairs, steps = 2 * len(chosen), len(study.interpolation)
    say("drawing the charts")
    the_map = latent_map.latent_map(study, styles)
    data = {**the_map.data, "shots": [], "shotVelocities": encoding.VELOCITIES}
    if not no_sound:
        data["shots"] = encoding.one_shots(options.soundfont)
    return _filled(
        study=study,
        results=study.results,
        version=__version__,
        no_sound=no_sound,
        headlines=scores.headlines(study.results),
        estimates=figures.score_figures(study.results),
        table=scores.table(study.results),
        pairs=[
            _pair(study, number, styles[number], cards[2 * i], cards[2 * i + 1])
            for i, number in enumerate(chosen)
        ],
        samples=cards[pairs : len(cards) - steps],
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


def spread(study: "Study", count: int) -> list[int]:
    """Windows with hits, evenly spread from the one of the highest hit F1 to that of the lowest."""
    drums = study.reference.shape[-1] // 3
    ours, theirs = (windows[..., :drums] > 0.5 for windows in (study.reference, study.estimate))
    total = ours.sum(axis=(1, 2)) + theirs.sum(axis=(1, 2))
    f1 = 2 * (ours & theirs).sum(axis=(1, 2)) / np.maximum(total, 1)
    order = [i for i in np.argsort(-f1, kind="stable").tolist() if ours[i].any()]
    places = np.linspace(0, len(order) - 1, min(count, len(order))).round().astype(int)
    return [order[place] for place in places]


def _why_silent(options: Options, say: Say) -> str:
    """Why the page cannot have sound; empty where it can. A soundfont that was named must do."""
    try:
        encoding.check_sound(options.soundfont)
    except GroovaeError as error:
        if options.soundfont is not None:
            raise
        say(f"the page is made without sound: {error}")
        return str(error)
    return ""


def _wanted_pairs(study: "Study", chosen: Sequence[int]) -> Iterable[Wanted]:
    for i in chosen:
        name, qpm = _place(study, i), float(study.tempo_qpm[i])
        original, estimate = study.reference[i], study.estimate[i]
        yield Wanted("Original", f"original of {name}", original, qpm)
        yield Wanted("Reconstruction", f"reconstruction of {name}", estimate, qpm, original)


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


def _cards(wanted: Sequence[Wanted], options: Options, silent: bool, say: Say) -> list[Card]:
    grooves = [rolls.groove_of(each.window, each.qpm) for each in wanted]
    sounds: Sequence[Sound | None] = [None] * len(wanted)
    if not silent:
        say(f"rendering {len(wanted):,} grooves to sound")
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


def _pair(study: "Study", number: int, style: str, original: Card, estimate: Card) -> Pair:
    one = slice(number, number + 1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # A window may have too few hits; its scores say so.
        found = metrics.scores(
            metrics.tally(study.reference[one], study.estimate[one], study.tempo_qpm[one])
        )
    told = []
    for name in scores.HEADLINES:
        about = metrics.METRICS[name]
        told.append(f"{about.label} {scores.text(name, found[name])} {about.unit}".strip())
    title = f"{style}: {_place(study, number)}"
    return Pair(title, ", ".join(told), original, estimate)


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
