"""Charts for a web page: matplotlib's SVG with colours from the page's style sheet.

Charts are drawn in placeholder colours, one for each name in COLOURS, which are then replaced by
CSS variables (`var(--ink)`), so that one image serves light and dark pages and print. Text stays
text, in the page's font. The same data give the same bytes: ids derive from the chart's name, and
there is no date. Charts are narrow (360 units, text 12 units high) for several in a row on a wide
page and one below the other on a phone.
"""

import html
import io
import re
from collections.abc import Sequence
from typing import Any, Literal

import numpy as np

from groovae.errors import GroovaeError
from groovae.music.picture import BEAT_STEPS, quiet_matplotlib

STYLE_COLOURS = 8  # style-0 to style-7; the last one is for all other styles
COLOURS = {
    name: f"#{0x010000 + number:06x}"
    for number, name in enumerate(
        [*("ink", "muted", "line", "paper", "model", "data", "baseline")]
        + [f"style-{i}" for i in range(STYLE_COLOURS)]
    )
}
INK, MUTED, LINE, PAPER, MODEL, DATA, BASELINE = [*COLOURS.values()][:7]
UNITS_PER_INCH = 72
TEXT_UNITS = 12
WIDTH, HEIGHT = 360, 220
DENSITY_POINTS = 160

Points = Sequence[tuple[float, float]]
Series = tuple[str, str, np.ndarray]  # label, colour, values


class Chart:
    """A figure with one pair of matplotlib `axes`."""

    def __init__(
        self, width: float = WIDTH, height: float = HEIGHT, grid: Literal["x", "y"] | None = None
    ):
        with quiet_matplotlib():
            from matplotlib import rc_context
            from matplotlib.figure import Figure

        self._rc: dict[Any, Any] = {
            "svg.fonttype": "none",
            "font.size": TEXT_UNITS,
            "legend.fontsize": TEXT_UNITS,
            "xtick.labelsize": TEXT_UNITS,
            "ytick.labelsize": TEXT_UNITS,
            "text.color": INK,
            "text.parse_math": False,
            "axes.edgecolor": MUTED,
            "axes.labelcolor": MUTED,
            "axes.formatter.useoffset": False,
            "xtick.color": MUTED,
            "ytick.color": MUTED,
        }
        with rc_context(self._rc):
            self._figure = Figure(
                figsize=(width / UNITS_PER_INCH, height / UNITS_PER_INCH), layout="constrained"
            )
            self.axes: Any = self._figure.add_subplot(frameon=False)
        self.axes.tick_params(which="both", length=0, pad=5)
        self.axes.set_axisbelow(True)
        if grid:
            self.axes.grid(axis=grid, color=LINE, linewidth=0.8)

    def svg(self, name: str, description: str) -> str:
        """Return the chart as an `svg` element.

        Args:
          name: Its id, and the prefix of all ids in it; letters, digits and `-`.
          description: Text alternative.
        """
        from matplotlib import rc_context

        file = io.StringIO()
        with rc_context({**self._rc, "svg.hashsalt": name}):
            self._figure.savefig(file, format="svg", transparent=True, metadata={"Date": None})
        return _to_inline_svg(file.getvalue(), name, description)


def _to_inline_svg(svg: str, name: str, description: str) -> str:
    """Remove what only a file needs, prefix the ids, and replace colours by variables."""
    svg = svg[svg.index("<svg") :].rstrip()
    svg = re.sub(r"<metadata>.*?</metadata>|<style.*?</style>|<!--.*?-->", "", svg, flags=re.S)
    svg = re.sub(r'(\bid="|href="#|url\(#)', rf"\g<1>{name}-", svg)
    svg = re.sub(r"font: (\S+) [^;\"]*", r"font-size: \1", svg)
    svg = re.sub(r"; font-family: [^;\"]*", "", svg)
    for colour, placeholder in COLOURS.items():
        svg = svg.replace(placeholder, f"var(--{colour})")
    view = re.search(r'viewBox="[^"]*"', svg)
    if view is None:
        raise GroovaeError("matplotlib's SVG has no viewBox; install matplotlib 3.9 or 3.10")
    label = html.escape(description)
    head = f'<svg class="chart" id="{name}" {view[0]} role="img" aria-label="{label}"'
    names = 'xmlns:xlink="http://www.w3.org/1999/xlink"'
    return re.sub(r"\n\s*", " ", f"{head} {names}>{svg[svg.index('>') + 1 :]}")


