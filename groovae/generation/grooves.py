"""Grooves as NoteSequences: from a model's tensors, and a player's notes with another performance.

A groove is a NoteSequence of drum notes with a `total_time` of whole bars. Its first hits may lie
slightly before time 0, if they are played ahead of the beat;
`groovae.music.midi_writer.write_midi` keeps them.
"""

import collections
from collections.abc import Sequence
from typing import Any

import numpy as np

from groovae.config.layout import Layout
from groovae.data.grid import NO_DRUM, Segments
from groovae.generation.steering import Steering, blend_velocities, follow_swing
from groovae.music.drums import DrumMap
from groovae.music.midi_reader import DRUM_CHANNEL
from groovae.music.note_sequence import NoteSequence
from groovae.music.tempo import DEFAULT_QPM

MAGENTA_STEP_SECONDS = 0.125  # a 16th at DEFAULT_QPM
AS_PLAYED = Steering()


def from_tensors(
    tensors: np.ndarray,
    bars: int,
    tempo_qpm: float,
    drum_map: DrumMap,
    meter: tuple[int, int] = (4, 4),
) -> Any:
    """Convert a tensor to a groove, as Magenta's `GrooveConverter.from_tensors` does.

    Args:
      tensors: float32 [steps, depth]: hits, velocities, offsets.
      bars: The length of the groove.
      tempo_qpm: The tempo of the groove; Magenta always uses 120.
      drum_map: The first pitch of each drum class is written.
      meter: Numerator and denominator.
    """
    # In float64, since the times of late steps are too coarse in float32.
    hits, velocities, offsets = np.split(tensors.astype(np.float64), 3, axis=-1)
    steps, drums = np.nonzero(hits > 0.5)
    velocities = np.clip(np.round(velocities[steps, drums] * 127), 0, 127).astype(int)
    # Computed at Magenta's tempo first, so that its times are reproduced bit for bit.
    starts = (steps - np.clip(offsets[steps, drums] / 2, -0.5, 0.5)) * MAGENTA_STEP_SECONDS
    times = np.stack([starts, starts + MAGENTA_STEP_SECONDS]) * (DEFAULT_QPM / tempo_qpm)
    groove = make_groove([], bars, tempo_qpm, meter)
    for drum, velocity, start, end in zip(
        drums.tolist(), velocities.tolist(), *times.tolist(), strict=True
    ):
        groove.notes.add(
            instrument=DRUM_CHANNEL,
            is_drum=True,
            pitch=drum_map[drum][0],
            velocity=velocity,
            start_time=start,
            end_time=end,
        )
    return groove


def make_groove(
    notes: Sequence[Any], bars: int, tempo_qpm: float, meter: tuple[int, int] = (4, 4)
) -> Any:
    """Return a groove at one tempo, with copies of the notes."""
    groove = NoteSequence(total_time=bars * 4 * meter[0] / meter[1] * 60 / tempo_qpm)
    groove.tempos.add(qpm=tempo_qpm)
    groove.time_signatures.add(numerator=meter[0], denominator=meter[1])
    groove.notes.extend(notes)
    return groove


def make_groove_like(segments: Segments, notes: Sequence[Any]) -> Any:
    """Return a groove of notes, with the tempo map, meters and length of the segments' original."""
    groove = NoteSequence(ticks_per_quarter=segments.sequence.ticks_per_quarter)
    groove.notes.extend(notes)
    return segments.timeline.restore(groove)


def drum_notes(segments: Segments) -> list[tuple[Any, int]]:
    """Return a copy of each note that is played as a drum, and its cell (see `Segments`)."""
    found = []
    for note, cell in zip(segments.sequence.notes, segments.cells.tolist(), strict=True):
        if cell != NO_DRUM:
            drum = NoteSequence.Note()
            drum.CopyFrom(note)
            drum.is_drum = True
            found.append((drum, cell))
    return found


def to_notes(
    segments: Segments, tensors: np.ndarray, layout: Layout, drum_map: DrumMap | None = None
) -> Any:
    """Return the notes of tensors of the shape of `segments.outputs`.

    By default a drum gets the first pitch of the layout.
    """
    tensor = tensors.reshape(-1, layout.depth)[: segments.bars * layout.steps_per_bar]
    pitches = layout.pitch_classes if drum_map is None else drum_map
    return from_tensors(tensor, segments.bars, segments.tempo_qpm, pitches, layout.meter).notes


def to_notes_like(segments: Segments, tensors: np.ndarray, layout: Layout) -> Any:
    """Return the notes of tensors with the pitches of the groove, such as those of claps.

    Where the groove has a hit of the same step and drum, its pitch is taken, that of the loudest if
    there are several; elsewhere the pitch that the groove uses most for the drum.
    """
    notes = to_notes(segments, tensors, layout, usual_pitches(segments, layout.pitch_classes))
    loudest_last = sorted(drum_notes(segments), key=lambda drum: drum[0].velocity)
    pitch_of = {cell: note.pitch for note, cell in loudest_last}
    cells = np.flatnonzero(tensors[..., : layout.num_drums] > 0.5).tolist()
    for note, cell in zip(notes, cells, strict=False):  # none beyond the last bar
        note.pitch = pitch_of.get(cell, note.pitch)
    return notes


