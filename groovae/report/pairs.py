"""Windows beside the predictions of the model: which ones to show, their scores, and captions.

A model for a task is scored as in evaluation/intervals.py, on the drums that it predicts.
"""

import math
import warnings
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from groovae.config.tasks import task_of
from groovae.evaluation.intervals import mask_to_predicted
from groovae.evaluation.tables import HEADLINES
from groovae.metrics import scores
from groovae.metrics.scores import METRICS
from groovae.report import summary

if TYPE_CHECKING:
    from groovae.evaluation.study import Study


class Captions(NamedTuple):
    """Texts of the section.

    Attributes:
      heading: Of the section.
      prediction: Name of what the model outputs for a window.
      task: What the model receives and predicts.
    """

    heading: str
    prediction: str
    task: str


CAPTIONS = {
    None: Captions(
        "Reconstructions", "Reconstruction", "The model encodes a window and decodes it again."
    ),
    "humanize": Captions(
        "Humanized beats",
        "Humanized",
        "The model receives the quantized hits and predicts their velocities and timing.",
    ),
    "tap2drum": Captions(
        "Drums from taps",
        "Drums",
        "The model receives the times of the hits without their drums and predicts the drum part.",
    ),
    "add_hihat": Captions(
        "Added hi-hats",
        "With added hi-hat",
        "The model receives a window without its closed hi-hat and predicts that.",
    ),
    "transfer": Captions(
        "Transferred grooves",
        "Given hits, predicted groove",
        "The model encodes a window, is given its hits, and predicts their velocities and timing.",
    ),
}


def captions(study: "Study") -> Captions:
    """Return the texts for the task of the model."""
    return CAPTIONS.get(task_of(study.layout), CAPTIONS[None])


def ranking_metric(study: "Study") -> str:
    """Return the metric that ranks windows: hit F1, or the timing error if hits are given."""
    return "hit_f1" if "hit_f1" in study.results["scores"] else "timing_mae_ms"


def choose_windows(study: "Study", count: int) -> list[int]:
    """Return indices of windows with scores, from the best to the worst, evenly spaced by rank."""
    metric = ranking_metric(study)
    sign = -1 if METRICS[metric].better == "higher" else 1
    values = [sign * found[metric] for found in _window_scores(study)]
    order = [i for i in np.argsort(values, kind="stable").tolist() if math.isfinite(values[i])]
    ranks = np.linspace(0, len(order) - 1, min(count, len(order))).round().astype(int)
    return [order[rank] for rank in ranks]


def format_scores(study: "Study", index: int) -> str:
    """Return the main scores of a window as text."""
    (found,) = _window_scores(study, slice(index, index + 1))
    return ", ".join(
        f"{METRICS[name].label} {summary.text(name, found[name])} {METRICS[name].unit}".strip()
        for name in HEADLINES
        if name in study.results["scores"]
    )


def _window_scores(study: "Study", part: slice = slice(None)) -> list[dict[str, float]]:
    """Return the scores of each window, all NaN for a window without reference hits."""
    reference, predictions = (
        mask_to_predicted(windows[part], study.layout)
        for windows in (study.reference, study.predictions)
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a window may have too few hits
        tempo_qpm, meter = study.tempo_qpm[part], study.layout.meter
        tallies = scores.tally(reference, predictions, tempo_qpm, meter=meter)
    has_hits = tallies["reference_hits"].sum(axis=(1, 2)) > 0
    undefined = dict.fromkeys(METRICS, math.nan)
    found = zip(scores.by_window(tallies), has_hits, strict=True)
    return [values if is_defined else undefined for values, is_defined in found]
