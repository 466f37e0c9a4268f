"""Features worked out by hand, and comparisons of sets of windows."""

import itertools
import json
import math
import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from make_windows import Hit, random_windows, window

from groovae.metrics import features
from groovae.metrics.features import FEATURES, compare_sets, copies, diversity, nearest, profile
from groovae.music.drums import (
    CLASS_NAMES,
    CLOSED_HIHAT,
    CRASH,
    HIGH_TOM,
    KICK,
    LOW_TOM,
    OPEN_HIHAT,
    RIDE,
    SNARE,
)

SEEDS = st.integers(0, 2**32 - 2)


def pattern(bars: int = 1, **steps: list[int]) -> np.ndarray:
    """One window of hits on the grid, by the names of drums."""
    named = {"kick": KICK, "snare": SNARE, "hihat": CLOSED_HIHAT, "tom": LOW_TOM, "ride": RIDE}
    return window(*[(s, named[d], 0.5, 0.0) for d in steps for s in steps[d]], bars=bars)


def f1(one: np.ndarray, other: np.ndarray) -> float:
    """F1 of the hits of two windows."""
    hits, others = one[:, :9] > 0.5, other[:, :9] > 0.5
    found = hits.sum() + others.sum()
    return float(2 * (hits & others).sum() / found) if found else 1.0


def silence(n: int = 1, bars: int = 2) -> np.ndarray:
    return np.zeros((n, 16 * bars, 27), np.float32)


# Features, window by window


def test_density_is_hits_per_bar() -> None:
    two_bars = pattern(kick=[0, 8, 16, 24], snare=[4], hihat=[0, 4], bars=2)
    np.testing.assert_array_equal(features.density(two_bars), [7 / 2])


EIGHTHS = list(range(0, 32, 2))


@pytest.mark.parametrize(
    ("windows", "per_bar"),
    [
        # The kick at 6 (-3) is held over 8 (-1), the snare drum at 4 (-2) over 8: 2 + 1. The hi-hat
        # passes nothing stronger, and nothing follows 12.
        (pattern(kick=[0, 6], snare=[4, 12], hihat=EIGHTHS[:8]), 3),
        # The same twice, and the snare drum at 12 (-2) is held over the bar line (0): 3 + 2 + 3.
        (pattern(kick=[0, 6, 16, 22], snare=[4, 12, 20, 28], hihat=EIGHTHS, bars=2), 8 / 2),
        (pattern(kick=[14], hihat=[16], bars=2), 3 / 2),  # -3 is held over 0
        (pattern(kick=[14, 16], hihat=[16], bars=2), 0),  # followed by a kick
        (pattern(snare=[16 * bar + step for bar in range(4) for step in (4, 12)], bars=4), 10 / 4),
        (pattern(snare=[4], tom=[8]), 0),  # one rhythm
        (pattern(snare=[4], kick=[8]), 1),  # two rhythms
    ],
)
def test_syncopation_by_hand(windows: np.ndarray, per_bar: float) -> None:
    np.testing.assert_array_equal(features.syncopation(windows), [per_bar])


@given(SEEDS)
@settings(max_examples=15)
def test_syncopation_matches_plain_loop(seed: int) -> None:
    (groove,) = random_windows(1, seed)
    weights = 2 * [0, -4, -3, -4, -2, -4, -3, -4, -1, -4, -3, -4, -2, -4, -3, -4]
    total = 0
    for stream in ([0], [1, 4, 5, 6], [2, 3, 7, 8]):
        steps = [step for step in range(32) if groove[step, stream].any()]
        for step, following in itertools.pairwise([*steps, 32]):
            total += max([0, *(rest - weights[step] for rest in weights[step + 1 : following])])
    np.testing.assert_allclose(features.syncopation(groove[np.newaxis]), [total / 2])


@pytest.mark.parametrize(
    ("hits", "expected"),
    [
        # 16ths 1 and 3 of a beat are 0.1 late on average, 2 and 4 are 0.4.
        ([(0, RIDE, 1, 0), (2, RIDE, 1, -0.4), (1, KICK, 1, -0.8), (7, RIDE, 1, -0.8)], 0.3),
        (
            [(step, RIDE, 0.8, -2 / 3 if step % 2 else 0) for step in range(16)],
            1 / 3,
        ),  # swing ratio 2
        ([(step, RIDE, 0.8, -0.5) for step in range(16)], 0),  # all are late
        ([(1, KICK, 1, -0.9)], 0),
        ([(2, KICK, 1, -0.9)], 0),
    ],
)
def test_swing_by_hand(hits: list[Hit], expected: float) -> None:
    np.testing.assert_allclose(features.swing(window(*hits)), [expected], rtol=1e-6, atol=1e-12)


