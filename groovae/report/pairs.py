"""Windows beside what the model makes of them: which, how good, in what words.

A model for a task is scored as in judge.py: on the drums that it has to play, by the metrics that
the results have.
"""

import math
import warnings
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from groovae.config.tasks import task_of
from groovae.evaluation.intervals import mask_to_predicted
from groovae.metrics import scores as metrics
from groovae.report import scores

if TYPE_CHECKING:
    from groovae.evaluation.study import Study


class Words(NamedTuple):
    """What the page calls it.

    Attributes:
      heading: Of the section.
      made: What the model makes of a window.
      told: What it gets to see, and what it does.
    """

    heading: str
    made: str
    told: str


WORDS = {
    None: Words(
        "Reconstructions", "Reconstruction", "The model hears a window and plays it again."
    ),
    "humanize": Words(
        "What it makes of a stiff beat",
        "Humanized",
        "The model is shown the hits on the grid and plays their velocities and timing.",
    ),
    "tap2drum": Words(
        "What it makes of taps",
        "Drums to the taps",
        "The model is shown when something is struck and plays the drums.",
    ),
    "add_hihat": Words(
        "What it makes of a beat without hi-hat",
        "With its hi-hat",
        "The model is shown the window without the hi-hat, plays that, and is scored by it.",
    ),
    "transfer": Words(
        "What it makes of given hits",
        "The given hits as it plays them",
        "The model hears the window, is given its hits, and plays their velocities and timing.",
    ),
}


def words(study: "Study") -> Words:
    """The words for what its model was trained for."""
    return WORDS[task_of(study.config_name)]


def spread_by(study: "Study") -> str:
    """The metric that windows are ordered by: of hits, or of timing where all hits are given."""
    return "hit_f1" if "hit_f1" in study.results["scores"] else "timing_mae_ms"


def spread(study: "Study", count: int) -> list[int]:
    """Windows with hits to play, evenly spread from the best by `spread_by` to the worst."""
    by = spread_by(study)
    sign = -1 if metrics.METRICS[by].better == "higher" else 1
    values = [sign * found[by] for found in _scores(study)]
    order = [i for i in np.argsort(values, kind="stable").tolist() if math.isfinite(values[i])]
    places = np.linspace(0, len(order) - 1, min(count, len(order))).round().astype(int)
    return [order[place] for place in places]


def told(study: "Study", number: int) -> str:
    """The scores of one window in words."""
    (found,) = _scores(study, slice(number, number + 1))
    parts = []
    for name in scores.HEADLINES:
        if name in study.results["scores"]:
            about = metrics.METRICS[name]
            parts.append(f"{about.label} {scores.text(name, found[name])} {about.unit}".strip())
    return ", ".join(parts)


def _scores(study: "Study", part: slice = slice(None)) -> list[dict[str, float]]:
    """Of each window; all NaN where nothing is to be played."""
    reference, estimate = (
        mask_to_predicted(windows[part], study.layout)
        for windows in (study.reference, study.estimate)
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # A window may have too few hits; its scores say so.
        tallies = metrics.tally(reference, estimate, study.tempo_qpm[part])
    found = [
        metrics.scores({name: sums[i : i + 1] for name, sums in tallies.items()})
        for i in range(len(reference))
    ]
    wanted = tallies["wanted"].sum(axis=(1, 2)) > 0
    nothing = dict.fromkeys(metrics.METRICS, math.nan)
    return [one if some else nothing for one, some in zip(found, wanted, strict=True)]
