"""The page of a report: the contents of a study, laid out by page.html, page.css and page.js."""

import base64
import hashlib
import importlib.resources
import json
import os
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from groovae import __version__
from groovae.config.layout import format_meter
from groovae.data.styles import styles_of
from groovae.errors import GroovaeError
from groovae.metrics.scores import METRICS
from groovae.music.drums import CLASS_NAMES
from groovae.music.picture import BAR_STEPS
from groovae.music.sound import FilePath
from groovae.report import encoding, figures, latent_map, pairs, rolls, summary
from groovae.report.encoding import Sound
from groovae.system.atomic_files import atomic_write, refuse_devices
from groovae.system.log import Log, no_log

if TYPE_CHECKING:
    from groovae.evaluation.study import Study

SHOWN_PAIRS, SHOWN_SAMPLES = 3, 6  # the others are folded
SAMPLE_QPM = 120.0


class ReportOptions(NamedTuple):
    """What a page shows of a study.

    Attributes:
      num_pairs: Number of windows with predictions, evenly spaced from the best to the worst.
      num_samples: Number of samples, the first ones.
      soundfont: An .sf2 file, by default the bundled one.
    """

    num_pairs: int = 8
    num_samples: int = 12
    soundfont: FilePath | None = None


class Card(NamedTuple):
    """A groove as a piano roll with sound."""

    title: str
    name: str
    window: np.ndarray
    qpm: float
    original: np.ndarray | None = None
    sound: Sound | None = None
    bar_steps: int = BAR_STEPS

    @property
    def groove(self) -> rolls.Groove:
        return rolls.groove_of(self.window, self.qpm)

    @property
    def svg(self) -> str:
        return rolls.roll(self.window, self.original, self.bar_steps)


class Pair(NamedTuple):
    """A window beside the prediction of the model."""

    title: str
    scores: str
    original: Card
    prediction: Card


def write(
    path: str | os.PathLike[str],
    study: "Study",
    styles: Sequence[str] | None = None,
    options: ReportOptions | None = None,
    log: Log = no_log,
) -> None:
    """Write the page of a study, atomically.

    Args:
      path: HTML file to write.
      study: With at least one window.
      styles: Musical style of each window, by default from the file names.
      options: What the page shows.
      log: Receives progress, and why the page has no sound.

    Raises:
      GroovaeError: there are no windows, the soundfont cannot be used, or the file cannot be
        written.
    """
    html = render(study, styles, options or ReportOptions(), log)
    with atomic_write(path) as temporary:
        temporary.write_text(html, "utf-8")


def check(path: str | os.PathLike[str], options: ReportOptions) -> None:
    """Check the arguments of `write` before the study is made.

    Raises:
      GroovaeError: the soundfont cannot be used, or `path` cannot be written.
    """
    _check_writable(path)
    if options.soundfont is not None:
        encoding.check_sound(options.soundfont)


def render(study: "Study", styles: Sequence[str] | None, options: ReportOptions, log: Log) -> str:
    """Return the page as text; see `write`."""
    if not len(study.reference):
        raise GroovaeError(f"{study.examples}: no windows to report on")
    if study.layout.num_drums != len(CLASS_NAMES):
        raise GroovaeError(
            f"a report needs the nine drum classes, and the model has {study.layout.num_drums}; "
            "use `groovae evaluate --metrics`"
        )
    if styles is None:
        styles = styles_of([source.filename for source in study.sources])
    no_sound = _why_silent(options, log)
    chosen = pairs.choose_windows(study, options.num_pairs)
    cards = [
        *_pair_cards(study, chosen),
        *_sample_cards(study, options.num_samples),
        *_interpolation_cards(study),
    ]
    cards = [card._replace(bar_steps=study.layout.steps_per_bar) for card in cards]
    if not no_sound:
        log(f"rendering {len(cards):,} grooves to sound")
        sounds = encoding.sounds([card.groove for card in cards], options.soundfont)
        cards = [card._replace(sound=sound) for card, sound in zip(cards, sounds, strict=True)]
    end_of_pairs, end_of_samples = 2 * len(chosen), len(cards) - len(study.interpolation)
    log("drawing the charts")
    the_map = latent_map.latent_map(study, styles)
    soundfont = None if options.soundfont is None else os.fspath(options.soundfont)
    shots = [] if no_sound else encoding.one_shots(soundfont)
    results = study.results
    return _fill_template(
        study=study,
        results=results,
        version=__version__,
        no_sound=no_sound,
        has_intervals=any(
            summary.is_number((score or {}).get("low")) for score in results["scores"].values()
        ),
        captions=pairs.captions(study),
        ranked_by=METRICS[pairs.ranking_metric(study)].label,
        headlines=summary.headlines(results),
        scores=figures.score_figures(results),
        table=summary.table(results),
        pairs=[
            Pair(
                f"{styles[number]}: {_window_name(study, number)}",
                pairs.format_scores(study, number),
                *cards[2 * i : 2 * i + 2],
            )
            for i, number in enumerate(chosen)
        ],
        samples=cards[end_of_pairs:end_of_samples],
        interpolation=cards[end_of_samples:],
        shown_pairs=SHOWN_PAIRS,
        shown_samples=SHOWN_SAMPLES,
        sample_qpm=f"{SAMPLE_QPM:g}",
        map=the_map,
        data=_json({**the_map.data, "shots": shots, "shotVelocities": encoding.VELOCITIES}),
        profiles=figures.profile_figures(study),
        features=figures.feature_figures(study),
        originality=summary.originality(results),
        details=figures.detail_figures(results),
        curves=figures.curve_figures(study),
        configuration=_configuration(study),
        lanes=rolls.LANES,
        grid=rolls.grid(study.reference.shape[1], study.layout.steps_per_bar),
        bars=study.layout.split_bars,
        meter=format_meter(study.layout.meter),
    )


