"""Windows as piano rolls for a web page, and as notes.

A roll is an SVG image that is stretched to the box the page gives it: a unit is a 16th wide and a
lane high, and lines keep their width. Lanes are in the order of drum notation, the kick at the
bottom (`picture.NOTATION`). A hit is a stem at its exact time, as high as its velocity; its class
is how early or late it is, to which the page's style sheet assigns a colour.

Windows are those of data/grid.py: float32 [steps, 3 * drums].
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from groovae.music.drums import CLASS_NAMES, GM
from groovae.music.midi_writer import Note
from groovae.music.picture import BAR_STEPS, BEAT_STEPS, FULL_COLOUR_STEPS, NOTATION

SOFTEST, LOUDEST = 0.12, 0.88  # heights of stems, in lanes
NOTE_STEPS = 1  # duration of a note, as in Magenta

# Names of the lanes from top to bottom.
SHORT_NAMES = {"closed hi-hat": "hi-hat", "open hi-hat": "open hat"}
LANES = [SHORT_NAMES.get(CLASS_NAMES[drum], CLASS_NAMES[drum]) for drum in reversed(NOTATION)]
LANE_OF = {drum: lane for lane, drum in enumerate(reversed(NOTATION))}

# A hit has the class of the first limit, in 16ths late, that it does not reach.
LATENESS_CLASSES = (
    (-FULL_COLOUR_STEPS * 2 / 3, "early"),
    (-FULL_COLOUR_STEPS / 4, "a-bit-early"),
    (FULL_COLOUR_STEPS / 4, "on-grid"),
    (FULL_COLOUR_STEPS * 2 / 3, "a-bit-late"),
    (np.inf, "late"),
)


class Hit(NamedTuple):
    """A hit: its 16th, drum class, velocity (1 to 127) and lateness in 16ths."""

    step: int
    drum: int
    velocity: int
    late_steps: float


class Tempo(NamedTuple):
    qpm: float


class Groove(NamedTuple):
    """The part of a NoteSequence that `groovae.music.sound` needs."""

    notes: list[Note]
    total_time: float
    tempos: tuple[Tempo, ...]


def hits_of(window: np.ndarray) -> list[Hit]:
    """Return the hits of a window in order, as Magenta's `from_tensors` reads them."""
    hits, velocities, offsets = np.split(window, 3, axis=-1)
    loudness = np.clip(np.rint(np.nan_to_num(velocities) * 127), 1, 127).astype(int)
    late_steps = -np.clip(np.nan_to_num(offsets), -1, 1) / 2
    return [
        Hit(step, drum, int(loudness[step, drum]), float(late_steps[step, drum]))
        for step, drum in np.argwhere(hits > 0.5).tolist()
    ]


def groove_of(window: np.ndarray, tempo_qpm: float) -> Groove:
    """Return the window as notes at a tempo: General MIDI pitches, times in seconds."""
    step_seconds = 60 / tempo_qpm / BEAT_STEPS
    notes = []
    for hit in hits_of(window):
        start = (hit.step + hit.late_steps) * step_seconds
        notes.append(Note(start, start + NOTE_STEPS * step_seconds, GM[hit.drum][0], hit.velocity))
    return Groove(notes, len(window) * step_seconds, (Tempo(tempo_qpm),))


def roll(window: np.ndarray, original: np.ndarray | None = None, bar_steps: int = BAR_STEPS) -> str:
    """Draw a window as an `svg` element, for a page with a `grid` of this length.

    Args:
      window: float32 [steps, 3 * drums].
      original: The window it was predicted from, of the same shape: missed hits are marked by a
        ring, additional ones by a dot.
      bar_steps: 16ths in a bar.
    """
    hits = hits_of(window)
    paths = [
        (name, [_stem(hit) for hit in hits if _lateness_class(hit) == name])
        for _, name in LATENESS_CLASSES
    ]
    if original is not None:
        missed, added = (
            [_dot(*cell) for cell in cells] for cells in _differences(window, original)
        )
        paths += [("missed", missed), ("hollow", missed), ("added", added)]
    drawn = "".join(f'<path class="{name}" d="{"".join(d)}"/>' for name, d in paths if d)
    return (
        f'<svg class="roll" viewBox="0 0 {len(window)} {len(LANES)}" preserveAspectRatio="none" '
        f'role="img" aria-label="{describe(window, original, bar_steps)}">'
        f'<use href="#grid-{len(window)}"/>{drawn}</svg>'
    )


def grid(steps: int, bar_steps: int = BAR_STEPS) -> str:
    """Draw the lines behind all rolls of this length: lanes, quarters and bars."""
    lanes = len(LANES)
    paths = {
        "lane": "".join(f"M0 {lane}h{steps}" for lane in range(lanes + 1)),
        "beat": _verticals(x for x in range(0, steps, BEAT_STEPS) if x % bar_steps),
        "bar": _verticals(range(0, steps + 1, bar_steps)),
    }
    drawn = "".join(f'<path class="{name}" d="{d}"/>' for name, d in paths.items())
    return f'<g id="grid-{steps}">{drawn}</g>'


def describe(
    window: np.ndarray, original: np.ndarray | None = None, bar_steps: int = BAR_STEPS
) -> str:
    """Return a text alternative of the roll."""
    drums = [hit.drum for hit in hits_of(window)]
    counts = [f"{CLASS_NAMES[drum]} {drums.count(drum)}" for drum in sorted(set(drums))]
    bars = len(window) / bar_steps
    text = f"{len(drums)} hits in {bars:g} bars{': ' if counts else ''}{', '.join(counts)}"
    if original is None:
        return text
    missed, added = _differences(window, original)
    return f"{text}; missed {len(missed)}, added {len(added)}"


def pack(windows: Sequence[np.ndarray]) -> tuple[bytes, list[int]]:
    """Pack windows for the page's script.

    Returns:
      Four bytes per hit (step, drum, velocity, and lateness as 127 times half steps plus 128), and
      the number of hits of each window.
    """
    hits = [hits_of(window) for window in windows]
    rows = [
        (hit.step, hit.drum, hit.velocity, _lateness(hit) + 128) for each in hits for hit in each
    ]
    return bytes(value for row in rows for value in row), [len(each) for each in hits]


def _differences(
    window: np.ndarray, original: np.ndarray
) -> tuple[list[tuple[int, int]], list[tuple[int, int]]]:
    """Return steps and drums of the hits of the original only, and of the window only."""
    ours, theirs = ({(h.step, h.drum) for h in hits_of(each)} for each in (window, original))
    return sorted(theirs - ours), sorted(ours - theirs)


def _stem(hit: Hit) -> str:
    bottom = LANE_OF[hit.drum] + 0.94
    height = SOFTEST + (LOUDEST - SOFTEST) * hit.velocity / 127
    return f"M{hit.step + hit.late_steps:.2f} {bottom:.2f}v-{height:.2f}"


def _dot(step: int, drum: int) -> str:
    """Draw a dot: a line of length 0 with round ends."""
    return f"M{step} {LANE_OF[drum] + 0.5}h0"


def _lateness_class(hit: Hit) -> str:
    late_steps = _lateness(hit) / 2 / 127  # as the page's script has it
    return next(name for limit, name in LATENESS_CLASSES if late_steps < limit)


def _lateness(hit: Hit) -> int:
    """Return the lateness in 127ths of half a step."""
    return round(hit.late_steps * 2 * 127)


def _verticals(steps: Any) -> str:
    return "".join(f"M{step} 0v{len(LANES)}" for step in steps)
