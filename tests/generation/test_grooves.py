"""Tensors to NoteSequences and back, and performances applied to notes, with values by hand."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import a_groove
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from groovae.config import config_map
from groovae.config.layout import Layout
from groovae.data.grid import Segments, to_segments
from groovae.data.window_report import WindowReport
from groovae.generation.grooves import (
    apply_performance,
    drum_notes,
    from_tensors,
    join_grooves,
    make_groove,
    place_early_hits,
    to_notes,
    to_notes_like,
)
from groovae.music.drums import CLOSED_HIHAT, GM, KICK, SNARE, read_drum_map
from groovae.music.note_sequence import NoteSequence

FOUR_BARS = config_map.layout("groovae_4bar")
STEP_SECONDS = 0.125  # at 120 qpm


@pytest.fixture(scope="module")
def converter() -> Any:
    """The converter of `TrainedModel`, which writes General MIDI pitches."""
    converter = config_map.get_config("groovae_4bar").data_converter
    converter.set_mode("infer")
    return converter


def a_tensor(*hits: tuple[int, int, float, float], bars: int = 1) -> np.ndarray:
    """Return a tensor with hits at (step, drum, velocity, offset)."""
    tensor = np.zeros((16 * bars, 27), np.float32)
    for step, drum, velocity, offset in hits:
        tensor[step, [drum, 9 + drum, 18 + drum]] = 1, velocity, offset
    return tensor


def drums(*hits: tuple[float, int, int], **note: Any) -> Any:
    """Return a groove with hits at (seconds, pitch, velocity), at 120 qpm."""
    groove = NoteSequence()
    groove.tempos.add(qpm=120)
    for start, pitch, velocity in hits:
        values = {"pitch": pitch, "velocity": velocity, "is_drum": True, **note}
        groove.notes.add(start_time=start, end_time=start + 0.1, **values)
    return groove


def segments_of(groove: Any, layout: Layout = FOUR_BARS) -> Segments:
    return to_segments(groove, layout, WindowReport())


def hits_of(groove: Any) -> list[tuple[float, int, int]]:
    return [(round(note.start_time, 9), note.pitch, note.velocity) for note in groove.notes]


# From tensors


@pytest.mark.parametrize("tempo_qpm", [60.0, 97.3, 120.0])
def test_offset_shifts_a_hit_by_up_to_half_a_step(tempo_qpm: float) -> None:
    tensor = a_tensor((0, KICK, 1.0, 0.0), (4, SNARE, 0.5, 0.5), (9, CLOSED_HIHAT, 0.1, -1.0))
    groove = from_tensors(tensor, 3, tempo_qpm, GM)
    step_seconds = 60 / tempo_qpm / 4
    assert [(note.pitch, note.velocity) for note in groove.notes] == [(36, 127), (38, 64), (42, 13)]
    starts = [note.start_time / step_seconds for note in groove.notes]
    assert starts == pytest.approx([0, 3.75, 9.5])
    lengths = [(note.end_time - note.start_time) / step_seconds for note in groove.notes]
    assert lengths == pytest.approx([1, 1, 1])
    assert [tempo.qpm for tempo in groove.tempos] == [tempo_qpm]
    meters = [(meter.numerator, meter.denominator) for meter in groove.time_signatures]
    assert meters == [(4, 4)]
    assert groove.total_time == pytest.approx(3 * 4 * 60 / tempo_qpm)
    assert all(note.is_drum for note in groove.notes)


@settings(max_examples=25)
@given(
    tensor=arrays(
        np.float32,
        st.tuples(st.integers(1, 48), st.just(27)),
        elements=st.floats(-2, 2, width=32),
        fill=st.nothing(),
    ),
    tempo_qpm=st.sampled_from([60.0, 97.3, 120.0, 211.7]),
)
def test_notes_equal_magentas(converter: Any, tensor: np.ndarray, tempo_qpm: float) -> None:
    (theirs,) = converter.from_tensors([tensor.astype(np.float64)])
    for note in theirs.notes:
        note.start_time *= 120 / tempo_qpm
        note.end_time *= 120 / tempo_qpm
    ours = from_tensors(tensor, 3, tempo_qpm, GM)
    assert list(ours.notes) == list(theirs.notes)


def test_first_pitch_of_each_drum_class_is_written(tmp_path: Path) -> None:
    mine = tmp_path / "mine.json"
    mine.write_text(json.dumps({"kick": [20, 21], "closed hi-hat": 22}))
    tensor = a_tensor(*((drum, drum, 0.5, 0.0) for drum in range(9)))
    written = {
        name: [note.pitch for note in from_tensors(tensor, 1, 120, read_drum_map(name)).notes]
        for name in ("gm", "roland", str(mine))
    }
    assert written["gm"] == [36, 38, 42, 46, 45, 48, 50, 49, 51]
    assert written["roland"] == [36, 38, 42, 46, 43, 45, 48, 49, 51]
    assert written[str(mine)] == [20, 38, 22, 46, 45, 48, 50, 49, 51]


@settings(max_examples=25)
@given(
    hits=arrays(bool, (32, 9)),
    velocities=arrays(np.int64, (32, 9), elements=st.integers(1, 127)),
    offsets=arrays(np.float32, (32, 9), elements=st.floats(-63 / 64, 63 / 64, width=32)),
    tempo_qpm=st.floats(30, 300),
    name=st.sampled_from(["gm", "roland"]),
)
def test_tensor_round_trips_through_a_groove(
    hits: np.ndarray, velocities: np.ndarray, offsets: np.ndarray, tempo_qpm: float, name: str
) -> None:
    hits[0, 0] = hits[31, 0] = True  # both bars have a hit
    parts = [hits, hits * velocities / 127, hits * offsets]
    tensor = np.concatenate(parts, axis=-1).astype(np.float32)
    drum_map = read_drum_map(name)
    groove = from_tensors(tensor, 2, tempo_qpm, drum_map)
    layout = Layout(split_bars=2, hop_steps=32, pitch_classes=drum_map)
    again = segments_of(groove, layout)
    assert (again.bars, again.tempo_qpm) == (2, tempo_qpm)
    np.testing.assert_allclose(again.outputs[0], tensor, atol=1e-5)


def test_times_after_an_hour_are_exact() -> None:
    tensor = np.zeros((30_000, 27), np.float32)
    tensor[-1, [KICK, 9 + KICK, 18 + KICK]] = 1, 0.5, 0.1
    (note,) = from_tensors(tensor, 1875, 120, GM).notes
    assert note.start_time == pytest.approx((29_999 - 0.05) * STEP_SECONDS, abs=1e-6)


# Drums of a groove


def test_drum_notes_include_drums_without_a_class() -> None:
    groove = drums((0, 36, 90), (0.5, 20, 70))
    groove.notes.add(pitch=60, velocity=50, start_time=0.25, end_time=0.5)
    found = drum_notes(segments_of(groove))
    assert [(note.pitch, cell) for note, cell in found] == [(36, KICK), (20, -1)]
    found[0][0].velocity = 1
    assert groove.notes[0].velocity == 90  # unchanged


def test_all_notes_become_drum_notes() -> None:
    groove = drums((0, 36, 90), is_drum=False)
    layout = config_map.layout("groovae_4bar", all_notes=True)
    ((note, cell),) = drum_notes(segments_of(groove, layout))
    assert (note.is_drum, cell) == (True, KICK)


def test_notes_like_a_groove_have_its_pitches() -> None:
    groove = drums((0, 36, 90), (0.5, 40, 90), (0.5, 37, 50), (1.5, 40, 90), (2.0, 37, 90))
    groove.notes.add(pitch=20, velocity=90, start_time=0.25, end_time=0.3, is_drum=True)
    segments = segments_of(groove)
    tensor = a_tensor(
        *((0, KICK, 0.5, 0.0), (4, SNARE, 0.5, 0.0), (4, CLOSED_HIHAT, 0.5, 0.0)),
        *((14, SNARE, 0.5, 0.0), (16, SNARE, 0.5, 0.0)),
        bars=4,
    )
    like = to_notes_like(segments, tensor[np.newaxis], FOUR_BARS)
    assert [note.pitch for note in like] == [36, 40, 42, 40, 37]
    plain = to_notes(segments, tensor[np.newaxis], FOUR_BARS)
    assert [note.pitch for note in plain] == [36, 38, 42, 38, 38]
    for note, other in zip(like, plain, strict=True):
        note.pitch = other.pitch
        assert note == other


# Applied performances


def test_own_performance_changes_nothing() -> None:
    groove = a_groove(bars=6)
    segments = segments_of(groove)
    same = apply_performance(segments, segments.outputs)
    assert [note.velocity for note in same.notes] == [note.velocity for note in groove.notes]
    np.testing.assert_allclose(
        [note.start_time for note in same.notes], [note.start_time for note in groove.notes]
    )


def test_hits_get_timing_and_velocity_of_the_tensor() -> None:
    groove = drums((0.01, 36, 80), (0.5, 38, 100))
    segments = segments_of(groove)
    tensor = a_tensor((0, KICK, 50 / 127, 0.4), (4, SNARE, 1.0, -0.2), bars=4)
    played = apply_performance(segments, tensor[np.newaxis])
    assert hits_of(played) == [
        (pytest.approx(-0.2 * STEP_SECONDS, abs=1e-6), 36, 50),
        (pytest.approx(0.5 + 0.1 * STEP_SECONDS, abs=1e-6), 38, 127),
    ]
    lengths = [note.end_time - note.start_time for note in played.notes]
    assert lengths == pytest.approx([0.1, 0.1])
    assert hits_of(groove) == [(0.01, 36, 80), (0.5, 38, 100)]  # unchanged


def test_flam_keeps_its_spacing_and_velocity_ratio() -> None:
    groove = drums((0.48, 38, 30), (0.5, 38, 90))  # the grace note is in the same step
    tensor = a_tensor((4, SNARE, 60 / 127, 0.8), bars=4)
    played = apply_performance(segments_of(groove), tensor[np.newaxis])
    assert hits_of(played) == [
        (pytest.approx(0.48 - 0.4 * STEP_SECONDS, abs=1e-6), 38, 20),
        (pytest.approx(0.5 - 0.4 * STEP_SECONDS, abs=1e-6), 38, 60),
    ]


def test_drum_without_a_class_is_unchanged() -> None:
    groove = drums((0.0, 36, 80), (0.26, 20, 33))
    tensor = a_tensor((0, KICK, 0.5, 0.5), bars=4)
    played = apply_performance(segments_of(groove), tensor[np.newaxis])
    assert hits_of(played)[1] == (0.26, 20, 33)


def test_velocities_stay_within_1_and_127() -> None:
    groove = drums((0.0, 36, 1), (0.5, 38, 100))
    tensor = a_tensor((0, KICK, 1.0, 0.0), (4, SNARE, 0.0, 0.0), bars=4)
    played = apply_performance(segments_of(groove), tensor[np.newaxis])
    assert [note.velocity for note in played.notes] == [127, 1]


# Joined


def test_joined_grooves_follow_each_other() -> None:
    first, second = (make_groove(drums((0.25, pitch, 90)).notes, 2, 120) for pitch in (36, 38))
    whole = join_grooves([first, second, first])
    assert hits_of(whole) == [(0.25, 36, 90), (4.25, 38, 90), (8.25, 36, 90)]
    assert whole.notes[1].end_time == pytest.approx(4.35)
    assert whole.total_time == 12
    assert [tempo.qpm for tempo in whole.tempos] == [120]
    assert hits_of(first) == [(0.25, 36, 90)]  # unchanged
    assert join_grooves([first]) == first


@given(st.lists(st.integers(-60, 3900), max_size=9))
def test_only_hits_before_the_start_are_placed_elsewhere(starts_ms: list[int]) -> None:
    groove = drums(*((ms / 1000, 36 + i, 100) for i, ms in enumerate(starts_ms)))
    groove.total_time = 4.0

    def starts(how: str) -> dict[int, float]:
        placed = place_early_hits(groove, how)
        assert placed.total_time == 4.0
        return {note.pitch: round(note.start_time, 9) for note in placed.notes}

    before = {36 + i: ms / 1000 for i, ms in enumerate(starts_ms)}
    early = {pitch: start for pitch, start in before.items() if start < 0}
    assert starts("shift") == before
    assert starts("clamp") == before | dict.fromkeys(early, 0.0)
    wrapped = {pitch: round(4 + start, 9) for pitch, start in early.items()}
    assert starts("wrap") == before | wrapped
