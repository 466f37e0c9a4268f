"""Split grooves into segments of a model's length, by `grid.to_segments`.

This module turns a groove that cannot be split into an error with advice, and logs the notes that
are dropped and the segments that stay empty.
"""

import dataclasses
import warnings
from typing import Any

import numpy as np

from groovae.config.layout import Layout
from groovae.data.grid import Segments, to_segments
from groovae.data.window_report import WindowReport
from groovae.errors import GroovaeError
from groovae.metrics import scores
from groovae.music.drums import CLASS_NAMES, CLOSED_HIHAT, OPEN_HIHAT, hihat_pitches
from groovae.music.midi_writer import MAX_TEMPO_QPM, MIN_TEMPO_QPM
from groovae.music.note_sequence import NoteSequence
from groovae.music.timeline import Timeline
from groovae.system.log import Log, no_log

# What to do about a groove that `to_segments` refuses, by the reason.
ADVICE = {
    "with an impossible tempo or time": "export it again from the program that wrote it",
    "with notes at negative times": "move it to the start of the file",
}


def split_groove(groove: Any, layout: Layout, log: Log, keeps_notes: bool = False) -> Segments:
    """Split a groove into segments.

    Args:
      groove: A NoteSequence of any length, tempo map and meters.
      layout: How to split it.
      log: Called with a line for each reason that notes are dropped, and one on empty segments.
      keeps_notes: Notes that do not fit the grid are not dropped, as the caller keeps them.

    Raises:
      GroovaeError: the groove has no drums, or cannot be split into bars.
    """
    name, report = groove.filename or "the groove", WindowReport()
    try:
        segments = to_segments(groove, layout, report)
    except GroovaeError as error:
        advice = _advice_on_drums(groove) if "drum" in str(error) else ADVICE.get(str(error), "")
        advice = f"; {advice}" if advice else ""
        raise GroovaeError(f"{name}: cannot play a groove {error}{advice}") from error
    for tempo_qpm in segments.timeline.tempo_map.tempos_qpm:
        if not MIN_TEMPO_QPM <= tempo_qpm <= MAX_TEMPO_QPM:
            raise GroovaeError(
                f"{name}: cannot play a groove at this tempo ({tempo_qpm:g} bpm); MIDI is "
                f"written at {MIN_TEMPO_QPM:g} to {MAX_TEMPO_QPM:g}"
            )
    if keeps_notes:
        report.unmapped_pitches.clear()
        report.crowded = 0
    for line in [*report.note_lines(see="--drum_map"), *_empty_segments(segments, layout)]:
        log(f"{name}: {line}")
    return segments


def add_bars(groove: Any, layout: Layout, bars: int) -> Any:
    """Return a copy of a groove with empty bars at its end, of its last tempo and meter."""
    longer = NoteSequence()
    longer.CopyFrom(groove)
    segments = split_groove(groove, layout, no_log, keeps_notes=True)
    timeline = segments.timeline
    _, numerator, denominator = timeline.meters[-1]
    bar_seconds = 240 * numerator / denominator / float(timeline.tempo_map.tempos_qpm[-1])
    longer.total_time = timeline.end_seconds + bars * bar_seconds
    return longer


def _advice_on_drums(groove: Any) -> str:
    """Return which flag may find the drums of a groove."""
    if any(note.is_drum for note in groove.notes):
        return "see --drum_map for its pitches"
    names = {info.instrument: info.name for info in groove.instrument_infos}
    instruments = sorted({note.instrument for note in groove.notes})
    if len(instruments) > 1:
        known = ", ".join(names.get(number, "without a name") for number in instruments[:8])
        return f"name its drums by --drums=track:NAME or --drums=channel:N (its tracks: {known})"
    return "--all_notes treats its notes as drums" if instruments else ""


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
    first, last = (
        one._replace(
            outputs=one.outputs[:num],
            mask=one.mask[:num],
            bars=bars,
            timeline=one.timeline.trim(bars),
        )
        for one in (first, last)
    )
    return first, last


def to_bars(groove: Any, layout: Layout) -> np.ndarray:
    """Return the bars of a groove [bars, steps_per_bar, depth], 0 bars if it has no notes."""
    if not groove.notes:
        return np.zeros((0, layout.steps_per_bar, layout.depth), np.float32)
    outputs = split_groove(groove, layout, no_log).outputs
    return outputs.reshape(-1, layout.steps_per_bar, layout.depth)


def bar_tempos(groove: Any, layout: Layout, num_bars: int) -> np.ndarray:
    """Return the tempo of the first bars of `to_bars` in qpm; it stays after the last bar."""
    tempos_qpm = Timeline(groove, layout.steps_per_bar).bar_tempos_qpm()[:num_bars]
    return np.pad(tempos_qpm, (0, num_bars - len(tempos_qpm)), mode="edge")


def added_pitches(layout: Layout) -> set[int]:
    """Return the pitches of the drums that a model adds; of the closed hi-hat, only its own."""
    if layout.add_instruments == (CLOSED_HIHAT,) and layout.num_drums == len(CLASS_NAMES):
        return hihat_pitches(layout.pitch_classes)
    return {pitch for drum in layout.add_instruments for pitch in layout.pitch_classes[drum]}


def compare_grooves(reference: Any, estimate: Any, layout: Layout) -> dict[str, float]:
    """Return the scores of a groove against a reference; see `GrooveModel.compare`."""
    bars_of = [to_bars(groove, layout) for groove in (reference, estimate)]
    num_bars = max(map(len, bars_of))
    first, second = (np.pad(x, [(0, num_bars - len(x)), (0, 0), (0, 0)]) for x in bars_of)
    tempos_qpm = bar_tempos(reference, layout, num_bars)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # on grooves without hits
        tallies = scores.tally(first, second, tempos_qpm, meter=layout.meter)
    return scores.summarize(scores.join(tallies))


def tap_layout(layout: Layout, taps: Any) -> Layout:
    """Return a layout in which drums of all pitches are taps; if there are no drums, all notes."""
    pitches = [list(drum) for drum in layout.pitch_classes]
    pitches[OPEN_HIHAT] += sorted(set(range(128)) - set(layout.class_of))
    all_notes = layout.all_notes or not any(note.is_drum for note in taps.notes)
    return dataclasses.replace(
        layout, pitch_classes=tuple(map(tuple, pitches)), all_notes=all_notes
    )


def _empty_segments(segments: Segments, layout: Layout) -> list[str]:
    """Return a line that lists the bars of segments without a hit, if there are any."""
    empty = np.setdiff1d(np.arange(len(segments.outputs)), nonempty(segments))
    if not len(empty):
        return []
    parts = np.split(empty, np.flatnonzero(np.diff(empty) > 1) + 1)  # without a gap in each
    size, last = layout.split_bars, segments.bars
    bars = [f"{size * part[0] + 1} to {min(size * (part[-1] + 1), last)}" for part in parts]
    more = f" and {len(bars) - 5} more places" if len(bars) > 5 else ""
    return [f"no drum hits in bars {', '.join(bars[:5])}{more}; they stay empty"]