def test_microtiming_by_hand() -> None:
    hits = [(3, KICK, 1.0, -0.5), (3, RIDE, 1.0, 0.1), (19, RIDE, 1.0, -0.8), (4, SNARE, 1.0, 0.6)]
    expected = np.zeros(16)
    expected[3] = (0.5 - 0.1 + 0.8) / 3 / 2
    expected[4] = -0.3
    np.testing.assert_allclose(features.microtiming(window(*hits, bars=2)), [expected], rtol=1e-6)


def test_velocity_by_hand() -> None:
    hits = [(0, KICK, 1.0, 0.0), (0, CRASH, 0.5, 0.0), (16, KICK, 0.6, 0.0), (31, SNARE, 0.2, 0.0)]
    expected = np.zeros(16)
    expected[0], expected[15] = 127 * 2.1 / 3, 127 * 0.2
    np.testing.assert_allclose(features.velocity(window(*hits, bars=2)), [expected], rtol=1e-6)


def test_drum_shares_by_hand() -> None:
    shares = features.drums(pattern(kick=[0, 8], snare=[4], hihat=[0, 2, 4, 6, 8]))
    np.testing.assert_array_equal(shares, [[2 / 8, 1 / 8, 5 / 8, 0, 0, 0, 0, 0, 0]])


def test_features_of_silence_are_zero() -> None:
    for name, feature in FEATURES.items():
        assert not feature(silence()).any(), name
        assert len(feature(silence(0))) == 0, name


def test_features_of_windows_full_of_hits() -> None:
    windows = np.ones((2, 32, 27), np.float32)
    assert features.density(windows).tolist() == [16 * 9] * 2
    assert features.syncopation(windows).tolist() == [0] * 2
    assert features.swing(windows).tolist() == [0] * 2
    assert (features.microtiming(windows) == -0.5).all()
    assert (features.velocity(windows) == 127).all()
    np.testing.assert_allclose(features.drums(windows), 1 / 9)


def test_non_finite_values_are_left_out() -> None:
    whole = [(0, KICK, 0.5, 0.2), (5, SNARE, 0.7, -0.2)]
    damaged = window(*whole, (0, RIDE, 0.0, 0.0), (5, CRASH, 0.0, 0.0), (9, HIGH_TOM, 0.0, 0.0))
    damaged[0, 0, [9 + RIDE, 18 + RIDE]] = np.nan, np.inf
    damaged[0, 5, [9 + CRASH, 18 + CRASH]] = -np.inf, np.nan
    damaged[0, 9, HIGH_TOM], damaged[0, 10, OPEN_HIHAT] = np.nan, np.inf
    for name in ("microtiming", "velocity", "swing"):
        np.testing.assert_allclose(FEATURES[name](damaged), FEATURES[name](window(*whole)))
    assert features.density(damaged).tolist() == [4]
    assert all(np.isfinite(feature(damaged)).all() for feature in FEATURES.values())


@given(SEEDS)
@settings(max_examples=10)
def test_features_are_computed_per_window(seed: int) -> None:
    windows = random_windows(6, seed)
    order = np.random.RandomState(seed).permutation(6)
    for feature in FEATURES.values():
        np.testing.assert_array_equal(feature(windows[order]), feature(windows)[order])
        np.testing.assert_array_equal(feature(windows[:1]), feature(windows)[:1])
        assert feature.label
        assert feature.unit


@pytest.mark.parametrize("shape", [(16, 27), (2, 15, 27), (2, 16, 26), (2, 0, 27), (2, 16, 99)])
def test_invalid_shapes_raise(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="windows must be"):
        features.density(np.zeros(shape, np.float32))