def _check_writable(path: str | os.PathLike[str]) -> None:
    """Try to write in the folder of the file, or in its nearest existing parent."""
    refuse_devices(path)
    target = Path(os.path.realpath(os.path.expanduser(path)))
    if target.is_dir():
        raise GroovaeError(f"cannot write {path}: this is a folder; name a file in it")
    folder = next(parent for parent in target.parents if os.path.lexists(parent))
    try:
        with tempfile.NamedTemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise GroovaeError(f"cannot write {path}: {folder}: {error.strerror or error}") from error


def _why_silent(options: ReportOptions, log: Log) -> str:
    """Return why there can be no sound, or an empty string; a given soundfont must work."""
    try:
        encoding.check_sound(options.soundfont)
    except GroovaeError as error:
        if options.soundfont is not None:
            raise
        log(f"the page will have no sound: {error}")
        return str(error)
    return ""


def _pair_cards(study: "Study", chosen: Sequence[int]) -> Iterator[Card]:
    label = pairs.captions(study).prediction
    for i in chosen:
        name, qpm = _window_name(study, i), float(study.tempo_qpm[i])
        original, prediction = study.reference[i], study.predictions[i]
        yield Card("Original", f"original of {name}", original, qpm)
        yield Card(label, f"{label.lower()}: {name}", prediction, qpm, original)


def _sample_cards(study: "Study", count: int) -> Iterator[Card]:
    for i, window in enumerate(study.samples[:count], 1):
        yield Card(f"Sample {i}", f"sample {i}", window, SAMPLE_QPM)


def _interpolation_cards(study: "Study") -> Iterator[Card]:
    """Yield the steps between two windows, with the tempo interpolated too."""
    first, last = study.tempo_qpm[[*study.interpolation_ends]]
    tempos = np.geomspace(first, last, len(study.interpolation))
    for i, (window, qpm) in enumerate(zip(study.interpolation, tempos, strict=True), 1):
        title = f"{i} of {len(tempos)}"
        yield Card(title, f"step {title}", window, float(qpm))


def _window_name(study: "Study", number: int) -> str:
    source = study.sources[number]
    return f"{source.filename}, bar {source.first_bar + 1}, {source.tempo_qpm:.4g} bpm"


def _configuration(study: "Study") -> dict[str, dict[str, Any]]:
    """Return tables of how the model was evaluated and trained, without empty ones."""
    config, losses = study.training_config, study.results.get("losses") or {}
    tables = {
        "Evaluation": {
            "checkpoint": study.checkpoint,
            "step": f"{study.step:,}",
            "examples": study.examples,
            "velocities and timing": "given a hit" if study.as_hits else "mean over hit and no hit",
            "baselines fitted on": study.results.get("baseline_examples") or "nothing",
            **{name: f"{value:.4f}" for name, value in losses.items()},
        },
        "Training": {
            name.replace("_", " "): value
            for name, value in config.items()
            if not isinstance(value, dict | list) and value is not None
        },
        "Hyperparameters": config.get("hparams") or {},
        "Versions": config.get("versions") or {},
    }
    return {title: rows for title, rows in tables.items() if rows}


def _fill_template(**values: Any) -> str:
    """Render page.html with its style and its script, whose hash is in the page's policy."""
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
    """Return JSON that cannot end the element around it."""
    return json.dumps(value, separators=(",", ":")).replace("<", "\\u003c")
