"""Baselines worked out by hand, and their scores on the Groove MIDI Dataset."""

import csv
import functools
import math
from pathlib import Path
from typing import Any

import make_windows
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from make_windows import random_windows

from groovae.config import config_map
from groovae.data import records, window_cache
from groovae.metrics import scores
from groovae.metrics.baselines import LABELS, Baseline, Baselines, copy_feel, fit
from groovae.music.drums import CLOSED_HIHAT, KICK, RIDE, SNARE

NAMES = list(LABELS)
window = functools.partial(make_windows.window, bars=2)


def by_name(baselines: Baselines, reference: np.ndarray) -> dict[str, Baseline]:
    return {baseline.name: baseline for baseline in baselines.predict(reference)}


def hit(baseline: Baseline, step: int, drum: int) -> Any:
    """Velocity and offset of a hit in the first window."""
    assert baseline.estimate[0, step, drum] == 1
    return pytest.approx(tuple(baseline.estimate[0, step, [9 + drum, 18 + drum]]), abs=1e-6)


# Kicks at the first 16th of bars: (0.9, 0.1), (0.7, 0.3), (0.2, -0.1); a snare drum.
TRAIN = np.concatenate(
    [
        window((0, KICK, 0.9, 0.1), (16, KICK, 0.7, 0.3)),
        window((0, KICK, 0.2, -0.1), (20, SNARE, 0.6, 0.5)),
    ]
)
REFERENCE = window((0, KICK, 1.0, 0.0), (16, KICK, 1.0, 0.0), (4, SNARE, 1.0, 0.0), (5, RIDE, 1, 0))


def test_means_and_medians_by_hand() -> None:
    """Velocities: 2.4 / 4 of all, 1.8 / 3 of the kicks; offsets: 0.8 / 4 of all, 0.3 / 3."""
    found = by_name(fit(TRAIN), REFERENCE)
    for step, drum in [(0, KICK), (16, KICK), (4, SNARE), (5, RIDE)]:
        assert hit(found["on_grid"], step, drum) == (0.6, 0)
        assert hit(found["mean"], step, drum) == (0.6, 0.2)
    for step in (0, 16):
        assert hit(found["bar_mean"], step, KICK) == (0.6, 0.1)
        assert hit(found["bar_median"], step, KICK) == (0.7, 0.1)
    assert hit(found["bar_mean"], 4, SNARE) == (0.6, 0.5)
    assert hit(found["window_mean"], 0, KICK) == (0.55, 0)
    assert hit(found["window_mean"], 16, KICK) == (0.7, 0.3)


def test_cells_without_hits_have_the_overall_average() -> None:
    """The snare drum is at step 20 of the window, but not at 4; there is no ride at all."""
    found = by_name(fit(TRAIN), REFERENCE)
    assert hit(found["window_mean"], 4, SNARE) == (0.6, 0.2)
    assert hit(found["bar_mean"], 5, RIDE) == (0.6, 0.2)
    assert hit(found["bar_median"], 5, RIDE) == (0.65, 0.2)  # 0.2, 0.6, 0.7, 0.9 and -0.1 to 0.5


def test_performance_baselines_have_the_hits_of_the_reference() -> None:
    reference = random_windows(5, 1)
    for name, baseline in by_name(fit(random_windows(9, 2)), reference).items():
        assert baseline.estimate.shape == reference.shape
        assert baseline.estimate.dtype == np.float32
        hits, velocities, offsets = np.split(baseline.estimate, 3, axis=-1)
        if "hits" not in baseline.aspects:
            np.testing.assert_array_equal(hits, reference[..., :9], name)
        assert not velocities[hits == 0].any(), name
        assert not offsets[hits == 0].any(), name


