"""The charts of a report: their data, titles and captions."""

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from groovae.evaluation.tables import HEADLINES
from groovae.metrics import features
from groovae.metrics.scores import METRICS
from groovae.music.drums import class_names
from groovae.report import charts, summary

if TYPE_CHECKING:
    from groovae.evaluation.study import Study

# Columns of the metrics logs with their titles and captions.
CURVES = {
    "loss": ("Loss", "Reconstruction loss and weighted KL cost."),
    "losses/r_loss": ("Reconstruction loss", "Of hits, velocities and offsets, per window."),
    "losses/kl_bits": ("KL divergence, bits", "Information in z, per window."),
}
PROFILES = (
    ("lateness", "Timing", "16ths late", "Above 0 is behind the beat, below 0 ahead of it."),
    ("velocity", "Velocity", "of 127", "Mean over all drums."),
    ("hits", "Hits", "a bar", "Of all drums, at this 16th."),
)
FEATURES = {  # those with one number per window
    "density": "Hits a bar, of all drums.",
    "syncopation": "Hits on weak 16ths that are held over stronger ones.",
    "swing": "Lateness of the second and fourth 16th of a beat against the first and third.",
}


class Figure(NamedTuple):
    """A chart with its title and caption."""

    title: str
    svg: str
    caption: str


def score_figures(results: dict[str, Any]) -> list[Figure]:
    """Draw the main scores of the model beside those of the baselines."""
    figures = []
    for metric in HEADLINES:
        rows, about = summary.ranked_scores(metric, results), METRICS[metric]
        if len(rows) > 1 and summary.is_number(rows[0].value):
            values = "; ".join(f"{row.label} {summary.text(metric, row.value)}" for row in rows)
            svg = charts.intervals(
                _chart_id("scores", metric), f"{about.label}: {values}", rows, about.unit
            )
            has_intervals = any(summary.is_number(row.low) for row in rows)
            caption = "Lines are 95% intervals over recordings." if has_intervals else ""
            figures.append(Figure(f"{_title(about.label)}: {about.better} is better", svg, caption))
    return figures


def curve_figures(study: "Study") -> list[Figure]:
    """Draw the training and validation curves, if logged."""
    figures = []
    for number, (column, (title, caption)) in enumerate(CURVES.items()):
        training, validation = (
            _points(rows, column) for rows in (study.training, study.validation)
        )
        if training or validation:
            marked = [(step, value) for step, value in validation if step == study.step]
            lines = {"training": training, "validation": validation}
            ends = [f"{name} ends at {line[-1][1]:.4g}" for name, line in lines.items() if line]
            description = f"{title}: {', '.join(ends)}"
            svg = charts.curve(f"curve-{number}", description, training, validation, marked)
            figures.append(Figure(title, svg, caption))
    return figures


def profile_figures(study: "Study") -> list[Figure]:
    """Draw timing, velocity and density by 16th of the bar, of the data and of the samples."""
    meter = study.layout.meter
    profiles = [
        (name, colour, features.profile(windows, meter)) for name, colour, windows in _sets(study)
    ]
    figures = []
    for name, title, unit, caption in PROFILES:
        series = [(label, colour, getattr(each, name)) for label, colour, each in profiles]
        title = f"{title} by 16th of the bar"
        description = f"{title}, {unit}: {_describe(series)}"
        svg = charts.by_sixteenth(f"profile-{name}", description, series, unit)
        figures.append(Figure(title, svg, caption))
    return figures


def feature_figures(study: "Study") -> list[Figure]:
    """Draw the distributions of features in the data and in the samples, if there are any."""
    if not len(study.samples):
        return []
    compared = (study.results.get("samples") or {}).get("features") or {}
    figures, meter = [], study.layout.meter
    for name, caption in FEATURES.items():
        feature = features.FEATURES[name]
        data, samples = feature(study.reference, meter), feature(study.samples, meter)
        description = f"{name}: mean {data.mean():.3g} in data, {samples.mean():.3g} in samples"
        svg = charts.densities(f"feature-{name}", description, data, samples, feature.unit)
        caption += _similarity(compared.get(name) or {})
        figures.append(Figure(_title(feature.label), svg, caption))
    drums = class_names(study.reference.shape[-1] // 3)
    series = [
        (label, colour, 100 * features.drums(windows, meter).mean(axis=0))
        for label, colour, windows in _sets(study)
    ]
    description = f"% of the hits by drum ({', '.join(drums)}): {_describe(series)}"
    svg = charts.dots("feature-drums", description, drums, series, "% of the hits")
    caption = "Mean over windows." + _similarity(compared.get("drums") or {})
    return [*figures, Figure("Drums", svg, caption)]


def detail_figures(results: dict[str, Any]) -> list[Figure]:
    """Draw the main scores by drum and by position in the bar."""
    by_drum, by_position = results.get("by_drum") or {}, results.get("by_position") or []
    drum_figures, position_figures = [], []
    for metric in HEADLINES:
        about = METRICS[metric]
        drums = [name for name, row in by_drum.items() if summary.is_number(row.get(metric))]
        if drums:
            values = [by_drum[name][metric] for name in drums]
            texts = [f"{d} {summary.text(metric, v)}" for d, v in zip(drums, values, strict=True)]
            svg = charts.dots(
                _chart_id("drums", metric),
                f"{about.label}: {', '.join(texts)}",
                drums,
                [(about.label, charts.MODEL, np.array(values, float))],
                about.unit,
            )
            drum_figures.append(Figure(f"{_title(about.label)} by drum", svg, ""))
        values = [row.get(metric) for row in by_position]
        if any(map(summary.is_number, values)):
            texts = [summary.text(metric, value) for value in values]
            svg = charts.by_sixteenth(
                _chart_id("positions", metric),
                f"{about.label} by 16th of the bar: {', '.join(texts)}",
                [("", charts.MODEL, np.array(values, float))],
                about.unit,
            )
            position_figures.append(Figure(f"{_title(about.label)} by 16th", svg, ""))
    return drum_figures + position_figures


def _sets(study: "Study") -> list[tuple[str, str, np.ndarray]]:
    """Return label, colour and windows of the data and, if there are any, of the samples."""
    sets = [("data", charts.DATA, study.reference), ("samples", charts.MODEL, study.samples)]
    return [each for each in sets if len(each[2])]


def _chart_id(kind: str, metric: str) -> str:
    return f"{kind}-{metric.replace('_', '-')}"


def _title(label: str) -> str:
    return label[0].upper() + label[1:]


def _points(rows: Sequence[dict[str, float]], column: str) -> list[tuple[float, float]]:
    found = [(row["step"], row[column]) for row in rows if column in row]
    return [(step, value) for step, value in found if math.isfinite(value)]


def _describe(series: Sequence[tuple[str, str, np.ndarray]]) -> str:
    return "; ".join(
        f"{label} {', '.join(_number(value) for value in values)}" for label, _, values in series
    )


def _number(value: float) -> str:
    return f"{value:.3g}" if math.isfinite(value) else summary.NOT_AVAILABLE


def _similarity(compared: dict[str, Any]) -> str:
    area, divergence = compared.get("overlapped_area"), compared.get("kl_divergence")
    if not (summary.is_number(area) and summary.is_number(divergence)):
        return ""
    return f" Overlapped area {area:.2f}, KL divergence {divergence:.3f}."
