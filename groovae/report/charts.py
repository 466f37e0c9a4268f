"""Charts for a web page: matplotlib's SVG, in colours that the page's style sheet decides.

A chart is drawn in stand-in colours, one for each name in COLOURS, which then become CSS variables
(`var(--ink)`): one image serves a light page, a dark one and paper. Text stays text, in the page's
own font. The same data give the same bytes: ids come from the chart's name, there is no date.

Charts are narrow (360 units wide, letters 12 high), as they stand side by side on a wide page
and one below the other on a phone.
"""

import html
import io
import re
from collections.abc import Sequence
from typing import Any

import numpy as np

from groovae.errors import GroovaeError
from groovae.music.picture import BAR_STEPS, BEAT_STEPS, quiet_matplotlib

STYLE_COLOURS = 8  # style-0 to style-7; the last one is for the rest
COLOURS = {
    name: f"#{0x010000 + number:06x}"
    for number, name in enumerate(
        [*("ink", "muted", "line", "paper", "model", "data", "baseline")]
        + [f"style-{i}" for i in range(STYLE_COLOURS)]
    )
}
INK, MUTED, LINE, PAPER, MODEL, DATA, BASELINE = list(COLOURS.values())[:7]
UNITS_PER_INCH = 72
TEXT_UNITS = 12
WIDTH, HEIGHT = 360, 220
DENSITY_POINTS = 160

Points = Sequence[tuple[float, float]]


class Chart:
    """A figure with one pair of axes; `svg` ends it.

    Attributes:
      axes: matplotlib's.
    """

    def __init__(self, width: float = WIDTH, height: float = HEIGHT):
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

    def lines_across(self, axis: str = "y") -> None:
        self.axes.grid(axis=axis, color=LINE, linewidth=0.8)

    def svg(self, name: str, description: str) -> str:
        """The chart as an `svg` element.

        Args:
          name: Its id, and how all ids in it begin; letters, digits and `-`.
          description: What it shows, for those who do not see it.
        """
        from matplotlib import rc_context

        file = io.StringIO()
        with rc_context({**self._rc, "svg.hashsalt": name}):
            self._figure.savefig(file, format="svg", transparent=True, metadata={"Date": None})
        return _for_a_page(file.getvalue(), name, description)


def _for_a_page(svg: str, name: str, description: str) -> str:
    """Without what only a file needs, with ids that are the chart's own, and with variables."""
    svg = svg[svg.index("<svg") :].rstrip()
    svg = re.sub(r"<metadata>.*?</metadata>|<style.*?</style>|<!--.*?-->", "", svg, flags=re.S)
    svg = re.sub(r'(\bid="|href="#|url\(#)', rf"\g<1>{name}-", svg)
    svg = re.sub(r"font: (\S+) [^;\"]*", r"font-size: \1", svg)
    svg = re.sub(r"; font-family: [^;\"]*", "", svg)
    for colour, stand_in in COLOURS.items():
        svg = svg.replace(stand_in, f"var(--{colour})")
    view = re.search(r'viewBox="[^"]*"', svg)
    if view is None:  # matplotlib changed
        raise GroovaeError("matplotlib's SVG has no viewBox; install matplotlib 3.9 or 3.10")
    label = html.escape(description)
    head = f'<svg class="chart" id="{name}" {view[0]} role="img" aria-label="{label}"'
    names = 'xmlns:xlink="http://www.w3.org/1999/xlink"'
    return re.sub(r"\n\s*", " ", f"{head} {names}>{svg[svg.index('>') + 1 :]}")


def estimates(
    name: str, description: str, rows: Sequence[tuple[str, float, float, float]], unit: str
) -> str:
    """Values with their intervals, one below the other, of which the first is the model's.

    Args:
      name: See `Chart.svg`; likewise `description`.
      rows: Label, value, low, high.
      unit: For the axis.
    """
    chart = Chart(height=36 + 22 * len(rows))
    axes = chart.axes
    chart.lines_across("x")
    for row, (label, value, low, high) in enumerate(rows):
        colour, weight = (MODEL, 3) if row == 0 else (BASELINE, 2)
        axes.plot([low, high], [row, row], color=colour, linewidth=weight, alpha=0.55)
        axes.plot([value], [row], "o", color=colour, markersize=7 if row == 0 else 5.5)
        text = axes.annotate(
            label, (0, row), (-8, 0), axes.get_yaxis_transform(), textcoords="offset points"
        )
        text.set(fontsize=TEXT_UNITS, va="center", ha="right", color=INK if row == 0 else MUTED)
        if row == 0:
            axes.axvline(value, color=MODEL, linewidth=0.8, linestyle=(0, (2, 3)), zorder=0)
    axes.set(ylim=(len(rows) - 0.4, -0.6), yticks=[], xlabel=unit)
    axes.margins(x=0.08)
    return chart.svg(name, description)


