"""Drum grooves as a picture, in the order of drum notation, and as a preview in plain text.

    from groovae.music.picture import draw, preview
    draw("groove.png", groove, title="funk, 96 bpm")
    print(preview(groove))

Both quantize a groove to 16ths by its tempo map and meters. If meters change, each bar has the
width of the longest. A hit belongs to the nearest 16th, and the difference is its offset, early or
late. Each drum class has a lane, from the kick at the bottom to the cymbals at the top, as in drum
notation; pitches without a class share a lane `other`, if there are any.

The picture has four bars per line, and at most the first MAX_BARS bars. Each hit is a stem at its
time, whose height is its velocity. A foot connects it to the line of its 16th, and the colour also
shows its offset.
"""

import contextlib
import logging
import math
import os
import warnings
from collections.abc import Iterator
from typing import Any, NamedTuple

from groovae.errors import GroovaeError
from groovae.music import drums
from groovae.music.drums import CLASS_NAMES, GM, KICK, DrumMap, classes, in_nine_classes
from groovae.music.tempo import TempoMap, check_sequence, meter_of, tempo_of
from groovae.music.timeline import Timeline
from groovae.system.atomic_files import atomic_write

BAR_STEPS, BEAT_STEPS = 16, 4  # of 4/4
LINE_BARS = 4
MAX_BARS = 32
MAX_TITLE = 70  # characters
DPI = 150

# From bottom to top, as in Weinberg's Guidelines for Drumset Notation (PAS, 1998).
NOTATION = (
    *(drums.KICK, drums.LOW_TOM, drums.SNARE, drums.MID_TOM, drums.HIGH_TOM),
    *(drums.RIDE, drums.CLOSED_HIHAT, drums.OPEN_HIHAT, drums.CRASH),
)
OTHER = len(CLASS_NAMES)
LANE_NAMES = (*CLASS_NAMES, "other")

# Lowest velocities of medium (mezzo piano) and loud (forte) hits.
MEDIUM, LOUD = 64, 96

# Blue and vermilion of Okabe and Ito's palette, which is safe for colour-blind readers.
EARLY, ON_GRID, LATE = "#0072b2", "#333333", "#d55e00"
FULL_COLOUR_STEPS = 0.25  # the offset from which a hit has the full colour

# Inches.
_WIDTH, _LEFT, _RIGHT = 10.0, 1.15, 0.15
_TITLE, _TOP, _HEADER, _LANE, _GAP, _LEGEND = 0.32, 0.08, 0.28, 0.23, 0.14, 0.5


class Hit(NamedTuple):
    """A hit on the grid: lane, 16th from the start of the groove, offset and velocity."""

    lane: int
    step: int
    late_steps: float
    velocity: int


class Chart(NamedTuple):
    """A groove quantized to 16ths, in bars of `bar_steps`."""

    hits: list[Hit]
    bars: int
    bar_steps: int
    tempo_qpm: float

    def first(self, bars: int) -> "Chart":
        """Return the first bars."""
        hits = [hit for hit in self.hits if hit.step < bars * self.bar_steps]
        return self._replace(hits=hits, bars=min(self.bars, bars))