def usual_pitches(segments: Segments, drum_map: DrumMap) -> DrumMap:
    """Return a drum map with the most frequent pitch of each drum in the groove first."""
    counts: dict[int, collections.Counter[int]] = collections.defaultdict(collections.Counter)
    for note, cell in drum_notes(segments):
        if cell >= 0:
            counts[cell % len(drum_map)][note.pitch] += 1
    return tuple(
        (counts[drum].most_common(1)[0][0], *pitches) if drum in counts else pitches
        for drum, pitches in enumerate(drum_map)
    )


def apply_performance(
    segments: Segments, tensors: np.ndarray, steering: Steering = AS_PLAYED
) -> Any:
    """Return the drums of a groove with the timing and dynamics of tensors.

    Hits that share a step and a drum, as in a flam or a roll, are changed together: the one nearest
    to the grid moves to the time of the tensors, and the loudest gets their velocity; the others
    keep their distance in time and their ratio of velocities. Drums without a class stay unchanged.

    Args:
      segments: The segments of the groove whose hits are kept.
      tensors: float32 of the shape of `segments.outputs`.
      steering: How far to go from the groove to the tensors.
    """
    drums = drum_notes(segments)
    notes = [note for note, cell in drums if cell >= 0]
    cells = np.array([cell for _, cell in drums if cell >= 0], np.int64)
    steps, classes = np.divmod(cells, segments.outputs.shape[-1] // 3)
    velocities, offsets = _by_cell(tensors)
    loudest, _ = _by_cell(segments.outputs)
    before = np.array([note.velocity for note in notes])
    after = before * (velocities / np.maximum(loudest, 1 / 127))[cells]
    late, new_late = _late_steps(notes, cells, steps, segments), -offsets[cells] / 2
    if steering.keeps_swing:
        new_late = follow_swing(late, new_late, steps % segments.timeline.steps_per_bar, classes)
    seconds = steering.timing_amount * ((new_late - late) * segments.step_seconds)
    if steering.push_ms:
        seconds -= steering.push_ms / 1000
    blended = blend_velocities(before, after, classes, steering)
    for note, velocity, shift in zip(notes, blended.tolist(), seconds.tolist(), strict=True):
        note.start_time += shift
        note.end_time += shift
        note.velocity = velocity
    return make_groove_like(segments, [note for note, _ in drums])


def join_grooves(grooves: Sequence[Any]) -> Any:
    """Concatenate grooves, with their tempos and meters."""
    whole = NoteSequence()
    whole.CopyFrom(grooves[0])
    for groove in grooves[1:]:
        shifted = shift_groove(groove, whole.total_time)
        whole.notes.extend(shifted.notes)
        for mark in shifted.tempos:
            if mark.qpm != whole.tempos[-1].qpm:
                whole.tempos.append(mark)
        for mark in shifted.time_signatures:
            last = whole.time_signatures[-1]
            if (mark.numerator, mark.denominator) != (last.numerator, last.denominator):
                whole.time_signatures.append(mark)
        whole.total_time += groove.total_time
    return whole


def shift_groove(groove: Any, seconds: float) -> Any:
    """Return a copy that starts `seconds` later."""
    shifted = NoteSequence()
    shifted.CopyFrom(groove)
    for note in shifted.notes:
        note.start_time += seconds
        note.end_time += seconds
    for mark in (*shifted.tempos, *shifted.time_signatures):
        mark.time += seconds
    shifted.total_time += seconds
    return shifted


def place_early_hits(groove: Any, how: str) -> Any:
    """Return a groove whose hits ahead of its start are moved; other notes stay.

    Args:
      groove: A NoteSequence.
      how: `clamp` moves these hits to the start, `wrap` to the end of the loop, where they sound
        early on the next round; `shift` and `pickup` leave them, as in MIDI all notes are moved.
    """
    if how not in ("clamp", "wrap") or all(note.start_time >= 0 for note in groove.notes):
        return groove
    placed = NoteSequence()
    placed.CopyFrom(groove)
    for note in placed.notes:
        if note.start_time < 0:
            later = -note.start_time if how == "clamp" else groove.total_time
            note.start_time += later
            note.end_time += later
    placed.notes.sort(key=lambda note: (note.start_time, note.pitch))
    return placed


def _late_steps(
    notes: Sequence[Any], cells: np.ndarray, steps: np.ndarray, segments: Segments
) -> np.ndarray:
    """Return for each note the lateness in steps of the hit of its cell that is nearest to it."""
    late_steps = np.array([note.start_time for note in notes]) / segments.step_seconds - steps
    farthest_first = np.argsort(-np.abs(late_steps), kind="stable")
    by_cell = np.zeros(segments.outputs.size // 3)
    by_cell[cells[farthest_first]] = late_steps[farthest_first]  # of equal cells the last is kept
    return by_cell[cells]


def _by_cell(tensors: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return velocities and offsets as float64 arrays, indexed by cell (step * drums + drum)."""
    _, velocities, offsets = np.split(tensors.astype(np.float64), 3, axis=-1)
    return velocities.reshape(-1), offsets.reshape(-1)