def test_profile_by_hand() -> None:
    """Four bars in two windows; the first 16th has three hits, the second one."""
    windows = np.concatenate(
        [
            window((0, KICK, 1.0, 0.2), (0, RIDE, 0.4, 0.0), (16, KICK, 0.1, -0.8), bars=2),
            window((17, SNARE, 0.3, -0.5), bars=2),
        ]
    )
    found = profile(windows)
    np.testing.assert_array_equal(found.hits, [3 / 4, 1 / 4] + 14 * [0])
    np.testing.assert_allclose(found.velocity[:2], [127 * 0.5, 127 * 0.3], rtol=1e-6)
    np.testing.assert_allclose(found.lateness[:2], [0.1, 0.25], rtol=1e-6)
    assert np.isnan(found.velocity[2:]).all()
    assert np.isnan(found.lateness[2:]).all()
    assert not profile(silence(0)).hits.any()


# Sets of windows


def test_compare_sets_by_hand() -> None:
    """Samples of 1 and 3 hits a bar are 2 apart, data of 2 each 0, and both 1 from each other."""
    samples = np.concatenate([pattern(kick=[0]), pattern(kick=[0, 4, 8])])
    data = np.concatenate([pattern(kick=[0, 8]), pattern(snare=[4, 12])])
    with pytest.warns(UserWarning, match="the same (swing|microtiming)"):
        found = compare_sets(samples, data)["density"]
    assert (found["label"], found["unit"]) == ("density", "hits a bar")
    assert found["samples"] == {"mean": 2, "std": 1}
    assert found["data"] == {"mean": 2, "std": 0}
    assert found["intra_samples"] == {"mean": 2, "std": 0}
    assert found["intra_data"] == {"mean": 0, "std": 0}
    assert found["inter"] == {"mean": 1, "std": 0}
    assert found["overlapped_area"] < 1e-6
    assert found["overlapped_area_data"] < 1e-6


def test_vector_features_have_a_mean_per_component() -> None:
    found = compare_sets(random_windows(20, 1), random_windows(30, 2))
    assert list(found) == list(FEATURES)
    np.testing.assert_allclose(
        found["velocity"]["data"]["mean"], features.velocity(random_windows(30, 2)).mean(axis=0)
    )
    assert len(found["drums"]["samples"]["std"]) == len(CLASS_NAMES)
    assert json.loads(json.dumps(found)) == found


def test_set_is_similar_to_itself() -> None:
    windows = random_windows(150, 3)
    for name, found in compare_sets(windows, windows.copy()).items():
        assert found["overlapped_area"] > 0.97, name
        assert found["kl_divergence"] < 0.05, name
        assert found["overlapped_area"] == pytest.approx(found["overlapped_area_data"]), name


def test_only_the_changed_feature_differs() -> None:
    data, other = random_windows(150, 3), random_windows(150, 4)
    softer = other.copy()
    softer[..., 9:18] *= 0.1
    before, after = compare_sets(other, data), compare_sets(softer, data)
    assert after["velocity"]["overlapped_area"] < 0.1 < before["velocity"]["overlapped_area"]
    del before["velocity"], after["velocity"]
    assert after == before


