"""Piano rolls for a web page, and the notes of a window for all that plays one.

A roll is an SVG image without a size of its own: it is stretched over whatever box the page gives
it, one unit a 16th wide and one a lane high, so that it reads on a phone as on a desk. Its lines
keep their width when they are stretched. Lanes lie in the order of drum notation, the kick at the
bottom (`render.NOTATION`). A hit is a stem at its true time, as high as its velocity; its class
says how early or late it is, and the page's style sheet gives the class a colour, one for a light
page and one for a dark one.

Windows are those of grid.py: float32 [steps, 3 * drums].
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from groovae.music.drums import CLASS_NAMES, GM
from groovae.music.midi_writer import Note
from groovae.music.picture import BAR_STEPS, BEAT_STEPS, FULL_COLOUR_STEPS, NOTATION

SOFTEST, LOUDEST = 0.12, 0.88  # the heights of stems, in lanes
HOLD_STEPS = 1  # how long a note lasts, as in Magenta

# From the top of a roll to its bottom; short, as they stand beside it.
SHORT_NAMES = {"closed hi-hat": "hi-hat", "open hi-hat": "open hat"}
LANES = [SHORT_NAMES.get(CLASS_NAMES[drum], CLASS_NAMES[drum]) for drum in reversed(NOTATION)]
LANE_OF = {drum: lane for lane, drum in enumerate(reversed(NOTATION))}

# A hit has the class of the first limit that it does not reach, in 16ths late.
FEELS = (
    (-FULL_COLOUR_STEPS * 2 / 3, "early"),
    (-FULL_COLOUR_STEPS / 4, "a-bit-early"),
    (FULL_COLOUR_STEPS / 4, "on-grid"),
    (FULL_COLOUR_STEPS * 2 / 3, "a-bit-late"),
    (np.inf, "late"),
)


class Hit(NamedTuple):
    """A hit of a window: its 16th, its drum class, its velocity 1 to 127, and its offset."""

    step: int
    drum: int
    velocity: int
    late_steps: float


class Tempo(NamedTuple):
    qpm: float


class Groove(NamedTuple):
    """As much of a NoteSequence as `groovae.music.sound` needs."""

    notes: list[Note]
    total_time: float
    tempos: tuple[Tempo, ...]


def hits_of(window: np.ndarray) -> list[Hit]:
    """The hits of a window, from first to last, as Magenta's `from_tensors` reads them."""
    hits, velocities, offsets = np.split(window, 3, axis=-1)
    loudness = np.clip(np.rint(np.nan_to_num(velocities) * 127), 1, 127).astype(int)
    late_steps = -np.clip(np.nan_to_num(offsets), -1, 1) / 2
    return [
        Hit(step, drum, int(loudness[step, drum]), float(late_steps[step, drum]))
        for step, drum in np.argwhere(hits > 0.5).tolist()
    ]


def groove_of(window: np.ndarray, tempo_qpm: float) -> Groove:
    """The window as it is played at a tempo, General MIDI pitches, times in seconds."""
    step_seconds = 60 / tempo_qpm / BEAT_STEPS
    notes = []
    for hit in hits_of(window):
        start = (hit.step + hit.late_steps) * step_seconds
        notes.append(Note(start, start + HOLD_STEPS * step_seconds, GM[hit.drum][0], hit.velocity))
    return Groove(notes, len(window) * step_seconds, (Tempo(tempo_qpm),))


def roll(window: np.ndarray, original: np.ndarray | None = None) -> str:
    """A window as an SVG image.

    Args:
      window: float32 [steps, 3 * drums].
      original: What it was made from, of the same shape: hits that only one of the two has are
        marked, by a ring where one is missed and by a dot where one was added.

    Returns:
      An `svg` element; the page must have a `grid` of this length.
    """
    hits = hits_of(window)
    paths = [(feel, [_stem(hit) for hit in hits if _feel(hit) == feel]) for _, feel in FEELS]
    if original is not None:
        missed, added = ([_dot(*cell) for cell in some] for some in _differences(window, original))
        paths += [("missed", missed), ("hollow", missed)]
        paths += [("added", added)]
    drawn = "".join(f'<path class="{name}" d="{"".join(d)}"/>' for name, d in paths if d)
    return (
        f'<svg class="roll" viewBox="0 0 {len(window)} {len(LANES)}" preserveAspectRatio="none" '
        f'role="img" aria-label="{describe(window, original)}">'
        f'<use href="#grid-{len(window)}"/>{drawn}</svg>'
    )


def grid(steps: int) -> str:
    """The lines behind all rolls of this length: lanes, 16ths, beats and bars."""
    lanes = len(LANES)
    paths = {
        "lane": "".join(f"M0 {lane}h{steps}" for lane in range(lanes + 1)),
        "beat": _uprights(x for x in range(0, steps, BEAT_STEPS) if x % BAR_STEPS),
        "bar": _uprights(range(0, steps + 1, BAR_STEPS)),
    }
    drawn = "".join(f'<path class="{name}" d="{d}"/>' for name, d in paths.items())
    return f'<g id="grid-{steps}">{drawn}</g>'


def describe(window: np.ndarray, original: np.ndarray | None = None) -> str:
    """In words, for those who do not see the roll."""
    drums = [hit.drum for hit in hits_of(window)]
    counts = [f"{CLASS_NAMES[drum]} {drums.count(drum)}" for drum in sorted(set(drums))]
    bars = len(window) / BAR_STEPS
    told = f"{len(drums)} hits in {bars:g} bars{': ' if counts else ''}{', '.join(counts)}"
    if original is None:
        return told
    missed, added = _differences(window, original)
    return f"{told}; missed {len(missed)}, added {len(added)}"


def packed(windows: Sequence[np.ndarray]) -> tuple[bytes, list[int]]:
    """Windows as few bytes, for the page's script.

    Returns:
      Four bytes a hit (step, drum, velocity, and 127 times its lateness in half steps plus 128),
      and how many hits each window has.
    """
    hits = [hits_of(window) for window in windows]
    rows = [
        (hit.step, hit.drum, hit.velocity, _lateness(hit) + 128) for each in hits for hit in each
    ]
    return bytes(value for row in rows for value in row), [len(each) for each in hits]


def _differences(
    window: np.ndarray, original: np.ndarray
) -> tuple[list[tuple[int, int]], list[tuple[int, int]]]:
    """The steps and drums of hits that only the original has, and of those that only it lacks."""
    ours, theirs = ({(h.step, h.drum) for h in hits_of(each)} for each in (window, original))
    return sorted(theirs - ours), sorted(ours - theirs)


def _stem(hit: Hit) -> str:
    bottom = LANE_OF[hit.drum] + 0.94
    height = SOFTEST + (LOUDEST - SOFTEST) * hit.velocity / 127
    return f"M{hit.step + hit.late_steps:.2f} {bottom:.2f}v-{height:.2f}"


def _dot(step: int, drum: int) -> str:
    """A line without a length, which has round ends."""
    return f"M{step} {LANE_OF[drum] + 0.5}h0"


def _feel(hit: Hit) -> str:
    late_steps = _lateness(hit) / 2 / 127  # as the page's script has it
    return next(name for limit, name in FEELS if late_steps < limit)


def _lateness(hit: Hit) -> int:
    """-127 to 127 for up to half a step."""
    return round(hit.late_steps * 2 * 127)


def _uprights(steps: Any) -> str:
    return "".join(f"M{step} 0v{len(LANES)}" for step in steps)
