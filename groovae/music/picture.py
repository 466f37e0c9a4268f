"""Drum grooves to look at: a picture in the order of drum notation, and a preview in plain text.

    from groovae.music.picture import draw, preview
    draw("groove.png", groove, title="funk, 96 bpm")
    print(preview(groove))

Both place a groove on a grid of 16ths in 4/4, at its first tempo (120 qpm where it has none). A
hit belongs to the 16th nearest to it; what is left is its offset, early or late. A lane is a drum
class, the kick at the bottom and the cymbals at the top as in the five lines of drum notation;
pitches of no class share a lane `other`, which is there only if it is needed.

The picture has four bars a line and at most MAX_BARS of them: of a longer groove it shows the first
ones and says so. Each hit is a stem at its true time, as high as its velocity, whose foot reaches
to the line of its 16th; its colour says the same, for all kinds of colour vision.
"""

import contextlib
import logging
import math
import os
import warnings
from collections.abc import Iterator
from typing import Any, NamedTuple

from groovae.errors import GroovaeError
from groovae.music.drums import (
    CLASS_NAMES,
    CLOSED_HIHAT,
    CRASH,
    GM,
    HIGH_TOM,
    KICK,
    LOW_TOM,
    MID_TOM,
    OPEN_HIHAT,
    RIDE,
    SNARE,
    DrumMap,
    classes,
)
from groovae.music.tempo import check_sequence, tempo_of
from groovae.system.atomic_files import atomic_write

BAR_STEPS, BEAT_STEPS = 16, 4
LINE_BARS = 4
MAX_BARS = 32
MAX_TITLE = 70  # letters
DPI = 150

# From bottom to top, as in Weinberg's Guidelines for Drumset Notation (PAS, 1998).
NOTATION = (KICK, LOW_TOM, SNARE, MID_TOM, HIGH_TOM, RIDE, CLOSED_HIHAT, OPEN_HIHAT, CRASH)
OTHER = len(CLASS_NAMES)
LANE_NAMES = (*CLASS_NAMES, "other")

# Velocities from which a hit is medium (mezzo piano) and loud (forte).
MEDIUM, LOUD = 64, 96

# The blue and the vermilion of Okabe and Ito's palette for all kinds of colour vision.
EARLY, ON_GRID, LATE = "#0072b2", "#333333", "#d55e00"
FULL_COLOUR_STEPS = 0.25  # hits as far off as this have the full colour of early or late

# Inches.
_WIDTH, _LEFT, _RIGHT = 10.0, 1.15, 0.15
_TITLE, _TOP, _HEADER, _LANE, _GAP, _LEGEND = 0.32, 0.08, 0.28, 0.23, 0.14, 0.5


class Hit(NamedTuple):
    """A hit on the grid: its lane, its 16th from the start of the groove, and how it is played."""

    lane: int
    step: int
    late_steps: float
    velocity: int


class Chart(NamedTuple):
    """A groove in 16ths of 4/4."""

    hits: list[Hit]
    bars: int
    tempo_qpm: float

    def first(self, bars: int) -> "Chart":
        """Only so many bars."""
        hits = [hit for hit in self.hits if hit.step < bars * BAR_STEPS]
        return Chart(hits, min(self.bars, bars), self.tempo_qpm)