@given(SEEDS, st.integers(2, 8), st.integers(2, 8))
@settings(max_examples=10)
def test_order_of_windows_is_irrelevant(seed: int, n: int, m: int) -> None:
    rng, samples, data = (
        np.random.RandomState(seed),
        random_windows(n, seed),
        random_windows(m, seed + 1),
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = compare_sets(samples, data)
        shuffled = compare_sets(rng.permutation(samples), rng.permutation(data))
    for name in FEATURES:
        for key in ("overlapped_area", "overlapped_area_data"):
            assert 0 <= found[name][key] <= 1 + 1e-9
        for key in ("kl_divergence", "kl_divergence_data"):
            assert found[name][key] >= -1e-9
        for key in ("samples", "data", "intra_samples", "intra_data", "inter"):
            for moment in ("mean", "std"):
                # The deviation of a single distance, there and back, is the root of rounding.
                np.testing.assert_allclose(
                    shuffled[name][key][moment], found[name][key][moment], rtol=1e-6, atol=1e-5
                )


def test_single_window_warns_and_gives_nan() -> None:
    with pytest.warns(UserWarning, match="fewer than two windows in the samples"):
        found = compare_sets(random_windows(1, 1), random_windows(5, 2))
    for entry in found.values():
        assert math.isnan(entry["overlapped_area"])
        assert math.isnan(entry["kl_divergence"])
        assert not math.isnan(entry["overlapped_area_data"])
        assert not math.isnan(entry["inter"]["mean"])


def test_empty_sets_warn_and_give_nan() -> None:
    with pytest.warns(UserWarning, match="fewer than two windows") as caught:
        found = compare_sets(silence(0), silence(0))
    assert len(caught) == 2
    assert math.isnan(found["density"]["samples"]["mean"])
    assert all(map(math.isnan, found["velocity"]["samples"]["mean"]))
    assert math.isnan(found["drums"]["inter"]["mean"])


@pytest.mark.parametrize("windows", [silence(4), silence(4) + 1, silence(4) + np.nan])
def test_identical_windows_warn_and_overlap(windows: np.ndarray) -> None:
    with pytest.warns(UserWarning, match="all windows have the same") as caught:
        found = compare_sets(windows, windows[:3])
    assert len(caught) == len(FEATURES)
    for entry in found.values():
        assert entry["overlapped_area"] == pytest.approx(1)
        assert entry["kl_divergence"] == pytest.approx(0, abs=1e-12)


def test_sets_of_different_drums_raise() -> None:
    with pytest.raises(ValueError, match="shapes differ"):
        compare_sets(np.zeros((2, 16, 9)), np.zeros((2, 16, 27)))


# Neighbours


@given(SEEDS)
@settings(max_examples=10)
def test_nearest_matches_plain_loops(seed: int) -> None:
    windows, others = random_windows(5, seed, 0.1), random_windows(7, seed + 1, 0.1)
    index, best = nearest(windows, others)
    for row, window_ in enumerate(windows):
        expected = [f1(window_, other) for other in others]
        assert best[row] == pytest.approx(max(expected), rel=1e-6)
        assert expected[index[row]] == pytest.approx(max(expected), rel=1e-6)


@given(SEEDS)
@settings(max_examples=10)
def test_nearest_is_the_window_itself_if_present(seed: int) -> None:
    others = np.concatenate([random_windows(600, seed), silence(1)])  # more than a chunk
    order = np.random.RandomState(seed).permutation(len(others))
    index, best = nearest(others[order], others)
    np.testing.assert_array_equal(index, order)
    np.testing.assert_array_equal(best, 1)


def test_nearest_takes_the_first_and_ignores_velocities() -> None:
    kick = pattern(kick=[0, 4])
    soft = kick.copy()
    soft[..., 9:] /= 2
    index, best = nearest(kick, np.concatenate([pattern(snare=[3]), soft, kick]))
    assert (index.tolist(), best.tolist()) == ([1], [1])


def test_nearest_f1_by_hand() -> None:
    _, best = nearest(pattern(kick=[0, 4]), pattern(kick=[0]))
    assert best[0] == pytest.approx(2 * 1 / (2 + 1), rel=1e-6)


def test_nearest_of_silence() -> None:
    one, other = pattern(kick=[0]), silence(bars=1)
    assert [found.tolist() for found in nearest(other, np.concatenate([one, other]))] == [[1], [1]]
    assert nearest(other, one)[1].tolist() == [0]
    damaged = other + np.nan
    assert nearest(damaged, other)[1].tolist() == [1]
    assert nearest(silence(0, 1), one)[0].tolist() == []


def test_nearest_raises_without_others() -> None:
    with pytest.raises(ValueError, match="no other windows"):
        nearest(silence(), silence(0))
    with pytest.raises(ValueError, match="shapes differ"):
        nearest(silence(bars=1), silence(bars=2))


def test_copies_by_hand() -> None:
    """Of 20 hits 1 is missing: F1 is 38 / 39; of 10, 18 / 19, which is under 0.95."""
    first_ten, first_nine = list(range(10)), list(range(9))
    whole, ten = pattern(kick=first_ten, snare=first_ten), pattern(kick=first_ten)
    most, nine = pattern(kick=first_nine, snare=first_ten), pattern(kick=first_nine)
    train = np.concatenate([whole, ten])
    assert copies(np.concatenate([most, nine, whole, pattern(ride=[3])]), train) == 2 / 4
    assert copies(nine, train, over=0.94) == 1
    assert copies(whole, train, over=1.0) == 0


def test_copies_of_empty_sets_warn() -> None:
    with pytest.warns(UserWarning, match="no samples"):
        assert copies(silence(2), silence(0)) == 0
    with pytest.warns(UserWarning, match="no samples"):
        assert math.isnan(copies(silence(0), silence(2)))


def test_diversity_by_hand() -> None:
    """F1 of the first two is 2/3, the third has nothing in common with either."""
    windows = np.concatenate([pattern(kick=[0, 4]), pattern(kick=[0]), pattern(snare=[4])])
    assert diversity(windows) == {
        "all_pairs": pytest.approx(1 - (2 / 3) / 3, rel=1e-6),
        "nearest_other": pytest.approx((1 / 3 + 1 / 3 + 1) / 3, rel=1e-6),
    }


def test_diversity_matches_plain_loops_beyond_a_chunk() -> None:
    windows = random_windows(300, 5, 0.05, bars=1)
    shared = np.array([[f1(one, other) for other in windows] for one in windows])
    np.fill_diagonal(shared, 0)
    assert diversity(windows) == {
        "all_pairs": pytest.approx(1 - shared.sum() / (300 * 299), rel=1e-5),
        "nearest_other": pytest.approx(1 - shared.max(axis=1).mean(), rel=1e-5),
    }


def test_diversity_of_identical_samples_is_zero() -> None:
    same = np.repeat(pattern(kick=[0, 3]), 4, axis=0)
    assert diversity(same) == {"all_pairs": 0, "nearest_other": 0}
    with pytest.warns(UserWarning, match="fewer than two samples"):
        assert all(map(math.isnan, diversity(same[:1]).values()))


# Other meters

COMPOUND = [0, -4, -3, -4, -3, -4, -2, -4, -3, -4, -3, -4]


@pytest.mark.parametrize(
    ("meter", "weights"),
    [
        ((4, 4), [0, -4, -3, -4, -2, -4, -3, -4, -1, -4, -3, -4, -2, -4, -3, -4]),
        ((2, 2), [0, -4, -3, -4, -2, -4, -3, -4, -1, -4, -3, -4, -2, -4, -3, -4]),
        ((2, 4), [0, -3, -2, -3, -1, -3, -2, -3]),
        ((5, 4), [0, -3, -2, -3] + [-1, -3, -2, -3] * 4),
        ((12, 8), [*COMPOUND, -1, *COMPOUND[1:]]),
        ((12, 16), [0, -3, -3, -2, -3, -3, -1, -3, -3, -2, -3, -3]),
    ],
)
def test_metrical_weights(meter: tuple[int, int], weights: list[int]) -> None:
    assert features.metrical_weights(meter) == weights


def test_features_of_two_bars_of_3_4() -> None:
    """A kick on 1 and a snare drum on 2, and in the second bar on the eighth after 2."""
    hits = [(0, KICK, 0.5, 0), (4, SNARE, 1, 0), (12, KICK, 0.5, 0), (18, SNARE, 1, -0.5)]
    waltz = window(*hits, bars=2)[:, :24]
    assert features.density(waltz, (3, 4)) == [2]
    found = profile(waltz, (3, 4))
    assert np.flatnonzero(found.hits).tolist() == [0, 4, 6]
    assert (found.hits[[0, 4, 6]] == [1, 0.5, 0.5]).all()
    assert found.lateness[6] == 0.25
    # The first snare drum sounds over the bar line, stronger by 1; the second over beat 3, by 1.
    assert features.syncopation(waltz, (3, 4)) == [(1 + 1) / 2]
    assert features.syncopation(waltz, (6, 8)) == [(2 + 0) / 2]
    with pytest.raises(ValueError, match=r"\[n, 16 \* bars"):
        features.density(waltz)


def test_comparisons_of_windows_in_3_4() -> None:
    windows = random_windows(6, 5, 0.1, bars=3)
    meter = (3, 4)
    assert copies(windows, windows, meter=meter) == 1
    assert nearest(windows, windows, meter)[0].tolist() == list(range(6))
    assert diversity(windows, meter) == diversity(windows)  # 48 steps: 4 bars of 3/4, 3 of 4/4
    found = compare_sets(windows, windows, meter)
    assert len(found["velocity"]["data"]["mean"]) == 12
