"""Grooves as NoteSequences: what a model's tensors become, and what becomes of a player's notes.

A groove is a NoteSequence of drum notes at one tempo, in 4/4 or what is as long (2/2, 8/8), and
`total_time` of whole bars. Its first hits may lie a little before time 0, where they are played
ahead of the beat; `groovae.music.midi_writer.write_midi` keeps them.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from groovae.data.grid import NO_DRUM, Segments
from groovae.music.drums import DrumMap
from groovae.music.midi_writer import DRUM_CHANNEL
from groovae.music.note_sequence import NoteSequence
from groovae.music.tempo import DEFAULT_QPM

MAGENTAS_STEP_SECONDS = 0.125  # a 16th at DEFAULT_QPM


def from_tensors(
    tensors: np.ndarray,
    bars: int,
    tempo_qpm: float,
    drum_map: DrumMap,
    meter: tuple[int, int] = (4, 4),
) -> Any:
    """The groove that a tensor says: the notes of Magenta's `GrooveConverter.from_tensors`.

    Args:
      tensors: float32 [steps, depth]: hits, velocities, offsets.
      bars: How long the groove is.
      tempo_qpm: The tempo to play it at; Magenta puts 120 on all.
      drum_map: The first pitch of each drum class is the one that is written.
      meter: 4/4, or another way to write it.
    """
    # float32 would count steps, and gets coarse as they get many.
    hits, velocities, offsets = np.split(tensors.astype(np.float64), 3, axis=-1)
    steps, drums = np.nonzero(hits > 0.5)
    velocities = np.clip(np.round(velocities[steps, drums] * 127), 0, 127).astype(int)
    # At Magenta's tempo first: its times to the bit.
    starts = (steps - np.clip(offsets[steps, drums] / 2, -0.5, 0.5)) * MAGENTAS_STEP_SECONDS
    times = np.stack([starts, starts + MAGENTAS_STEP_SECONDS]) * (DEFAULT_QPM / tempo_qpm)
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
    """A groove of these notes."""
    groove = NoteSequence(total_time=bars * 4 * 60 / tempo_qpm)
    groove.tempos.add(qpm=tempo_qpm)
    groove.time_signatures.add(numerator=meter[0], denominator=meter[1])
    groove.notes.extend(notes)
    return groove


def drum_notes(groove: Any, segments: Segments) -> list[tuple[Any, int]]:
    """A copy of each note of a groove that is played as a drum, and its cell (see `Segments`)."""
    found = []
    for note, cell in zip(groove.notes, segments.cells.tolist(), strict=True):
        if cell != NO_DRUM:
            drum = NoteSequence.Note()
            drum.CopyFrom(note)
            drum.is_drum = True
            found.append((drum, cell))
    return found


def apply_performance(groove: Any, segments: Segments, tensors: np.ndarray) -> Any:
    """The drums of a groove, in the timing and dynamics that tensors say.

    Hits that share a step and a drum, as in a flam or a roll, move together: the one nearest to the
    grid goes where the tensors say, and the loudest gets their velocity; the others keep their
    distance from the one and their share of the other. A drum without a class stays as it is.

    Args:
      groove: Whose hits are played.
      segments: What it was cut into.
      tensors: float32 of the shape of `pieces.outputs`.
    """
    step_seconds = segments.step_seconds
    velocities, offsets = _by_cell(tensors)
    old_velocities, _ = _by_cell(segments.outputs)
    drums = drum_notes(groove, segments)
    late_steps = _late_steps(drums, segments)
    for note, cell in drums:
        if cell >= 0:
            later_seconds = (-offsets[cell] / 2 - late_steps[cell]) * step_seconds
            note.start_time += later_seconds
            note.end_time += later_seconds
            louder = velocities[cell] / max(old_velocities[cell], 1 / 127)
            note.velocity = int(np.clip(round(note.velocity * louder), 1, 127))
    return make_groove(
        [note for note, _ in drums], segments.bars, segments.tempo_qpm, segments.meter
    )


def join_grooves(grooves: Sequence[Any]) -> Any:
    """Grooves of one tempo, one after another, as one groove."""
    whole = NoteSequence()
    whole.CopyFrom(grooves[0])
    for groove in grooves[1:]:
        whole.notes.extend(shift_groove(groove, whole.total_time).notes)
        whole.total_time += groove.total_time
    return whole


def shift_groove(groove: Any, later_seconds: float) -> Any:
    """The groove, that much later."""
    later = NoteSequence()
    later.CopyFrom(groove)
    for note in later.notes:
        note.start_time += later_seconds
        note.end_time += later_seconds
    later.total_time += later_seconds
    return later


def _late_steps(drums: Sequence[tuple[Any, int]], segments: Segments) -> dict[int, float]:
    """By how much the hit of each cell is late that is nearest to the grid, in steps."""
    num_drums = segments.outputs.shape[-1] // 3
    late_steps: dict[int, float] = {}
    for note, cell in drums:
        late = note.start_time / segments.step_seconds - cell // num_drums
        late_steps[cell] = min(late, late_steps.get(cell, late), key=abs)
    return late_steps


def _by_cell(tensors: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Velocities and offsets, each as one float64 array by step * drums + drum."""
    _, velocities, offsets = np.split(tensors.astype(np.float64), 3, axis=-1)
    return velocities.reshape(-1), offsets.reshape(-1)
