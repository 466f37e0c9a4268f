"""Which charts a report shows of a study: their data, titles and captions."""

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from groovae.metrics import features
from groovae.metrics.scores import METRICS
from groovae.music.drums import CLASS_NAMES
from groovae.report import charts, scores

if TYPE_CHECKING:
    from groovae.evaluation.study import Study

# What a curve shows, by TensorBoard's names.
CURVES = {
    "loss": ("Loss", "What training makes smaller: reconstruction and the weighted KL cost."),
    "losses/r_loss": ("Reconstruction loss", "Of a window: hits, velocities and offsets."),
    "losses/kl_bits": ("KL divergence, bits", "How much z says of a window."),
}
NUMBERS = ("density", "syncopation", "swing")  # the features that are one number a window
CAPTIONS = {
    "density": "Hits a bar, of all drums.",
    "syncopation": "How much is struck on weak 16ths and held over strong ones.",
    "swing": "How much later the second and fourth 16th of a beat come than the first and third.",
}


class Figure(NamedTuple):
    """A chart with what stands above and below it."""

    title: str
    svg: str
    caption: str


def score_figures(results: dict[str, Any]) -> list[Figure]:
    """The model beside the baselines, for each metric of the headlines."""
    figures = []
    for metric in scores.HEADLINES:
        rows = scores.estimates(metric, results)
        about = METRICS[metric]
        if len(rows) > 1 and scores.is_number(rows[0].value):
            told = "; ".join(f"{row.label} {scores.text(metric, row.value)}" for row in rows)
            title = f"{_title(about.label)}: {about.better} is better"
            name = f"estimates-{metric.replace('_', '-')}"
            plain = [row[:4] for row in rows]
            svg = charts.estimates(name, f"{about.label}: {told}", plain, about.unit)
            has_intervals = any(scores.is_number(row.low) for row in rows)
            caption = "Lines are 95 % intervals, over recordings." if has_intervals else ""
            figures.append(Figure(title, svg, caption))
    return figures


def curve_figures(study: "Study") -> list[Figure]:
    """The training and validation curves, of what either has."""
    figures = []
    for number, (column, (title, caption)) in enumerate(CURVES.items()):
        training, validation = (
            _points(rows, column) for rows in (study.training, study.validation)
        )
        if training or validation:
            marked = [(step, value) for step, value in validation if step == study.step]
            lines = {"training": training, "validation": validation}
            told = [f"{name} ends at {line[-1][1]:.4g}" for name, line in lines.items() if line]
            description = f"{title}: {', '.join(told)}"
            svg = charts.curve(f"curve-{number}", description, training, validation, marked)
            figures.append(Figure(title, svg, caption))
    return figures


def profile_figures(study: "Study") -> list[Figure]:
    """Velocity, timing and density of each 16th of the bar, in the data and in the samples."""
    sets = [("data", charts.DATA, features.profile(study.reference))]
    if len(study.samples):
        sets.append(("samples", charts.MODEL, features.profile(study.samples)))
    wanted = [
        ("lateness", "Timing", "16ths late", "Above 0 is behind the beat, below 0 ahead of it."),
        ("velocity", "Velocity", "of 127", "Mean over all drums."),
        ("hits", "Hits", "a bar", "Of all drums, at this 16th."),
    ]
    figures = []
    for name, title, unit, caption in wanted:
        series = [(label, colour, getattr(each, name)) for label, colour, each in sets]
        told = "; ".join(f"{label} {_listed(values)}" for label, _, values in series)
        description = f"{title} by 16th of the bar, {unit}: {told}"
        svg = charts.by_sixteenth(f"profile-{name}", description, series, unit)
        figures.append(Figure(f"{title} by 16th of the bar", svg, caption))
    return figures


def feature_figures(study: "Study") -> list[Figure]:
    """How features are distributed in the data and in the samples, and how alike they are."""
    if not len(study.samples):
        return []
    compared = (study.results.get("samples") or {}).get("features") or {}
    figures = []
    for name in NUMBERS:
        feature = features.FEATURES[name]
        data, samples = feature(study.reference), feature(study.samples)
        description = f"{name}: mean {data.mean():.3g} in data, {samples.mean():.3g} in samples"
        svg = charts.densities(f"feature-{name}", description, data, samples, feature.unit)
        caption = CAPTIONS[name] + _likeness(compared.get(name) or {})
        figures.append(Figure(_title(feature.label), svg, caption))
    usage = features.FEATURES["drums"]
    drums = CLASS_NAMES[: study.reference.shape[-1] // 3]
    shares = [
        (label, colour, 100 * usage(windows).mean(axis=0))
        for label, colour, windows in (
            ("data", charts.DATA, study.reference),
            ("samples", charts.MODEL, study.samples),
        )
    ]
    told = "; ".join(f"{label} {_listed(values)}" for label, _, values in shares)
    description = f"% of the hits by drum ({', '.join(drums)}): {told}"
    svg = charts.dots("feature-drums", description, drums, shares, "% of the hits")
    caption = "Mean over windows." + _likeness(compared.get("drums") or {})
    return [*figures, Figure("Drums", svg, caption)]


def detail_figures(results: dict[str, Any]) -> list[Figure]:
    """The metrics of the headlines by drum and by position in the bar."""
    figures = []
    by_drum, by_position = results.get("by_drum") or {}, results.get("by_position") or []
    for metric in scores.HEADLINES:
        about = METRICS[metric]
        values = _values(by_drum.values(), metric)
        known = np.isfinite(values)
        if known.any():
            drums = [drum for drum, some in zip(by_drum, known, strict=True) if some]
            values = values[known]
            name = f"drums-{metric.replace('_', '-')}"
            pairs = zip(drums, values, strict=True)
            description = ", ".join(f"{drum} {scores.text(metric, value)}" for drum, value in pairs)
            series = [(about.label, charts.MODEL, values)]
            svg = charts.dots(name, f"{about.label}: {description}", drums, series, about.unit)
            figures.append(Figure(f"{_title(about.label)} by drum", svg, ""))
    for metric in scores.HEADLINES:
        about = METRICS[metric]
        values = _values(by_position, metric)
        if np.isfinite(values).any():
            name = f"positions-{metric.replace('_', '-')}"
            series = [("", charts.MODEL, values)]
            told = ", ".join(scores.text(metric, value) for value in values)
            description = f"{about.label} by 16th of the bar: {told}"
            svg = charts.by_sixteenth(name, description, series, about.unit)
            figures.append(Figure(f"{_title(about.label)} by 16th", svg, ""))
    return figures


def _title(label: str) -> str:
    return label[0].upper() + label[1:]


def _points(rows: Sequence[dict[str, float]], column: str) -> list[tuple[float, float]]:
    found = [(row["step"], row[column]) for row in rows if column in row]
    return [(step, value) for step, value in found if math.isfinite(value)]


def _values(rows: Any, metric: str) -> np.ndarray:
    values = [row.get(metric) for row in rows]
    return np.array([value if scores.is_number(value) else np.nan for value in values], float)


def _listed(values: np.ndarray) -> str:
    return ", ".join(f"{value:.3g}" if math.isfinite(value) else scores.NOTHING for value in values)


def _likeness(compared: dict[str, Any]) -> str:
    area, divergence = compared.get("overlapped_area"), compared.get("kl_divergence")
    if not (scores.is_number(area) and scores.is_number(divergence)):
        return ""
    return f" Overlapped area {area:.2f}, KL divergence {divergence:.3f}."
