"""NoteSequence to grid: all hits of a performance as one array.

A grid is a float32 array [steps, 3 * drums]: for each step (a 16th note) the hits (0 or 1),
velocities (0 to 1) and offsets (-1 to 1, in half steps ahead of the grid) of each drum class. Its
values equal those of `GrooveConverter.to_tensors` (magenta/models/music_vae/data.py) bit for bit.
Unlike there, sequences without a window and lost notes are counted in a `WindowReport`, and
pitches without a drum class do not raise a KeyError.

A sequence is any object with the fields of a NoteSequence.
"""

import math
from typing import Any, NamedTuple

import numpy as np

from groovae.config.layout import Layout, format_meter
from groovae.data.window_report import WindowReport
from groovae.errors import GroovaeError
from groovae.music.drums import pitch_name
from groovae.music.tempo import DEFAULT_QPM, tempo_of
from groovae.music.timeline import MAX_STEPS, Timeline

NO_CLASS, NO_DRUM = -1, -2
IMPOSSIBLE = "with an impossible tempo or time"


class Grid(NamedTuple):
    """All steps of one sequence.

    Attributes:
      outputs: float32 [steps, depth].
      starts: The first step of each window.
      tempo_qpm: The first tempo, in quarter notes per minute.
      tempos: (quarter, qpm) of each tempo, if it changes.
    """

    outputs: np.ndarray
    starts: range
    tempo_qpm: float
    tempos: tuple[tuple[float, float], ...] = ()


class Segments(NamedTuple):
    """All bars of one sequence, cut into adjacent windows.

    Attributes:
      outputs: float32 [n, window_steps, depth]; the last window is padded with silence.
      mask: bool [n, window_steps]: which steps belong to the sequence and are not padding.
      bars: Number of bars of the model, before padding.
      tempo_qpm: The first tempo, in quarter notes per minute.
      step_seconds: Duration of a step.
      sequence: The sequence at its first tempo in bars of the model; see `Timeline.flatten`.
      cells: For each of its notes step * drums + drum, or NO_CLASS, or NO_DRUM.
      timeline: Restores the tempo map and the bars of the original.
    """

    outputs: np.ndarray
    mask: np.ndarray
    bars: int
    tempo_qpm: float
    step_seconds: float
    sequence: Any
    cells: np.ndarray
    timeline: Timeline


def count_windows(sequence: Any, layout: Layout) -> WindowReport:
    """Count the windows and lost notes of one NoteSequence; raises like `to_grid`."""
    report = WindowReport()
    to_grid(sequence, layout, report)
    return report


def to_grid(sequence: Any, layout: Layout, report: WindowReport) -> Grid:
    """Return the grid of a sequence, of 0 steps if the sequence gives no window.

    Args:
      sequence: An unquantized NoteSequence.
      layout: How to cut it.
      report: Its counts are increased.

    Raises:
      GroovaeError: a drum note has no class and `unmapped_pitches` is `error`.
    """
    report.sequences += 1
    tempos: tuple[tuple[float, float], ...] = ()
    reason = ""
    if layout.tempo_changes == "follow":
        sequence, tempos, reason = _follow(sequence, layout)
    notes = _drum_notes(sequence, layout, report)
    tempo_qpm, no_grid = _tempo(sequence, notes, layout)
    reason = reason or no_grid
    if not reason:
        steps = _steps_of(notes.starts, layout, tempo_qpm)
        bars = int(steps.max()) // layout.steps_per_bar + 1
        starts = range(0, bars * layout.steps_per_bar - layout.window_steps + 1, layout.hop_steps)
        if starts:
            kept = _loudest(steps, notes, layout)
            _count_bars(report, bars, starts, layout)
            report.crowded += len(steps) - len(kept)
            outputs = _fill(steps, notes, kept, bars, layout, tempo_qpm)
            return Grid(outputs, starts, tempo_qpm, tempos)
        reason = f"shorter than {layout.split_bars} bars"
    report.unused[reason] += 1
    return Grid(np.zeros((0, layout.depth), np.float32), range(0), tempo_qpm)


