"""A map of the latent space, with a point for each window, and the data for the page's script.

The map is the plane of the first two principal components of `mu`. The most common styles have a
colour of their own, all others share the last one.
"""

import base64
import collections
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from groovae.music.drums import CLASS_NAMES, CLOSED_HIHAT, OPEN_HIHAT
from groovae.report import charts, rolls

if TYPE_CHECKING:
    from groovae.evaluation.study import Study

MAX_POINTS = 1500  # evenly chosen from more; about 10,000 would make a page of 15 MB
OTHERS = "others"


class Style(NamedTuple):
    """An entry of the legend, with the colour `--style-NUMBER`."""

    name: str
    number: int
    windows: int


class Map(NamedTuple):
    """The chart, its legend, the data for the script, and the share of variance it explains."""

    svg: str
    legend: list[Style]
    data: dict[str, Any]
    explained: float


def latent_map(study: "Study", styles: Sequence[str]) -> Map:
    """Draw the map of a study with at least one window; `styles` are those of the windows."""
    count = len(study.mu)
    chosen = np.unique(np.linspace(0, count - 1, min(count, MAX_POINTS)).round().astype(int))
    plane, shares = principal_plane(study.mu)
    legend = _legend([styles[i] for i in chosen])
    number_of = {style.name: style.number for style in legend}
    colours = [number_of.get(styles[i], charts.STYLE_COLOURS - 1) for i in chosen]
    axes = [f"component {i + 1}: {shares[i]:.0%} of the variance" for i in range(2)]
    counts = ", ".join(f"{style.name} {style.windows}" for style in legend)
    svg = charts.scatter(
        "map", f"Map of {len(chosen)} windows by style: {counts}", plane[chosen], colours, axes
    )
    return Map(svg, legend, _data(study, styles, chosen, colours), float(sum(shares)))


def principal_plane(mu: np.ndarray) -> tuple[np.ndarray, tuple[float, float]]:
    """Project points [n, z_size] on their first two principal components.

    Returns:
      float64 [n, 2], and the shares of the variance of the two. The largest weight of each
      component is positive, so that the same data give the same map.
    """
    centred = mu.astype(np.float64) - mu.mean(axis=0, dtype=np.float64)
    _, lengths, components = np.linalg.svd(centred, full_matrices=False)
    two = np.zeros((2, mu.shape[1]))
    two[: len(components[:2])] = components[:2]
    largest = np.take_along_axis(two, np.abs(two).argmax(axis=1)[:, np.newaxis], axis=1)
    two *= np.where(largest < 0, -1, 1)
    shares = lengths**2 / max(np.sum(lengths**2), 1e-12)
    first, second = [*shares[:2].tolist(), 0.0, 0.0][:2]
    return centred @ two.T, (first, second)


def _legend(styles: Sequence[str]) -> list[Style]:
    """Return the most common styles, and the total of the others."""
    counts = collections.Counter(styles)
    common = sorted(counts, key=lambda name: (-counts[name], name))
    own = common if len(common) <= charts.STYLE_COLOURS else common[: charts.STYLE_COLOURS - 1]
    legend = [Style(name, number, counts[name]) for number, name in enumerate(own)]
    rest = sum(counts[name] for name in common[len(own) :])
    return [*legend, Style(OTHERS, charts.STYLE_COLOURS - 1, rest)] if rest else legend


def _data(
    study: "Study", styles: Sequence[str], chosen: np.ndarray, colours: list[int]
) -> dict[str, Any]:
    files = sorted({study.sources[i].filename for i in chosen})
    number_of = {file: number for number, file in enumerate(files)}
    points = [
        {
            "file": number_of[study.sources[i].filename],
            "style": styles[i],
            "colour": colour,
            "bar": study.sources[i].first_bar + 1,
            "qpm": round(float(study.tempo_qpm[i]), 3),
        }
        for i, colour in zip(chosen, colours, strict=True)
    ]
    return {
        "files": files,
        "points": points,
        "original": _encode(study.reference[chosen]),
        "reconstruction": _encode(study.predictions[chosen]),
        "steps": study.reference.shape[1],
        "barSteps": study.layout.steps_per_bar,
        "lanes": [rolls.LANE_OF[drum] for drum in range(study.reference.shape[2] // 3)],
        "drums": CLASS_NAMES,
        "lateness": [[min(limit, 1), name] for limit, name in rolls.LATENESS_CLASSES],
        "heights": [rolls.SOFTEST, rolls.LOUDEST],
        "closedHihat": CLOSED_HIHAT,
        "openHihat": OPEN_HIHAT,
    }


def _encode(windows: np.ndarray) -> dict[str, Any]:
    content, counts = rolls.pack(list(windows))
    return {"hits": base64.b64encode(content).decode(), "counts": counts}