def intervals(
    name: str, description: str, rows: Sequence[tuple[str, float, float, float, float]], unit: str
) -> str:
    """Draw values with their intervals, one row each, the first one for the model.

    Args:
      name: See `Chart.svg`; likewise `description`.
      rows: Label, value, low, high, and a number that is not drawn.
      unit: Label of the axis.
    """
    chart = Chart(height=36 + 22 * len(rows), grid="x")
    axes = chart.axes
    for row, (label, value, low, high, _) in enumerate(rows):
        is_model = row == 0
        colour = MODEL if is_model else BASELINE
        axes.plot([low, high], [row, row], color=colour, linewidth=3 if is_model else 2, alpha=0.55)
        axes.plot([value], [row], "o", color=colour, markersize=7 if is_model else 5.5)
        text = axes.annotate(
            label, (0, row), (-8, 0), axes.get_yaxis_transform(), textcoords="offset points"
        )
        text.set(fontsize=TEXT_UNITS, va="center", ha="right", color=INK if is_model else MUTED)
        if is_model:
            axes.axvline(value, color=MODEL, linewidth=0.8, linestyle=(0, (2, 3)), zorder=0)
    axes.set(ylim=(len(rows) - 0.4, -0.6), yticks=[], xlabel=unit)
    axes.margins(x=0.08)
    return chart.svg(name, description)


def curve(
    name: str, description: str, training: Points, validation: Points, marked: Points = ()
) -> str:
    """Draw training and validation values by step; `marked` ones are of the checkpoint."""
    from matplotlib.ticker import MaxNLocator, StrMethodFormatter

    chart = Chart(grid="y")
    axes = chart.axes
    for points, colour, label in ((training, DATA, "training"), (validation, MODEL, "validation")):
        if points:
            steps, values = zip(*points, strict=True)
            mark = "o" if len(points) == 1 else None
            axes.plot(steps, values, color=colour, linewidth=1.8, label=label, marker=mark)
    for step, value in marked:
        axes.plot([step], [value], "o", color=PAPER, markeredgecolor=INK, markersize=7, zorder=4)
        text = axes.annotate("this checkpoint", (step, value), (6, 9), textcoords="offset points")
        text.set(fontsize=TEXT_UNITS, ha="right", color=INK)
    axes.xaxis.set_major_locator(MaxNLocator(4, integer=True))
    axes.xaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
    axes.yaxis.set_major_locator(MaxNLocator(5))
    axes.set_xlabel("step")
    _legend(axes)
    return chart.svg(name, description)