def test_feel_of_a_donor_by_hand() -> None:
    """The same cell, or else the mean of the step, or else of the window: 2.1 / 3 and 0.3 / 3."""
    donor = window((0, KICK, 0.9, 0.1), (0, RIDE, 0.7, 0.3), (16, SNARE, 0.5, -0.1))
    hits = window(*[(step, drum, 1, 0) for step in (0, 5) for drum in (KICK, SNARE)])[..., :9] > 0
    played = copy_feel(donor, hits)
    assert played[0, 0, [KICK, 9 + KICK, 18 + KICK]].tolist() == pytest.approx([1, 0.9, 0.1])
    assert played[0, 0, [9 + SNARE, 18 + SNARE]].tolist() == pytest.approx([0.8, 0.2])
    assert played[0, 5, [9 + KICK, 18 + KICK]].tolist() == pytest.approx([0.7, 0.1])
    assert not copy_feel(0 * donor, hits)[..., 9:].any()


def test_ridge_regression_hears_the_neighbours_of_a_hit() -> None:
    """A snare drum is loud after a kick two steps before, and soft without."""
    random = np.random.RandomState(1)
    train = 0 * random_windows(80, 3)
    for each in train:
        kick = random.random_sample() < 0.5
        each[4, [SNARE, 9 + SNARE, 18 + SNARE]] = 1, 0.9 if kick else 0.3, 0.2
        each[2, [KICK, 9 + KICK]] = kick, 0.5 * kick
    (ridge,) = (b for b in fit(train[:60]).predict(train[60:]) if b.name == "ridge")
    expected = np.where(train[60:, 2, KICK] == 1, 0.9, 0.3)
    np.testing.assert_allclose(ridge.estimate[:, 4, 9 + SNARE], expected, atol=0.15)


def test_aspects() -> None:
    aspects = {name: b.aspects for name, b in by_name(fit(TRAIN), REFERENCE).items()}
    assert list(aspects) == NAMES
    assert aspects["on_grid"] == ("timing",)
    assert {aspects[name] for name in NAMES[1:7]} == {("timing", "velocity")}
    assert aspects["most_common"] == aspects["frequency"] == ("hits",)
    assert aspects["nearest"] == ("hits", "timing", "velocity")


def test_most_common_pattern_ignores_velocities() -> None:
    common = [window((3, KICK, v, -v)) for v in (0.2, 0.5, 0.8)]
    train = np.concatenate([*(2 * [TRAIN[:1]]), *common])
    fitted = fit(train)
    assert fitted.most_common_count == 3
    assert np.argwhere(fitted.patterns["most_common"]).tolist() == [[3, KICK]]
    estimate = by_name(fitted, random_windows(4, 1))["most_common"].estimate
    assert (estimate[..., :9] == fitted.patterns["most_common"]).all()


def test_frequency_threshold_by_hand() -> None:
    """Of ten bars the kick has nine, the snare drum five, the ride one: 15 hits.

    F1 is 18 / (10 + 15) with the kick alone, 28 / (20 + 15) = 0.8 with the snare drum, and 30 /
    (30 + 15) = 0.67 with the ride; 0.49 is the highest share that leaves the snare drum in.
    """
    bars = [[(0, KICK, 0.5, 0.0)] * (i < 9) + [(4, SNARE, 0.5, 0.0)] * (i < 5) for i in range(10)]
    bars[9].append((8, RIDE, 0.5, 0.0))
    fitted = fit(np.concatenate([window(*hits, bars=1) for hits in bars]))
    assert fitted.threshold == 0.49
    assert np.argwhere(fitted.patterns["frequency"]).tolist() == [[0, KICK], [4, SNARE]]


def test_frequent_hits_repeat_in_every_bar() -> None:
    estimate = by_name(fit(TRAIN), REFERENCE)["frequency"].estimate
    kick = np.flatnonzero(estimate[0, :, KICK])
    np.testing.assert_array_equal(kick, [0, 16])


def test_nearest_training_window() -> None:
    close = window((0, KICK, 0.4, 0.0), (4, SNARE, 0.3, 0.9), (6, CLOSED_HIHAT, 0.2, 0.0))
    train = np.concatenate([TRAIN, close])
    estimate = by_name(fit(train), REFERENCE)["nearest"].estimate
    # F1 with the reference's 4 hits: 4/6, 2/6 and 4/7.
    np.testing.assert_array_equal(estimate, train[:1])
    np.testing.assert_array_equal(by_name(fit(train), train)["nearest"].estimate, train)