def figure(groove: Any, drum_map: DrumMap = GM, title: str = "") -> Any:
    """Draws a groove.

    Args:
      groove: A NoteSequence of drums, its times in seconds.
      drum_map: The drum map of its pitches.
      title: Stands above it; cut where it is too long for a line.

    Returns:
      A `matplotlib.figure.Figure`, 10 inches wide and at most 23 high.

    Raises:
      GroovaeError: a time or the tempo is not a finite number.
    """
    whole = _on_grid(groove, drum_map)
    grid = whole.first(MAX_BARS)
    cut = f"(bars 1 to {grid.bars} of {whole.bars:,})" if grid.bars < whole.bars else ""
    used = {hit.lane for hit in grid.hits}
    lanes = [*NOTATION, *([OTHER] if OTHER in used else [])]
    page, lines, legend = _page(grid.bars, len(lanes), _headline(title, cut))
    for number, axes in enumerate(lines):
        bars = range(number * LINE_BARS, min((number + 1) * LINE_BARS, grid.bars))
        _draw_grid(axes, lanes, used, bars)
        _draw_hits(axes, lanes, [h for h in grid.hits if h.step // BAR_STEPS in bars], bars[0])
    _draw_legend(legend, grid.tempo_qpm)
    return page


def draw(
    path: str | os.PathLike[str], groove: Any, drum_map: DrumMap = GM, title: str = ""
) -> None:
    """Writes a groove's `figure` as a PNG file, atomically.

    Raises:
      GroovaeError: as `figure`, or the file cannot be written.
    """
    page = figure(groove, drum_map, title)
    with atomic_write(path) as temporary, warnings.catch_warnings():
        # The title may have letters that matplotlib's font has not.
        warnings.filterwarnings("ignore", "Glyph")
        page.savefig(temporary, format="png", dpi=DPI)


def preview(groove: Any, drum_map: DrumMap = GM, width: int = 100, max_bars: int = 8) -> str:
    """A groove as text, a letter for every 16th: `.` none, `o` soft, `x` medium, `X` loud.

    Args:
      groove: A NoteSequence of drums, its times in seconds.
      drum_map: The drum map of its pitches.
      width: Columns; as many whole bars stand in a line as fit, and one where none does.
      max_bars: How many bars are shown, 1 or more.

    Returns:
      Lines of ASCII, the last one without a line feed. A lane is there for each drum that is played
      in these bars; of several hits of it in one 16th the loudest is shown.

    Raises:
      GroovaeError: a time or the tempo is not a finite number.
    """
    whole = _on_grid(groove, drum_map)
    grid = whole.first(max(1, max_bars))
    text = _text(grid, width) if grid.hits else [f"no hit in {_bars(grid.bars)}"]
    if grid.bars < whole.bars:
        text.append(f"... and {_bars(whole.bars - grid.bars)} more")
    return "\n".join(text)


def _headline(title: str, note: str) -> str:
    """One line, of which the title is cut where both are too long for it."""
    title, most = " ".join(title.split()), MAX_TITLE - len(note)
    return f"{title if len(title) <= most else title[: most - 3] + '...'} {note}".strip()


def _text(grid: Chart, width: int) -> list[str]:
    """The lanes, line by line, and what their letters say."""
    velocities = {hit[:2]: hit.velocity for hit in sorted(grid.hits, key=lambda h: h.velocity)}
    lanes = [i for i in (OTHER, *reversed(NOTATION)) if any(hit.lane == i for hit in grid.hits)]
    margin = max(len(LANE_NAMES[lane]) for lane in lanes) + 1
    bar_width = BAR_STEPS + BAR_STEPS // BEAT_STEPS
    line_bars = max(1, (width - margin - 1) // bar_width)
    text = []
    for first in range(0, grid.bars, line_bars):
        bars = range(first, min(first + line_bars, grid.bars))
        numbers = "".join(f" {bar + 1:<{bar_width - 1}}" for bar in bars)
        text.append(f"{'':{margin}}{numbers}".rstrip())
        for lane in lanes:
            letters = "".join(_bar_text(velocities, lane, bar) for bar in bars)
            text.append(f"{LANE_NAMES[lane]:<{margin}}|{letters}")
    return [*text, "o soft  x medium  X loud"]


def _bar_text(velocities: dict[Any, int], lane: int, bar: int) -> str:
    """`X... x..o .... x...|`"""
    steps = range(bar * BAR_STEPS, (bar + 1) * BAR_STEPS)
    letters = "".join(_letter(velocities.get((lane, step), 0)) for step in steps)
    return " ".join(letters[i : i + BEAT_STEPS] for i in range(0, BAR_STEPS, BEAT_STEPS)) + "|"


def _letter(velocity: int) -> str:
    return "X" if velocity >= LOUD else "x" if velocity >= MEDIUM else "o" if velocity else "."


def _bars(count: int) -> str:
    return f"{count:,} bar" if count == 1 else f"{count:,} bars"


def _on_grid(groove: Any, drum_map: DrumMap) -> Chart:
    """As many bars as the groove is long, or more if hits need them."""
    check_sequence(groove)
    qpm = tempo_of(groove)
    steps_per_second = qpm / 60 * BEAT_STEPS
    places = [note.start_time * steps_per_second for note in groove.notes]
    length = groove.total_time * steps_per_second
    if not (qpm > 0 and all(map(math.isfinite, [qpm, length, *places]))):
        raise GroovaeError("cannot show a groove whose tempo or one of its times is no number")
    # Rounding may have made whole bars a little longer.
    last = max(
        math.ceil(length / BAR_STEPS - 1e-6) - 1, *(place // BAR_STEPS for place in places), 0
    )
    bars = int(last) + 1
    lanes = classes(drum_map)
    hits = []
    for note, place in zip(groove.notes, places, strict=True):
        step = min(max(math.floor(place + 0.5), 0), bars * BAR_STEPS - 1)
        velocity = min(max(int(note.velocity), 1), 127)
        hits.append(Hit(lanes.get(note.pitch, OTHER), step, place - step, velocity))
    return Chart(hits, bars, qpm)


@contextlib.contextmanager
def quiet_matplotlib() -> Iterator[None]:
    """For the first import of matplotlib, which tells of its font cache."""
    log = logging.getLogger("matplotlib")
    level = log.level
    log.setLevel(logging.ERROR)
    try:
        yield
    except ModuleNotFoundError as error:
        raise GroovaeError(
            f"a picture needs the package {error.name}: run `pip install matplotlib`"
        ) from error
    finally:
        log.setLevel(level)


def _page(bars: int, lanes: int, title: str) -> tuple[Any, list[Any], Any]:
    """A figure with its title, an Axes for each line of bars, and one for the legend."""
    with quiet_matplotlib():
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure

    lines = math.ceil(bars / LINE_BARS)
    line = _HEADER + lanes * _LANE + _GAP
    height = _TOP + (_TITLE if title else 0) + lines * line + _LEGEND
    page = Figure(figsize=(_WIDTH, height), facecolor="white")
    FigureCanvasAgg(page)

    def axes(bottom: float, rows: int, right: float) -> Any:
        width = (_WIDTH - _LEFT - _RIGHT) / _WIDTH
        box = (_LEFT / _WIDTH, bottom / height, width, rows * _LANE / height)
        return page.add_axes(
            box, xlim=(-0.8, right), ylim=(0, rows), frameon=False, xticks=[], yticks=[]
        )

    middle = 1 - (_TOP + _TITLE / 2) / height
    text = page.text(_LEFT / _WIDTH, middle, title, fontsize=12, fontweight="bold", va="center")
    text.set_parse_math(False)
    right = min(bars, LINE_BARS) * BAR_STEPS + 0.4
    bottoms = [_LEGEND + i * line + _GAP for i in reversed(range(lines))]
    return page, [axes(bottom, lanes, right) for bottom in bottoms], axes(0.12, 1, 64)


def _draw_grid(axes: Any, lanes: list[int], used: set[int], bars: range) -> None:
    """Lanes by name, bars by number, and lines that weigh less from bar to beat to 16th."""
    steps, top = len(bars) * BAR_STEPS, len(lanes)
    weights = {1: (0.5, "0.87"), BEAT_STEPS: (0.8, "0.65"), BAR_STEPS: (1.3, "0.3")}
    for every, (weight, grey) in weights.items():
        axes.vlines(range(0, steps + 1, every), 0, top, grey, linewidth=weight, zorder=1)
    axes.hlines(range(top + 1), 0, steps, "0.7", linewidth=0.6, zorder=1, clip_on=False)
    for bar in bars:
        x = (bar - bars[0]) * BAR_STEPS
        axes.text(x, top + 0.3, bar + 1, fontsize=10, ha="center", fontweight="bold")
        for beat in range(1, BAR_STEPS // BEAT_STEPS):
            place = (x + beat * BEAT_STEPS, top + 0.3)
            axes.text(*place, beat + 1, fontsize=8, ha="center", color="0.45")
    for row, lane in enumerate(lanes):
        style = {"fontsize": 10, "ha": "right", "va": "center"}
        colour = "black" if lane in used else "0.5"
        axes.text(axes.get_xlim()[0], row + 0.45, LANE_NAMES[lane], color=colour, **style)


def _draw_hits(axes: Any, lanes: list[int], hits: list[Hit], first_bar: int) -> None:
    """A stem for each hit, and its foot to the line of its 16th."""
    from matplotlib.colors import LinearSegmentedColormap

    colours = LinearSegmentedColormap.from_list("offset", [EARLY, ON_GRID, LATE])
    hits = sorted(hits, key=lambda hit: -hit.velocity)  # Soft ones in front of loud ones.
    lines = [hit.step - first_bar * BAR_STEPS for hit in hits]
    x = [line + hit.late_steps for line, hit in zip(lines, hits, strict=True)]
    bottom = [lanes.index(hit.lane) for hit in hits]
    top = [row + 0.1 + 0.82 * hit.velocity / 127 for row, hit in zip(bottom, hits, strict=True)]
    colour = [colours(0.5 + hit.late_steps / FULL_COLOUR_STEPS / 2) for hit in hits]
    axes.vlines(x, bottom, top, colour, linewidth=2.6, zorder=3, clip_on=False)
    axes.hlines(bottom, lines, x, colour, linewidth=1.8, zorder=3, clip_on=False)


def _draw_legend(axes: Any, tempo_qpm: float) -> None:
    """What height and colour say, by hits of all kinds."""
    full_ms = FULL_COLOUR_STEPS * 60_000 / tempo_qpm / BEAT_STEPS
    samples = [
        (0, 0.0, 16, "velocity 16"),
        (8, 0.0, 64, "64"),
        (12, 0.0, 127, "127"),
        (19, -FULL_COLOUR_STEPS, 96, f"{full_ms:.0f} ms early, or more"),
        (33, 0.0, 96, "on the 16th"),
        (42, FULL_COLOUR_STEPS, 96, f"{full_ms:.0f} ms late, or more"),
    ]
    axes.hlines(0, 0, 64, "0.7", linewidth=0.6)
    axes.vlines([step for step, *_ in samples], 0, 1, "0.65", linewidth=0.8)
    _draw_hits(axes, [KICK], [Hit(KICK, *sample[:3]) for sample in samples], 0)
    for step, _, _, text in samples:
        axes.text(step + 0.9, 0.45, text, fontsize=9, va="center")
    axes.text(64, 0.45, f"{tempo_qpm:.4g} bpm", fontsize=9, va="center", ha="right")
