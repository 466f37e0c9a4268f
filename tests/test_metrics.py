"""How near a groove comes to another, on examples worked by hand."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from groovae.metrics import compare, hit_scores

HITS = arrays(bool, (4, 9))
PERFECT = {"hit_precision": 1, "hit_recall": 1, "hit_f1": 1, "timing_mae_ms": 0, "velocity_mae": 0}


def groove(*hits: tuple[int, int, float, float]) -> np.ndarray:
    """16 steps of 9 drums, of hits at (step, drum, velocity, offset)."""
    tensor = np.zeros((16, 27), np.float32)
    for step, drum, velocity, offset in hits:
        tensor[step, [drum, 9 + drum, 18 + drum]] = 1, velocity, offset
    return tensor


BEAT = groove((0, 0, 0.8, 0.0), (4, 1, 0.9, -0.2), (8, 0, 0.7, 0.3), (12, 1, 1.0, 0.1))


def test_a_groove_is_as_near_as_can_be_to_itself() -> None:
    assert compare(BEAT, BEAT, 120) == PERFECT


@pytest.mark.parametrize("tempo_qpm", [60, 97.3, 120, 240])
def test_10_ms_late_is_10_ms_off_at_any_tempo(tempo_qpm: float) -> None:
    step_ms = 60_000 / tempo_qpm / 4
    late = BEAT.copy()
    late[:, 18:] -= 2 * 10 / step_ms * BEAT[:, :9]
    scores = compare(BEAT, late, tempo_qpm)
    assert scores == {**PERFECT, "timing_mae_ms": pytest.approx(10, rel=1e-5)}


def test_early_and_late_do_not_cancel_out() -> None:
    there = groove((0, 0, 0.5, 0.2), (1, 0, 0.5, -0.2))
    here = groove((0, 0, 0.6, 0.0), (1, 0, 0.4, 0.0))
    scores = compare(there, here, 125)  # a step is 120 ms, so 0.2 half steps are 12
    assert scores["timing_mae_ms"] == pytest.approx(12)
    assert scores["velocity_mae"] == pytest.approx(0.1 * 127, rel=1e-5)


def test_a_missing_and_two_added_hits() -> None:
    estimate = groove(
        (0, 0, 0.8, 0.0),
        (4, 1, 0.9, -0.2),
        (8, 0, 0.7, 0.3),
        (12, 2, 1.0, 0.1),
        (13, 1, 1.0, 0.1),
    )
    scores = compare(BEAT, estimate, 120)
    assert scores["hit_precision"] == pytest.approx(3 / 5)
    assert scores["hit_recall"] == pytest.approx(3 / 4)
    assert scores["hit_f1"] == pytest.approx(2 / (5 / 3 + 4 / 3))
    assert scores["timing_mae_ms"] == scores["velocity_mae"] == 0, "what both have is the same"


def test_with_nothing_in_common_there_is_no_timing() -> None:
    scores = compare(BEAT, groove((1, 3, 1.0, 0.0)), 120)
    assert scores["hit_precision"] == scores["hit_recall"] == scores["hit_f1"] == 0
    assert math.isnan(scores["timing_mae_ms"])
    assert math.isnan(scores["velocity_mae"])


def test_silence_is_right_about_silence_and_wrong_about_a_groove() -> None:
    silence = groove()
    assert compare(silence, silence, 120)["hit_f1"] == 1
    for pair in ((BEAT, silence), (silence, BEAT)):
        scores = compare(*pair, 120)
        assert scores["hit_precision"] == scores["hit_recall"] == scores["hit_f1"] == 0


def test_pieces_count_as_one_groove() -> None:
    two = np.stack([BEAT, groove((0, 0, 0.8, 0.0))])
    other = np.stack([groove(), groove((0, 0, 0.8, 0.0))])
    assert compare(two, other, 120) == compare(two.reshape(-1, 27), other.reshape(-1, 27), 120)
    assert compare(two, other, 120)["hit_recall"] == pytest.approx(1 / 5)


def test_grooves_of_different_length_are_refused() -> None:
    with pytest.raises(ValueError, match=r"\(16, 27\) and \(8, 27\)"):
        compare(BEAT, BEAT[:8], 120)


@given(reference=HITS, estimate=HITS)
def test_scores_are_shares_and_precision_is_the_recall_of_the_other(
    reference: np.ndarray, estimate: np.ndarray
) -> None:
    scores, swapped = hit_scores(reference, estimate), hit_scores(estimate, reference)
    assert all(0 <= score <= 1 for score in scores.values())
    assert scores["hit_precision"] == swapped["hit_recall"]
    assert scores["hit_f1"] == swapped["hit_f1"]
    assert (scores["hit_f1"] == 1) == np.array_equal(reference, estimate)
    precision, recall = scores["hit_precision"], scores["hit_recall"]
    if precision + recall:
        harmonic = 2 * precision * recall / (precision + recall)
        assert scores["hit_f1"] == pytest.approx(harmonic)


@given(st.permutations(range(9)))
def test_the_order_of_the_drums_says_nothing(order: list[int]) -> None:
    columns = [9 * part + drum for part in range(3) for drum in order]
    other = groove((0, 0, 0.6, 0.1), (4, 1, 0.9, 0.0), (5, 7, 0.2, 0.0))
    scores = compare(BEAT, other, 120)
    assert compare(BEAT[:, columns], other[:, columns], 120) == pytest.approx(scores)