def test_nearest_is_found_by_the_inputs() -> None:
    """By all drums it is the first window, by the kick alone the second."""
    kick, hat = (0, KICK, 0.5, 0.0), (4, CLOSED_HIHAT, 0.5, 0.0)
    train = np.concatenate([window((8, KICK, 0.5, 0.0), hat), window(kick)])
    reference = window((8, KICK, 0.5, 0.0), hat, kick)
    by_all = by_name(fit(train), reference)["nearest"].estimate
    np.testing.assert_array_equal(by_all, train[:1])
    kick_only = window(kick)
    estimates = fit(train, np.concatenate([window(hat), kick_only])).predict(reference, kick_only)
    np.testing.assert_array_equal(estimates[-1].estimate, train[1:])


@given(st.integers(0, 2**31), st.integers(1, 8))
@settings(max_examples=10)
def test_order_of_training_windows_is_irrelevant(seed: int, n: int) -> None:
    train, reference = random_windows(n, seed, 0.05), random_windows(3, seed + 1, 0.05)
    order = np.random.RandomState(seed).permutation(n)
    one, other = by_name(fit(train), reference), by_name(fit(train[order]), reference)
    for name in set(NAMES) - {"feel", "nearest"}:  # the nearest is the first of equals
        np.testing.assert_allclose(one[name].estimate, other[name].estimate, atol=1e-6)


@given(st.integers(0, 2**31))
@settings(max_examples=10)
def test_finer_averages_fit_training_data_better(seed: int) -> None:
    train = random_windows(6, seed)
    hits, velocities = train[..., :9] > 0, train[..., 9:18]
    found = {name: b.estimate[..., 9:18] for name, b in by_name(fit(train), train).items()}
    squares = {name: np.sum(((found[name] - velocities) ** 2)[hits]) for name in NAMES[:5]}
    errors = {name: np.sum(np.abs(found[name] - velocities)[hits]) for name in NAMES[:5]}
    assert squares["window_mean"] <= squares["bar_mean"] + 1e-4
    assert squares["bar_mean"] <= squares["mean"] + 1e-4
    assert errors["bar_median"] <= errors["bar_mean"] + 1e-4


def test_silent_training_windows_warn() -> None:
    with pytest.warns(UserWarning, match="have no hits"):
        fitted = fit(np.zeros((3, 32, 27), np.float32))
    for name, baseline in by_name(fitted, REFERENCE).items():
        assert np.isfinite(baseline.estimate).all()
        own = "hits" not in baseline.aspects
        np.testing.assert_array_equal(baseline.estimate[..., :9], own * REFERENCE[..., :9], name)
        assert not baseline.estimate[..., 9:].any()


def test_single_training_window() -> None:
    train = np.ones((1, 16, 27), np.float32)
    for baseline in fit(train).predict(train):
        expected = train.copy()
        if baseline.name == "on_grid":
            expected[..., 18:] = 0
        np.testing.assert_allclose(baseline.estimate, expected, atol=1e-6)
    for baseline in fit(train).predict(train[:0]):
        assert baseline.estimate.shape == (0, 16, 27)


def test_non_finite_values_are_left_out() -> None:
    damaged = np.concatenate([TRAIN, window((0, KICK, math.nan, math.inf))])
    damaged[2, 7, RIDE] = math.nan
    fitted, whole = fit(damaged), fit(TRAIN)
    for name in ("mean", "bar_mean", "window_mean", "bar_median"):
        np.testing.assert_allclose(fitted.performances[name], whole.performances[name])
    reference = REFERENCE + np.where(np.arange(27) == RIDE, math.nan, 0).astype(np.float32)
    for name, baseline in by_name(whole, reference).items():
        assert np.isfinite(baseline.estimate).all(), name
        assert not baseline.estimate[..., RIDE].any(), name


def test_invalid_shapes_raise() -> None:
    with pytest.raises(ValueError, match="no windows to fit"):
        fit(np.zeros((0, 32, 27)))
    with pytest.raises(ValueError, match="windows must be"):
        fit(np.zeros((32, 27)))
    with pytest.raises(ValueError, match="shapes differ"):
        fit(TRAIN).predict(np.zeros((1, 16, 27)))


