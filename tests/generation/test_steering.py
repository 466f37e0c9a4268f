"""How far a performance goes from the input's to the model's, on random beats."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from groovae.config import config_map
from groovae.data.grid import Segments, to_segments
from groovae.data.window_report import WindowReport
from groovae.errors import UsageError
from groovae.generation.bundled import TASK_FOLDERS
from groovae.generation.groove_model import GrooveModel
from groovae.generation.grooves import AS_PLAYED, apply_performance, drum_notes
from groovae.generation.loading import load_model
from groovae.generation.steering import Steering, follow_swing, make_steering
from groovae.music.note_sequence import NoteSequence
from groovae.system.log import no_log

LAYOUT = config_map.layout("groovae_4bar")
PITCHES = [36, 38, 39, 42, 46, 20]  # 20 has no drum class
AMOUNTS = st.floats(0, 1)

hits = st.tuples(st.integers(0, 4 * 1920), st.sampled_from(PITCHES), st.integers(1, 127))
beats = st.lists(hits, max_size=40)


def a_beat(hits: list[tuple[int, int, int]], tempos_qpm: tuple[float, ...] = (97.3,)) -> Any:
    """Return a groove with a kick and hits at (tick, pitch, velocity), with 480 ticks a quarter."""
    groove = NoteSequence()
    for i, tempo_qpm in enumerate(tempos_qpm):
        groove.tempos.add(time=3.7 * i, qpm=tempo_qpm)
    for tick, pitch, velocity in [(0, 36, 90), *hits]:
        start = tick * 60 / 480 / tempos_qpm[0]
        groove.notes.add(
            pitch=pitch, velocity=velocity, start_time=start, end_time=start + 0.1, is_drum=True
        )
    return groove


def a_performance(segments: Segments, seed: int) -> np.ndarray:
    """Return random velocities and offsets for the hits of segments."""
    random = np.random.RandomState(seed)
    hits, _, _ = np.split(segments.outputs, 3, axis=-1)
    velocities, offsets = random.uniform(0, 1, hits.shape), random.uniform(-1, 1, hits.shape)
    return np.concatenate([hits, hits * velocities, hits * offsets], axis=-1).astype(np.float32)


def perform(groove: Any, seed: int, steering: Steering = AS_PLAYED) -> tuple[np.ndarray, ...]:
    """Return the starts and velocities of the notes after a random performance."""
    segments = to_segments(groove, LAYOUT, WindowReport())
    played = apply_performance(segments, a_performance(segments, seed), steering)
    assert [note.pitch for note in played.notes] == [note.pitch for note in groove.notes]
    return starts_and_velocities(played)


@pytest.fixture(scope="module")
def humanizer() -> GrooveModel:
    return load_model(TASK_FOLDERS["humanize"], task="humanize", seed=1, log=no_log)


def starts_and_velocities(groove: Any) -> tuple[np.ndarray, ...]:
    notes = groove.notes
    return np.array([n.start_time for n in notes]), np.array([n.velocity for n in notes])


@settings(max_examples=50)
@given(hits=beats, seed=st.integers(0, 99), other=AMOUNTS, has_tempo_map=st.booleans())
def test_what_an_amount_of_0_or_keep_names_stays(
    hits: list[tuple[int, int, int]], seed: int, other: float, has_tempo_map: bool
) -> None:
    groove = a_beat(hits, (97.3, 60.0, 131.0) if has_tempo_map else (97.3,))
    starts, velocities = starts_and_velocities(groove)
    both = make_steering(amount=0)
    for steering in (both, make_steering(keep="timing", velocity_amount=other)):
        np.testing.assert_allclose(perform(groove, seed, steering)[0], starts, atol=1e-9)
    for steering in (both, make_steering(keep="velocity", timing_amount=other)):
        np.testing.assert_array_equal(perform(groove, seed, steering)[1], velocities)


@settings(max_examples=50)
@given(hits=beats, seed=st.integers(0, 99), timing=AMOUNTS, velocity=AMOUNTS)
def test_amounts_blend_the_input_with_the_performance(
    hits: list[tuple[int, int, int]], seed: int, timing: float, velocity: float
) -> None:
    groove = a_beat(hits)
    ends = (starts_and_velocities(groove), perform(groove, seed))
    steering = make_steering(timing_amount=timing, velocity_amount=velocity)
    starts, velocities = perform(groove, seed, steering)
    wanted = (1 - timing) * ends[0][0] + timing * ends[1][0]
    np.testing.assert_allclose(starts, wanted, atol=1e-9)
    wanted = (1 - velocity) * ends[0][1] + velocity * ends[1][1]
    clipped = ends[1][1] == 127  # a flam's louder hit, before it is blended
    np.testing.assert_allclose(velocities[~clipped], wanted[~clipped], atol=1)


@settings(max_examples=50)
@given(hits=beats, seed=st.integers(0, 99), amount=AMOUNTS)
def test_kept_accents_keep_the_order_of_the_velocities_of_a_drum(
    hits: list[tuple[int, int, int]], seed: int, amount: float
) -> None:
    groove = a_beat(hits)
    _, after = perform(groove, seed, make_steering(amount, keep="accents"))
    segments = to_segments(groove, LAYOUT, WindowReport())
    before = starts_and_velocities(groove)[1]
    drums = [cell % 9 if cell >= 0 else -1 for _, cell in drum_notes(segments)]
    rows = [row for row in zip(drums, before, after, strict=True) if row[0] >= 0]
    for drum, first, played in rows:
        softer = [after for other, before, after in rows if other == drum and before < first]
        assert max(softer, default=0) <= played


def test_accents_take_the_velocities_of_the_performance() -> None:
    groove = a_beat([(480 * i, 38, 40 + 10 * i) for i in range(8)])
    plain, kept = (perform(groove, 3, make_steering(keep=keep))[1] for keep in (None, "accents"))
    assert sorted(plain) == sorted(kept)
    assert (np.diff(kept[1:]) >= 0).all()
    assert (np.diff(plain[1:]) < 0).any()


@settings(max_examples=30)
@given(hits=beats, push_ms=st.floats(-100, 100))
def test_push_moves_all_hits_by_the_same_time(
    hits: list[tuple[int, int, int]], push_ms: float
) -> None:
    segments = to_segments(a_beat(hits), LAYOUT, WindowReport())
    tensors = np.zeros_like(segments.outputs)
    plain, pushed = (
        apply_performance(segments, tensors, Steering(push_ms=push)) for push in (0.0, push_ms)
    )
    is_drum = [note.pitch in LAYOUT.class_of for note in plain.notes]  # others stay
    for before, after, moves in zip(plain.notes, pushed.notes, is_drum, strict=True):
        moved_ms = 1000 * (before.start_time - after.start_time)
        assert moved_ms == pytest.approx(push_ms if moves else 0, abs=1e-6)


@pytest.mark.parametrize(
    "wrong",
    [
        {"amount": 1.01},
        {"amount": float("nan")},
        {"timing_amount": -0.1},
        {"velocity_amount": "much"},
        {"keep": "pitch"},
        {"keep": "timing", "timing_amount": 0.5},
        {"keep": "velocity", "velocity_amount": 1},
    ],
)
def test_invalid_steering_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match=list(wrong)[-1]):
        make_steering(**wrong)


def test_steering_from_arguments() -> None:
    assert make_steering() == Steering(1, 1, False)
    assert make_steering(0.3, velocity_amount=0.8) == Steering(0.3, 0.8, False)
    assert make_steering(0.3, timing_amount=0, keep="timing") == Steering(0, 0.3, False)
    assert make_steering(0.3, keep="accents") == Steering(0.3, 0.3, True)


# Swing


@given(seed=st.integers(0, 99))
def test_a_straight_input_leaves_the_timing_of_the_performance(seed: int) -> None:
    random = np.random.RandomState(seed)
    steps, after = random.randint(0, 64, 50), random.uniform(-0.5, 0.5, 50)
    for late in (0.0, 0.3):  # also if all of it is late
        swung = follow_swing(np.full(50, late), after, steps, random.randint(0, 9, 50))
        np.testing.assert_array_equal(swung, after)


def test_a_performance_moves_around_the_swing_of_the_input() -> None:
    steps, drums = np.arange(64), np.arange(64) // 4 % 3
    is_on_beat = steps % 4 == 0
    before = np.where(steps % 4 == 2, 0.32, 0.0)  # 58 %
    after = 0.1 * np.sin(steps) + np.where(is_on_beat, 0.0, 0.1 * drums)
    swung = follow_swing(before, after, steps, drums)
    np.testing.assert_array_equal(swung[is_on_beat], after[is_on_beat])
    for position, swing in enumerate((0.0, 0.32, 0.0), start=1):
        for drum in range(3):
            hits = (steps % 4 == position) & (drums == drum)
            moved = (swung - after)[hits]
            np.testing.assert_allclose(moved, moved[0], atol=1e-9)
            assert swung[hits].mean() - after[is_on_beat].mean() == pytest.approx(swing)


def a_swinging_beat(percent: float, pairs_per_beat: int, bars: int = 4) -> Any:
    """Return a beat whose second eighth or 16th of each pair begins at a share of the pair."""
    pair_ticks = 480 // pairs_per_beat
    hits = []
    for pair in range(4 * pairs_per_beat * bars):
        first = pair * pair_ticks
        second = round(first + percent / 100 * pair_ticks)
        hits += [(first, 42, 80), (second, 42, 80)]
        hits.append((second, 36, 80) if pair % 4 == 2 else (first, 38, 80))
    return a_beat(hits)


def swing_percent(groove: Any, played: Any, pairs_per_beat: int) -> float:
    """Return the mean swing of the played hits, which are matched by their order."""
    starts, new_starts = (
        starts_and_velocities(one)[0] * 97.3 / 60 * pairs_per_beat + 0.01
        for one in (groove, played)
    )
    late, is_second = new_starts - np.floor(starts), starts % 1 > 0.2
    return 100 * float(late[is_second].mean() - late[~is_second].mean())


@pytest.mark.parametrize("pairs_per_beat", [1, 2])
@pytest.mark.parametrize("percent", [50, 58, 62, 66])
def test_humanize_keeps_the_swing_of_its_input(
    humanizer: GrooveModel, percent: int, pairs_per_beat: int
) -> None:
    # A drawn feel may swing a straight beat.
    humanizer.feel = "mean" if percent == 50 else None
    groove = a_swinging_beat(percent, pairs_per_beat)
    played = humanizer.humanize(groove)
    assert swing_percent(groove, played, pairs_per_beat) == pytest.approx(percent, abs=1)
    late_seconds = starts_and_velocities(played)[0] - starts_and_velocities(groove)[0]
    assert np.std(late_seconds) > 1e-3
