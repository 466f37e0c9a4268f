"""Split grooves into segments of a model's length, by `grid.to_segments`.

This module turns a groove that cannot be split into an error with advice, and logs the notes that
are dropped and the segments that stay empty.
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
from groovae.system.log import Log, no_log

# What to do about a groove that `to_segments` refuses, by the reason.
ADVICE = {
    "without drum notes": "--all_notes treats the notes of all channels as drums",
    "with tempo changes": "write it at one tempo",
    "with meter changes": "cut out a part that is in 4/4",
    "not in 4/4": "the model is trained on 4/4 only",
    "with an impossible tempo or time": "export it again from the program that wrote it",
    "with notes at negative times": "move it to the start of the file",
}


def split_groove(groove: Any, layout: Layout, log: Log, keeps_notes: bool = False) -> Segments:
    """Split a groove into segments.

    Args:
      groove: A NoteSequence of any length.
      layout: How to split it.
      log: Called with a line for each reason that notes are dropped, and one on empty segments.
      keeps_notes: Notes that do not fit the grid are not dropped, as the caller keeps them.

    Raises:
      GroovaeError: the groove has no drums, is not in 4/4, or changes its tempo.
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
    for line in [*report.note_lines(see="--drum_map"), *_empty_segments(segments, layout)]:
        log(f"{name}: {line}")
    return segments


def nonempty(segments: Segments) -> np.ndarray:
    """Return the indices of the segments that have hits."""
    return np.flatnonzero(segments.outputs.any(axis=(1, 2)))


def trim_to_shorter(
    first: Segments, last: Segments, layout: Layout, log: Log
) -> tuple[Segments, Segments]:
    """Trim two grooves to the length of the shorter one."""
    bars = min(first.bars, last.bars)
    if first.bars != last.bars:
        log(f"the grooves have {first.bars} and {last.bars} bars: only the first {bars} are used")
    num = -(-bars // layout.split_bars)
    first, last = (one._replace(outputs=one.outputs[:num], bars=bars) for one in (first, last))
    return first, last


def to_tensor(groove: Any, layout: Layout) -> np.ndarray:
    """Return a groove as one tensor [steps, depth], of 0 steps if it has no notes."""
    if not groove.notes:
        return np.zeros((0, layout.depth), np.float32)
    return split_groove(groove, layout, no_log).outputs.reshape(-1, layout.depth)


def tap_layout(layout: Layout, taps: Any) -> Layout:
    """Return a layout in which drums of all pitches are taps; if there are no drums, all notes."""
    pitches = [list(drum) for drum in layout.pitch_classes]
    pitches[OPEN_HIHAT] += sorted(set(range(128)) - set(layout.class_of))
    all_notes = layout.all_notes or not any(note.is_drum for note in taps.notes)
    return dataclasses.replace(
        layout, pitch_classes=tuple(map(tuple, pitches)), all_notes=all_notes
    )


def _empty_segments(segments: Segments, layout: Layout) -> list[str]:
    """Return a line that lists the segments without a hit, if there are any."""
    empty = np.setdiff1d(np.arange(len(segments.outputs)), nonempty(segments))
    if not len(empty):
        return []
    starts = [layout.split_bars * i + 1 for i in empty.tolist()]
    bars = [f"{i} to {min(i + layout.split_bars - 1, segments.bars)}" for i in starts]
    more = f" and {len(bars) - 5} more places" if len(bars) > 5 else ""
    return [f"no drum hits in bars {', '.join(bars[:5])}{more}; they stay empty"]