def by_sixteenth(name: str, description: str, series: Sequence[Series], unit: str) -> str:
    """Draw a value for each 16th of the bar, NaN for a gap; see `dots`."""
    chart = Chart(grid="y")
    axes = chart.axes
    for label, colour, values in series:
        axes.plot(values, color=colour, linewidth=1.8, marker="o", markersize=4, label=label)
    low, high = axes.get_ylim()
    if low < 0 < high:
        axes.axhline(0, color=MUTED, linewidth=0.8, zorder=1)
    quarters = range(0, len(series[0][2]), BEAT_STEPS)
    axes.set_xticks(quarters, [str(step // BEAT_STEPS + 1) for step in quarters])
    axes.set(xlabel="quarter", ylabel=unit)
    _legend(axes)
    return chart.svg(name, description)


def densities(name: str, description: str, data: np.ndarray, samples: np.ndarray, unit: str) -> str:
    """Draw the distributions of two sets of numbers as kernel densities of equal area.

    Args:
      name: See `Chart.svg`; likewise `description`.
      data: [n], without NaN.
      samples: [m], likewise.
      unit: Label of the axis.
    """
    chart = Chart(height=170, grid="x")
    low, high = np.quantile(np.concatenate([data, samples]), [0.002, 0.998])
    margin = 0.08 * (high - low) or 1.0
    x = np.linspace(low - margin, high + margin, DENSITY_POINTS)
    for values, colour, label in ((data, DATA, "data"), (samples, MODEL, "samples")):
        if len(values):
            y = _density(values, x)
            chart.axes.fill_between(x, y, color=colour, alpha=0.22, linewidth=0)
            chart.axes.plot(x, y, color=colour, linewidth=1.8, label=label)
    chart.axes.set(xlabel=unit, yticks=[], xlim=(x[0], x[-1]))
    chart.axes.set_ylim(bottom=0)
    _legend(chart.axes)
    return chart.svg(name, description)


def dots(
    name: str, description: str, labels: Sequence[str], series: Sequence[Series], unit: str
) -> str:
    """Draw values by name, one row each; the values of several series are joined by a line.

    Args:
      name: See `Chart.svg`; likewise `description`.
      labels: From top to bottom.
      series: Label, colour (a value of COLOURS) and a value for each name, NaN for a gap.
      unit: Label of the axis.
    """
    chart = Chart(height=52 + 20 * len(labels), grid="x")
    axes = chart.axes
    rows = np.arange(len(labels))
    values = np.array([each for _, _, each in series], float)
    if len(series) > 1:
        axes.hlines(rows, values.min(0), values.max(0), LINE, linewidth=4)
    for (label, colour, _), numbers in zip(series, values, strict=True):
        axes.plot(numbers, rows, "o", color=colour, markersize=6.5, label=label)
    axes.set_yticks(rows, labels)
    axes.set(ylim=(len(labels) - 0.4, -0.6), xlabel=unit)
    axes.margins(x=0.08)
    if len(series) > 1:
        _legend(axes)
    return chart.svg(name, description)


def scatter(
    name: str, description: str, points: np.ndarray, colours: Sequence[int], labels: Sequence[str]
) -> str:
    """Draw points [n, 2] as `use` elements, in their order, in a group with the id `NAME-points`.

    `colours` are numbers of the style colours, `labels` those of the axes.
    """
    chart = Chart(width=520, height=440)
    placeholders = [COLOURS[f"style-{colour}"] for colour in colours]
    chart.axes.scatter(*points.T, s=26, c=placeholders, linewidths=0).set_gid("points")
    chart.axes.set(xticks=[], yticks=[], xlabel=labels[0], ylabel=labels[1])
    chart.axes.axhline(0, color=LINE, linewidth=0.8, zorder=0)
    chart.axes.axvline(0, color=LINE, linewidth=0.8, zorder=0)
    return chart.svg(name, description)


def _density(values: np.ndarray, x: np.ndarray) -> np.ndarray:
    """Return a Gaussian kernel density with Scott's bandwidth."""
    width = max(values.std() * len(values) ** -0.2, (x[-1] - x[0]) / 100)
    kernels = np.exp(-0.5 * ((x[:, None] - values) / width) ** 2)
    return kernels.mean(axis=1) / (width * np.sqrt(2 * np.pi))


def _legend(axes: Any) -> None:
    """Draw a legend above the chart, in a row."""
    handles, labels = axes.get_legend_handles_labels()
    if handles:
        axes.legend(
            handles,
            labels,
            loc="lower left",
            bbox_to_anchor=(-0.02, 1),
            ncols=len(handles),
            fontsize=TEXT_UNITS,
            labelcolor=INK,
            frameon=False,
            borderpad=0,
            handlelength=1.1,
            columnspacing=1.4,
        )