def curve(
    name: str, description: str, training: Points, validation: Points, marked: Points = ()
) -> str:
    """A number by training step, on the records trained on and on those held back."""
    chart = Chart()
    axes = chart.axes
    chart.lines_across()
    for points, colour, label in ((training, DATA, "training"), (validation, MODEL, "validation")):
        if points:
            steps, values = zip(*points, strict=True)
            mark = "o" if len(points) == 1 else None
            axes.plot(steps, values, color=colour, linewidth=1.8, label=label, marker=mark)
    for step, value in marked:
        axes.plot([step], [value], "o", color=PAPER, markeredgecolor=INK, markersize=7, zorder=4)
        text = axes.annotate("this checkpoint", (step, value), (6, 9), textcoords="offset points")
        text.set(fontsize=TEXT_UNITS, ha="right", color=INK)
    _whole_numbers(axes)
    axes.set_xlabel("step")
    _legend(axes)
    return chart.svg(name, description)


def by_sixteenth(
    name: str, description: str, series: Sequence[tuple[str, str, np.ndarray]], unit: str
) -> str:
    """Numbers by 16th of the bar.

    Args:
      name: See `Chart.svg`; likewise `description`.
      series: Label, colour (a value of COLOURS) and 16 values, NaN where there is none.
      unit: For the axis.
    """
    chart = Chart()
    axes = chart.axes
    chart.lines_across()
    for label, colour, values in series:
        axes.plot(values, color=colour, linewidth=1.8, marker="o", markersize=4, label=label)
    low, high = axes.get_ylim()
    if low < 0 < high:
        axes.axhline(0, color=MUTED, linewidth=0.8, zorder=1)
    beats = range(0, BAR_STEPS, BEAT_STEPS)
    axes.set_xticks(beats, [str(beat // BEAT_STEPS + 1) for beat in beats])
    axes.set(xlabel="beat", ylabel=unit)
    _legend(axes)
    return chart.svg(name, description)


def densities(name: str, description: str, data: np.ndarray, samples: np.ndarray, unit: str) -> str:
    """How two sets of numbers are distributed: kernel densities, of the same area.

    Args:
      name: See `Chart.svg`; likewise `description`.
      data: [n], without NaN.
      samples: [m]; likewise.
      unit: For the axis.
    """
    chart = Chart(height=170)
    low, high = np.quantile(np.concatenate([data, samples]), [0.002, 0.998])
    spare = 0.08 * (high - low) or 1.0
    x = np.linspace(low - spare, high + spare, DENSITY_POINTS)
    for values, colour, label in ((data, DATA, "data"), (samples, MODEL, "samples")):
        if len(values):
            y = _density(values, x)
            chart.axes.fill_between(x, y, color=colour, alpha=0.22, linewidth=0)
            chart.axes.plot(x, y, color=colour, linewidth=1.8, label=label)
    chart.axes.set(xlabel=unit, yticks=[], xlim=(x[0], x[-1]))
    chart.axes.set_ylim(bottom=0)
    chart.lines_across("x")
    _legend(chart.axes)
    return chart.svg(name, description)


def dots(
    name: str,
    description: str,
    labels: Sequence[str],
    series: Sequence[tuple[str, str, np.ndarray]],
    unit: str,
) -> str:
    """Numbers by name, one line each; several in a line are joined, as they are to be compared.

    Args:
      name: See `Chart.svg`; likewise `description`.
      labels: From top to bottom.
      series: Label, colour (a value of COLOURS) and a value for each name, NaN where there is none.
      unit: For the axis.
    """
    chart = Chart(height=52 + 20 * len(labels))
    axes = chart.axes
    chart.lines_across("x")
    places = np.arange(len(labels))
    values = np.array([each for _, _, each in series], float)
    if len(series) > 1:
        axes.hlines(places, values.min(0), values.max(0), LINE, linewidth=4)
    for (label, colour, _), numbers in zip(series, values, strict=True):
        axes.plot(numbers, places, "o", color=colour, markersize=6.5, label=label)
    axes.set_yticks(places, labels)
    axes.set(ylim=(len(labels) - 0.4, -0.6), xlabel=unit)
    axes.margins(x=0.08)
    if len(series) > 1:
        _legend(axes)
    return chart.svg(name, description)


def scatter(
    name: str, description: str, points: np.ndarray, colours: Sequence[int], labels: Sequence[str]
) -> str:
    """A map of points [n, 2]; the `use` elements in its group `NAME-points` are in their order."""
    chart = Chart(width=520, height=440)
    stand_ins = [COLOURS[f"style-{colour}"] for colour in colours]
    chart.axes.scatter(*points.T, s=26, c=stand_ins, linewidths=0).set_gid("points")
    chart.axes.set(xticks=[], yticks=[], xlabel=labels[0], ylabel=labels[1])
    chart.axes.axhline(0, color=LINE, linewidth=0.8, zorder=0)
    chart.axes.axvline(0, color=LINE, linewidth=0.8, zorder=0)
    return chart.svg(name, description)


def _density(values: np.ndarray, x: np.ndarray) -> np.ndarray:
    """Gaussian kernels, as wide as Scott's rule has it."""
    width = max(values.std() * len(values) ** -0.2, (x[-1] - x[0]) / 100)
    kernels = np.exp(-0.5 * ((x[:, None] - values) / width) ** 2)
    return kernels.mean(axis=1) / (width * np.sqrt(2 * np.pi))


def _whole_numbers(axes: Any) -> None:
    from matplotlib.ticker import MaxNLocator, StrMethodFormatter

    axes.xaxis.set_major_locator(MaxNLocator(4, integer=True))
    axes.xaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
    axes.yaxis.set_major_locator(MaxNLocator(5))


def _legend(axes: Any) -> None:
    """Above the chart, in a row."""
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