def to_segments(sequence: Any, layout: Layout, report: WindowReport) -> Segments:
    """Cut all of a sequence into windows at its bar lines, whatever its tempo map and meters.

    The first bar starts at time 0. The last bar is that of the last hit or, if later, the bar that
    ends nearest to `total_time`, since a loop may end with rests. See music/timeline.py for bars
    that are not those of the model.

    Raises:
      GroovaeError: the sequence cannot be cut into bars; the message is a reason of
        `WindowReport.unused`.
    """
    if not _has_valid_times(sequence):
        raise GroovaeError(IMPOSSIBLE)
    timeline = Timeline(sequence, layout.steps_per_bar)
    flat = timeline.flatten(sequence)
    notes = _drum_notes(flat, layout, report)
    tempo_qpm, reason = _tempo(flat, notes, layout)
    bars = timeline.model_bars
    if bars * layout.steps_per_bar > MAX_STEPS:
        reason = f"longer than {MAX_STEPS:,} steps"
    if reason:
        raise GroovaeError(reason)
    num_windows = -(-bars // layout.split_bars)
    mask = np.zeros(num_windows * layout.window_steps, bool)
    mask[: bars * layout.steps_per_bar] = timeline.mask()
    steps = _steps_of(notes.starts, layout, tempo_qpm)
    steps[~mask[np.minimum(steps, len(mask) - 1)]] -= 1  # the last 32nd of a bar before padding
    steps = np.minimum(steps, bars * layout.steps_per_bar - 1)
    kept = _loudest(steps, notes, layout)
    report.crowded += len(steps) - len(kept)
    outputs = _fill(steps, notes, kept, num_windows * layout.split_bars, layout, tempo_qpm)
    is_drum = [layout.all_notes or note.is_drum for note in flat.notes]
    cells = np.where(is_drum, NO_CLASS, NO_DRUM)
    cells[notes.indices] = steps * layout.num_drums + notes.drums
    return Segments(
        outputs.reshape(num_windows, layout.window_steps, layout.depth),
        mask.reshape(num_windows, layout.window_steps),
        bars,
        tempo_qpm,
        60.0 / tempo_qpm / layout.steps_per_quarter,
        flat,
        cells,
        timeline,
    )


class _Notes(NamedTuple):
    """Drum notes as arrays: index in the sequence, start and end in seconds, class, velocity."""

    indices: np.ndarray
    starts: np.ndarray
    ends: np.ndarray
    drums: np.ndarray
    velocities: np.ndarray


def _drum_notes(sequence: Any, layout: Layout, report: WindowReport) -> _Notes:
    """Return the notes that have a drum class; count the others."""
    # One pass that keeps no note: holding the Python objects of 400 notes takes longer than all
    # the rest.
    fields = [
        (index, note.start_time, note.end_time, note.pitch, note.velocity)
        for index, note in enumerate(sequence.notes)
        if layout.all_notes or note.is_drum
    ]
    table = np.array(fields, np.float64).reshape(-1, 5)
    report.notes += len(sequence.notes)
    report.not_drums += len(sequence.notes) - len(table)
    pitches = table[:, 3].astype(np.int64)
    drums = _classes(pitches, sequence, layout, report)
    has_class = drums >= 0
    indices, starts, ends, _, velocities = table[has_class].T
    return _Notes(indices.astype(np.int64), starts, ends, drums[has_class], velocities)


def _classes(
    pitches: np.ndarray, sequence: Any, layout: Layout, report: WindowReport
) -> np.ndarray:
    """Return the drum class of each note by its pitch, -1 for notes to drop."""
    found, index, counts = np.unique(pitches, return_inverse=True, return_counts=True)
    classes = []
    for pitch, count in zip(found.tolist(), counts.tolist(), strict=True):
        if pitch in layout.class_of:
            classes.append(layout.class_of[pitch])
        elif pitch in layout.nearest_class_of:
            classes.append(layout.nearest_class_of[pitch])
            report.moved_pitches[pitch] += count
        elif layout.unmapped_pitches == "error":
            raise GroovaeError(
                f"{sequence.filename or sequence.id or 'a sequence'}: no drum class holds pitch "
                f"{pitch_name(pitch)}, {count:,} notes; use --unmapped_pitches=drop or nearest"
            )
        else:
            classes.append(-1)
            report.unmapped_pitches[pitch] += count
    return np.array(classes, np.int64)[index]


def _tempo(sequence: Any, notes: _Notes, layout: Layout) -> tuple[float, str]:
    """Return the tempo in qpm, and the reason why the sequence gives no window, or "".

    The rules are those of `note_seq.quantize_note_sequence`, which raises, and GrooveConverter,
    which then returns nothing.
    """
    tempos, signatures = sequence.tempos, sequence.time_signatures
    tempo_qpm = tempo_of(sequence)
    if not len(notes.starts):
        return tempo_qpm, "without drum notes"
    times = [event.time for event in sequence.control_changes]
    times += [event.time for event in sequence.text_annotations]
    all_times = np.concatenate([notes.starts, notes.ends, times])
    all_are_finite = np.isfinite(np.append(all_times, sequence.total_time)).all()
    if not (_has_valid_tempos(sequence) and all_are_finite):
        return tempo_qpm, IMPOSSIBLE
    if _changes(signatures, lambda meter: (meter.numerator, meter.denominator), (4, 4)):
        return tempo_qpm, "with meter changes"
    if _changes(tempos, lambda tempo: tempo.qpm, DEFAULT_QPM):
        return tempo_qpm, "with tempo changes"
    if not _is_in_meter(signatures, layout):
        return tempo_qpm, _not_in_meter(layout)
    steps_per_second = layout.steps_per_quarter * tempo_qpm / 60.0
    if all_times.min() * steps_per_second + 0.5 <= -1:
        return tempo_qpm, "with notes at negative times"
    if notes.starts.max() * steps_per_second >= MAX_STEPS:
        return tempo_qpm, f"longer than {MAX_STEPS:,} steps"
    return tempo_qpm, ""


def _has_valid_tempos(sequence: Any) -> bool:
    """Return whether all tempos are positive and finite; an unset tempo is 0."""
    return all(0 < tempo.qpm < math.inf and math.isfinite(tempo.time) for tempo in sequence.tempos)


def _has_valid_times(sequence: Any) -> bool:
    """Return whether a sequence has a timeline: valid tempos and finite times."""
    times = [time for note in sequence.notes for time in (note.start_time, note.end_time)]
    is_finite = bool(np.isfinite([*times, sequence.total_time]).all())
    return is_finite and _has_valid_tempos(sequence)


def _follow(sequence: Any, layout: Layout) -> tuple[Any, tuple[tuple[float, float], ...], str]:
    """Return the sequence at one tempo, its tempos, and why it gives no window, or ""."""
    if not _has_valid_times(sequence):
        return sequence, (), IMPOSSIBLE
    try:
        timeline = Timeline(sequence, layout.steps_per_bar)
    except GroovaeError as error:
        return sequence, (), str(error)
    if not timeline.has_model_bars:
        is_one_meter = len(timeline.meters) == 1
        return sequence, (), _not_in_meter(layout) if is_one_meter else "with meter changes"
    tempo_map = timeline.tempo_map
    tempos = zip(tempo_map.quarters.tolist(), tempo_map.tempos_qpm.tolist(), strict=True)
    return timeline.flatten(sequence), () if tempo_map.is_constant else tuple(tempos), ""


def _changes(marks: Any, value: Any, default: Any) -> bool:
    """Return whether tempo or meter changes, with note_seq's default before the first mark."""
    if not len(marks):
        return False
    ordered = sorted(marks, key=lambda mark: mark.time)
    if ordered[0].time != 0 and value(ordered[0]) != default:
        return True
    return any(value(mark) != value(marks[0]) for mark in ordered[1:])


def _not_in_meter(layout: Layout) -> str:
    return f"not in {format_meter(layout.meter)}"


def _is_in_meter(signatures: Any, layout: Layout) -> bool:
    """Return whether a bar has `quarters_per_bar` quarters; 2/2 and 8/8 equal 4/4."""
    if not len(signatures):
        return layout.quarters_per_bar == 4
    numerator, denominator = signatures[0].numerator, signatures[0].denominator
    is_power_of_two = denominator > 0 and not denominator & (denominator - 1)
    return is_power_of_two and 4 / denominator * numerator == layout.quarters_per_bar


def _steps_of(starts: np.ndarray, layout: Layout, tempo_qpm: float) -> np.ndarray:
    """Return the nearest step of each note, rounded as `note_seq.quantize_to_step` does."""
    steps_per_second = layout.steps_per_quarter * tempo_qpm / 60.0
    return (starts * steps_per_second + 0.5).astype(np.int64)


def _loudest(steps: np.ndarray, notes: _Notes, layout: Layout) -> np.ndarray:
    """Return the indices of the loudest note of each step and drum, the first of equals."""
    cells = steps * layout.num_drums + notes.drums
    order = np.lexsort((-notes.velocities, cells))  # stable, so the first of equals stays first
    is_first = np.ones(len(order), bool)
    is_first[1:] = np.diff(cells[order]) != 0
    return order[is_first]


def _fill(
    steps: np.ndarray,
    notes: _Notes,
    kept: np.ndarray,
    bars: int,
    layout: Layout,
    tempo_qpm: float,
) -> np.ndarray:
    """Return float32 [steps, depth], computed in float64 in Magenta's order of operations."""
    step_seconds = 60.0 / tempo_qpm / layout.steps_per_quarter
    offsets = (step_seconds * steps[kept] - notes.starts[kept]) / step_seconds * 2
    offsets = np.clip(offsets, -1, 1)  # beyond it only hits on the last 32nd; see to_segments
    outputs = np.zeros((bars * layout.steps_per_bar, 3, layout.num_drums), np.float32)
    step, drum = steps[kept], notes.drums[kept]
    outputs[step, 0, drum] = 1
    outputs[step, 1, drum] = notes.velocities[kept] / 127.0
    outputs[step, 2, drum] = offsets
    return outputs.reshape(-1, layout.depth)


def _count_bars(report: WindowReport, bars: int, starts: range, layout: Layout) -> None:
    covered = len(starts) * min(layout.hop_steps, layout.window_steps)
    covered += max(layout.window_steps - layout.hop_steps, 0)
    report.used += 1
    report.windows += len(starts)
    report.bars += bars
    report.bars_lost += bars - covered // layout.steps_per_bar
