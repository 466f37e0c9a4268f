"""Grooves cut into pieces of a model's length, and whatever there is to tell of it.

`grid.to_segments` does the cutting. Here a groove that cannot be cut becomes an error with a name
and advice, and what gets lost on the way, or stays empty, is told.
"""

import dataclasses
from typing import Any

import numpy as np

from groovae.config.layout import Layout
from groovae.data.grid import Segments, to_segments
from groovae.data.window_report import WindowReport
from groovae.errors import GroovaeError
from groovae.music.drums import OPEN_HIHAT
from groovae.music.midi_writer import MAX_TEMPO_QPM, MIN_TEMPO_QPM
from groovae.system.log import Log

# What to do about a groove that `to_segments` refuses, by its reason.
ADVICE = {
    "without drum notes": "--all_notes takes the notes of all channels for drums",
    "with tempo changes": "write it at one tempo",
    "with meter changes": "cut out a part that is in 4/4",
    "not in 4/4": "the model has learned no other meter",
    "with an impossible tempo or time": "write it anew from the program it comes from",
    "with notes at negative times": "move it to the start of the file",
}


def split_groove(groove: Any, layout: Layout, log: Log, keeps_notes: bool = False) -> Segments:
    """The pieces of a groove.

    Args:
      groove: A NoteSequence of any length.
      layout: How to cut it.
      log: Gets a line for each way in which notes get lost, and one on empty bars.
      keeps_notes: The notes that the grid has no place for are not lost: they are played as well.

    Raises:
      GroovaeError: there are no drums in it, it is not in 4/4, or changes its tempo.
    """
    name, report = groove.filename or "the groove", WindowReport()
    try:
        segments = to_segments(groove, layout, report)
    except GroovaeError as error:
        reason = str(error)
        has_advice = reason in ADVICE and not (layout.all_notes and "drum" in reason)
        advice = f"; {ADVICE[reason]}" if has_advice else ""
        raise GroovaeError(f"{name}: cannot play a groove {reason}{advice}") from error
    if not MIN_TEMPO_QPM <= segments.tempo_qpm <= MAX_TEMPO_QPM:
        raise GroovaeError(
            f"{name}: cannot play a groove at this tempo ({segments.tempo_qpm:g} bpm); MIDI is "
            f"written at {MIN_TEMPO_QPM:g} to {MAX_TEMPO_QPM:g}"
        )
    if keeps_notes:
        report.unmapped_pitches.clear()
        report.crowded = 0
    for line in [*report.note_lines(see="--drum_map"), *_silent_bars(segments, layout)]:
        log(f"{name}: {line}")
    return segments


def nonempty(segments: Segments) -> np.ndarray:
    """The indices of the pieces that have hits."""
    return np.flatnonzero(segments.outputs.any(axis=(1, 2)))


def trim_to_shorter(
    first: Segments, last: Segments, layout: Layout, log: Log
) -> tuple[Segments, Segments]:
    """Two grooves, both as long as the shorter one."""
    bars = min(first.bars, last.bars)
    if first.bars != last.bars:
        log(f"the grooves have {first.bars} and {last.bars} bars: the first {bars} count")
    num = -(-bars // layout.split_bars)
    shorter = [one._replace(outputs=one.outputs[:num], bars=bars) for one in (first, last)]
    return shorter[0], shorter[1]


def to_tensor(groove: Any, layout: Layout) -> np.ndarray:
    """A groove as one tensor [steps, depth], of no steps where nothing is played."""
    if not groove.notes:
        return np.zeros((0, layout.depth), np.float32)
    return split_groove(groove, layout, lambda line: None).outputs.reshape(-1, layout.depth)


def tap_layout(layout: Layout, taps: Any) -> Layout:
    """A layout by which pitches of no drum are taps as well, and all notes, if none is a drum's."""
    pitches = [list(drum) for drum in layout.pitch_classes]
    pitches[OPEN_HIHAT] += sorted(set(range(128)) - set(layout.class_of))
    all_notes = layout.all_notes or not any(note.is_drum for note in taps.notes)
    return dataclasses.replace(
        layout, pitch_classes=tuple(map(tuple, pitches)), all_notes=all_notes
    )


def _silent_bars(segments: Segments, layout: Layout) -> list[str]:
    """A line on the pieces without a hit, if there are any."""
    silent = sorted(set(range(len(segments.outputs))) - set(nonempty(segments).tolist()))
    if not silent:
        return []
    first, last = layout.split_bars * np.array([silent, silent]) + [[1], [layout.split_bars]]
    bars = [f"{a} to {min(b, segments.bars)}" for a, b in zip(first, last, strict=True)]
    more = f" and {len(bars) - 5} more places" if len(bars) > 5 else ""
    return [f"no drum is hit in bars {', '.join(bars[:5])}{more}; they stay empty"]