def figure(groove: Any, drum_map: DrumMap = GM, title: str = "") -> Any:
    """Draw a groove.

    Args:
      groove: A NoteSequence of drums, its times in seconds.
      drum_map: The drum map of its pitches.
      title: Title of the picture, cut to one line.

    Returns:
      A `matplotlib.figure.Figure`, 10 inches wide and at most 23 high.

    Raises:
      GroovaeError: a time or the tempo is not finite.
    """
    whole = _quantize(groove, drum_map)
    grid = whole.first(MAX_BARS)
    cut = f"(bars 1 to {grid.bars} of {whole.bars:,})" if grid.bars < whole.bars else ""
    used = {hit.lane for hit in grid.hits}
    lanes = [*NOTATION, *([OTHER] if OTHER in used else [])]
    page, lines, legend = _page(grid, len(lanes), _title_line(title, cut))
    for number, axes in enumerate(lines):
        bars = range(number * LINE_BARS, min((number + 1) * LINE_BARS, grid.bars))
        _draw_grid(axes, lanes, used, bars, grid.bar_steps)
        hits = [hit for hit in grid.hits if hit.step // grid.bar_steps in bars]
        _draw_hits(axes, lanes, hits, bars[0] * grid.bar_steps)
    _draw_legend(legend, grid.tempo_qpm)
    return page


def draw(
    path: str | os.PathLike[str], groove: Any, drum_map: DrumMap = GM, title: str = ""
) -> None:
    """Write the `figure` of a groove as a PNG file, atomically.

    Raises:
      GroovaeError: as `figure`, or the file cannot be written.
    """
    page = figure(groove, drum_map, title)
    with atomic_write(path) as temporary, warnings.catch_warnings():
        # The title may have characters that matplotlib's font lacks.
        warnings.filterwarnings("ignore", "Glyph")
        page.savefig(temporary, format="png", dpi=DPI)


def preview(groove: Any, drum_map: DrumMap = GM, width: int = 100, max_bars: int = 8) -> str:
    """Return a groove as text, with a letter per 16th: `.` none, `o` soft, `x` medium, `X` loud.

    >>> from groovae.music.note_sequence import NoteSequence
    >>> groove = NoteSequence(total_time=2)
    >>> for time, pitch, velocity in ((0, 36, 100), (0.5, 38, 110), (0.75, 38, 30), (1, 36, 80)):
    ...     _ = groove.notes.add(start_time=time, pitch=pitch, velocity=velocity)
    >>> print(preview(groove))
           1
    snare |.... X.o. .... ....|
    kick  |X... .... x... ....|
    o soft  x medium  X loud

    Args:
      groove: A NoteSequence of drums, its times in seconds.
      drum_map: The drum map of its pitches.
      width: Columns; a line holds as many whole bars as fit, and at least one.
      max_bars: Maximum number of bars, 1 or more.

    Returns:
      ASCII lines, without a final newline. Only drums that are played in these bars have a lane.
      Of several hits in one 16th, the loudest is shown.

    Raises:
      GroovaeError: a time or the tempo is not finite.
    """
    whole = _quantize(groove, drum_map)
    grid = whole.first(max(1, max_bars))
    text = _text(grid, width) if grid.hits else [f"no hit in {_bars(grid.bars)}"]
    if grid.bars < whole.bars:
        text.append(f"... and {_bars(whole.bars - grid.bars)} more")
    return "\n".join(text)


def _title_line(title: str, note: str) -> str:
    """Return title and note in one line, with the title shortened if they do not fit.

    >>> _title_line("funk, 96 bpm", "(bars 1 to 32 of 40)")
    'funk, 96 bpm (bars 1 to 32 of 40)'
    """
    title, size = " ".join(title.split()), MAX_TITLE - len(note)
    return f"{title if len(title) <= size else title[: size - 3] + '...'} {note}".strip()


def _text(grid: Chart, width: int) -> list[str]:
    """Return the lanes of each line of bars, and a legend."""
    velocities = {hit[:2]: hit.velocity for hit in sorted(grid.hits, key=lambda h: h.velocity)}
    lanes = [i for i in (OTHER, *reversed(NOTATION)) if any(hit.lane == i for hit in grid.hits)]
    margin = max(len(LANE_NAMES[lane]) for lane in lanes) + 1
    bar_width = grid.bar_steps + math.ceil(grid.bar_steps / BEAT_STEPS)
    line_bars = max(1, (width - margin - 1) // bar_width)
    text = []
    for first in range(0, grid.bars, line_bars):
        bars = range(first, min(first + line_bars, grid.bars))
        numbers = "".join(f" {bar + 1:<{bar_width - 1}}" for bar in bars)
        text.append(f"{'':{margin}}{numbers}".rstrip())
        for lane in lanes:
            letters = "".join(_bar_text(velocities, lane, bar, grid.bar_steps) for bar in bars)
            text.append(f"{LANE_NAMES[lane]:<{margin}}|{letters}")
    return [*text, "o soft  x medium  X loud"]


def _bar_text(velocities: dict[Any, int], lane: int, bar: int, bar_steps: int) -> str:
    """Return one lane of a bar, such as `X... x..o .... x...|`."""
    steps = range(bar * bar_steps, (bar + 1) * bar_steps)
    letters = "".join(_letter(velocities.get((lane, step), 0)) for step in steps)
    return " ".join(letters[i : i + BEAT_STEPS] for i in range(0, bar_steps, BEAT_STEPS)) + "|"


def _letter(velocity: int) -> str:
    return "X" if velocity >= LOUD else "x" if velocity >= MEDIUM else "o" if velocity else "."


def _bars(count: int) -> str:
    return f"{count:,} bar" if count == 1 else f"{count:,} bars"


def _quantize(groove: Any, drum_map: DrumMap) -> Chart:
    """Quantize a groove to whole bars that hold its length and all its hits."""
    check_sequence(groove)
    tempos = [tempo.qpm for tempo in groove.tempos]
    times = [time for note in groove.notes for time in (note.start_time, note.end_time)]
    is_finite = all(map(math.isfinite, [*tempos, *times, groove.total_time]))
    if not is_finite or min(tempos, default=1) <= 0:
        raise GroovaeError("cannot draw a groove with a tempo or time that is not finite")
    flat, bar_steps = _flatten(groove)
    steps_per_second = tempo_of(flat) / 60 * BEAT_STEPS
    places = [note.start_time * steps_per_second for note in flat.notes]
    length = flat.total_time * steps_per_second
    # Rounding errors must not add a bar.
    last = max(
        math.ceil(length / bar_steps - 1e-6) - 1,
        *(math.floor(place / bar_steps) for place in places),
        0,
    )
    bars = int(last) + 1
    lanes = classes(in_nine_classes(drum_map))
    hits = []
    for note, place in zip(flat.notes, places, strict=True):
        step = min(max(math.floor(place + 0.5), 0), bars * bar_steps - 1)
        velocity = min(max(int(note.velocity), 1), 127)
        hits.append(Hit(lanes.get(note.pitch, OTHER), step, place - step, velocity))
    return Chart(hits, bars, bar_steps, tempo_of(flat))


def _flatten(groove: Any) -> tuple[Any, int]:
    """Return a groove at one tempo, and the number of steps in its longest bar."""
    numerator, denominator = meter_of(groove)
    is_plain = TempoMap.of(groove).is_constant and len(groove.time_signatures) <= 1
    if is_plain and not 16 * numerator % denominator:
        return groove, 16 * numerator // denominator  # however long it is
    bar_steps = Timeline(groove).longest_bar
    return Timeline(groove, bar_steps).flatten(groove), bar_steps


@contextlib.contextmanager
def quiet_matplotlib() -> Iterator[None]:
    """Import matplotlib in this block, without its log lines about the font cache."""
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


def _page(grid: Chart, lanes: int, title: str) -> tuple[Any, list[Any], Any]:
    """Return a figure with its title, the Axes of each line of bars, and that of the legend."""
    with quiet_matplotlib():
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure

    lines = math.ceil(grid.bars / LINE_BARS)
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
    right = min(grid.bars, LINE_BARS) * grid.bar_steps + 0.4
    bottoms = [_LEGEND + i * line + _GAP for i in reversed(range(lines))]
    return page, [axes(bottom, lanes, right) for bottom in bottoms], axes(0.12, 1, 64)


def _draw_grid(axes: Any, lanes: list[int], used: set[int], bars: range, bar_steps: int) -> None:
    """Draw lane names, bar numbers, and grid lines for bars, beats and 16ths."""
    steps, top = len(bars) * bar_steps, len(lanes)
    bar_lines = range(0, steps + 1, bar_steps)
    beats = [bar + beat for bar in bar_lines[:-1] for beat in range(0, bar_steps, BEAT_STEPS)]
    for lines, weight, grey in (
        (range(steps + 1), 0.5, "0.87"),
        (beats, 0.8, "0.65"),
        (bar_lines, 1.3, "0.3"),
    ):
        axes.vlines(lines, 0, top, grey, linewidth=weight, zorder=1)
    axes.hlines(range(top + 1), 0, steps, "0.7", linewidth=0.6, zorder=1, clip_on=False)
    for bar in bars:
        x = (bar - bars[0]) * bar_steps
        axes.text(x, top + 0.3, bar + 1, fontsize=10, ha="center", fontweight="bold")
        for beat in range(1, math.ceil(bar_steps / BEAT_STEPS)):
            place = (x + beat * BEAT_STEPS, top + 0.3)
            axes.text(*place, beat + 1, fontsize=8, ha="center", color="0.45")
    for row, lane in enumerate(lanes):
        style = {"fontsize": 10, "ha": "right", "va": "center"}
        colour = "black" if lane in used else "0.5"
        axes.text(axes.get_xlim()[0], row + 0.45, LANE_NAMES[lane], color=colour, **style)


def _draw_hits(axes: Any, lanes: list[int], hits: list[Hit], first_step: int) -> None:
    """Draw the stem of each hit, and its foot to the line of its 16th."""
    from matplotlib.colors import LinearSegmentedColormap

    colours = LinearSegmentedColormap.from_list("offset", [EARLY, ON_GRID, LATE])
    hits = sorted(hits, key=lambda hit: -hit.velocity)  # soft hits in front of loud ones
    lines = [hit.step - first_step for hit in hits]
    x = [line + hit.late_steps for line, hit in zip(lines, hits, strict=True)]
    bottom = [lanes.index(hit.lane) for hit in hits]
    top = [row + 0.1 + 0.82 * hit.velocity / 127 for row, hit in zip(bottom, hits, strict=True)]
    colour = [colours(0.5 + hit.late_steps / FULL_COLOUR_STEPS / 2) for hit in hits]
    axes.vlines(x, bottom, top, colour, linewidth=2.6, zorder=3, clip_on=False)
    axes.hlines(bottom, lines, x, colour, linewidth=1.8, zorder=3, clip_on=False)


def _draw_legend(axes: Any, tempo_qpm: float) -> None:
    """Draw example hits that explain height and colour."""
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