# The Groove MIDI Dataset


def gmd_windows(gmd: Path, gmd_records: Path, folder: Path) -> tuple[np.ndarray, ...]:
    """Windows of the train and test splits, and tempos and recordings of the latter."""
    with open(gmd / "info.csv", newline="") as file:
        split_of = {row["midi_filename"]: row["split"] for row in csv.DictReader(file)}
    windows = window_cache.load(
        records.find(gmd_records), config_map.layout("groovae_4bar"), folder
    )
    sources = [windows.source(number) for number in range(len(windows))]
    splits = np.array([split_of[source.filename] for source in sources])
    train, test = (windows.outputs(np.flatnonzero(splits == name)) for name in ("train", "test"))
    tempos = np.array([source.tempo_qpm for source in sources])
    _, recordings = np.unique([source.id for source in sources], return_inverse=True)
    return train, test, tempos[splits == "test"], recordings[splits == "test"]


def test_baselines_of_bars_of_3_4() -> None:
    """Two bars of 3/4, with a kick at the start of each and a snare drum in one of them."""
    hits = [(0, KICK, 0.9, 0.1), (12, KICK, 0.7, 0.3), (16, SNARE, 0.6, 0.5)]
    waltz = make_windows.window(*hits, bars=2)[:, :24]
    fitted = fit(waltz, meter=(3, 4))
    kick = [float(fitted.performances["bar_mean"].velocities[step, KICK]) for step in (0, 12)]
    assert kick == pytest.approx([0.8, 0.8])
    assert fitted.patterns["frequency"].shape == (24, 9)
    predicted = {each.name: each.estimate for each in fitted.predict(waltz)}
    np.testing.assert_array_equal(predicted["nearest"], waltz)


@pytest.mark.slow
def test_scores_on_gmd(gmd: Path, gmd_records: Path, tmp_path: Path) -> None:
    """The expected values were measured without `metrics.scores`."""
    train, test, tempos, recordings = gmd_windows(gmd, gmd_records, tmp_path)
    assert (len(train), len(test), int(test[..., :9].sum())) == (4078, 526, 39561)
    fitted = fit(train)
    assert 127 * float(fitted.performances["mean"].velocities[0, 0]) == pytest.approx(
        70.6, abs=0.05
    )
    assert fitted.most_common_count == 7
    assert fitted.threshold == 0.24
    tallies = {
        name: scores.tally(test, baseline.estimate, tempos)
        for name, baseline in by_name(fitted, test).items()
    }
    found = {name: scores.summarize(each) for name, each in tallies.items()}
    timing = {name: round(each["timing_mae_ms"], 2) for name, each in found.items()}
    velocity = {name: round(each["velocity_mae"], 2) for name, each in found.items()}
    assert timing["on_grid"] == 22.52
    assert (timing["mean"], velocity["mean"]) == (20.59, 30.19)
    assert (timing["bar_mean"], velocity["bar_mean"]) == (20.94, 25.77)
    assert velocity["window_mean"] == 25.60
    assert (timing["bar_median"], velocity["bar_median"]) == (20.71, 24.70)
    assert round(found["most_common"]["hit_f1"], 3) == 0.427
    assert round(found["frequency"]["hit_f1"], 4) == 0.4867
    assert round(found["nearest"]["hit_f1"], 4) == 0.7445
    assert (round(timing["nearest"], 1), round(velocity["nearest"], 1)) == (22.4, 24.1)
    low, high = scores.interval(scores.bootstrap(tallies["on_grid"], recordings)["timing_mae_ms"])
    assert low < found["on_grid"]["timing_mae_ms"] < high

    same = scores.tally(test, test, tempos)
    draws = scores.bootstrap(same, recordings)
    for name, score in scores.summarize(same).items():
        perfect = float(scores.METRICS[name].better == "higher")
        assert (score, *scores.interval(draws[name])) == pytest.approx([perfect] * 3, abs=1e-12)
