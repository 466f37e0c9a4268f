"""Scores against values worked out by hand, by plain loops and by mir_eval."""

import functools
import itertools
import math
import warnings
from typing import Any

import make_windows
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from groovae.metrics.features import FEATURES
from groovae.metrics.scores import (
    METRICS,
    Tallies,
    bootstrap,
    by_drum,
    by_position,
    by_window,
    compare,
    evaluate,
    interval,
    join,
    share_worse,
    summarize,
    tally,
    validate,
)
from groovae.music.drums import CRASH, KICK, RIDE, SNARE, class_names

# Many sets here are degenerate, of which `validate` warns.
pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")

PERFECT = {
    "hit_precision": 1,
    "hit_recall": 1,
    "hit_f1": 1,
    "timing_mae_ms": 0,
    "timing_mae_16ths": 0,
    "timing_mse_16ths": 0,
    "timing_bias_ms": 0,
    "velocity_mae": 0,
    "velocity_correlation": 1,
    "density_mae": 0,
}
NAN = math.nan
UNDEFINED = dict.fromkeys(PERFECT, NAN)

window = functools.partial(make_windows.window, dtype=np.float64)

BEAT = window(
    *[(0, KICK, 0.8, 0.0), (4, SNARE, 0.9, -0.2), (8, KICK, 0.7, 0.3), (12, SNARE, 1.0, 0.1)],
    *[(0, RIDE, 0.5, 0.1), (4, RIDE, 0.4, 0.2), (8, RIDE, 0.3, 0.0), (12, RIDE, 0.6, -0.1)],
)
SILENCE = window()


def later(windows: np.ndarray, by_ms: float, tempo_qpm: float) -> np.ndarray:
    """Return the windows played later."""
    late, step_ms = windows.copy(), 60_000 / tempo_qpm / 4
    late[..., 18:] -= by_ms / (step_ms / 2) * windows[..., :9]
    return late


def near(expected: Any) -> Any:
    return pytest.approx(expected, rel=1e-12, abs=1e-12, nan_ok=True)


def overall(evaluated: dict[str, Any]) -> dict[str, float]:
    return {name: evaluated[name] for name in METRICS}


def off_by_10_ms(tempo_qpm: float = 120, bias_ms: float = 10) -> dict[str, float]:
    sixteenths = 10 / (60_000 / tempo_qpm / 4)
    errors = {"timing_mae_16ths": sixteenths, "timing_mse_16ths": sixteenths**2}
    return {"timing_mae_ms": 10, "timing_bias_ms": bias_ms, **errors}


def scored(reference: np.ndarray, estimate: np.ndarray, tempo_qpm: Any = 120) -> dict[str, float]:
    return summarize(tally(reference, estimate, tempo_qpm))


def test_identical_windows_are_perfect() -> None:
    found = evaluate(BEAT, BEAT, 120)
    assert overall(found) == near(PERFECT)
    silent = {**UNDEFINED, "hit_precision": 1, "hit_recall": 1, "hit_f1": 1, "density_mae": 0}
    for name, drum in found["by_drum"].items():
        assert drum == near(PERFECT if name in ("kick", "snare", "ride") else silent)
    for position, step in enumerate(found["by_position"]):
        assert step == near(PERFECT if position % 4 == 0 else silent)


def test_metrics_table_lists_all_scores() -> None:
    assert list(METRICS) == list(scored(BEAT, BEAT)) == list(PERFECT)
    assert len({(metric.label, metric.unit) for metric in METRICS.values()}) == len(METRICS)
    assert METRICS["timing_bias_ms"].better == "zero"
    for name, metric in METRICS.items():
        is_error = "mae" in name or "mse" in name
        assert (metric.better == "lower") == is_error


@pytest.mark.parametrize("tempo_qpm", [60, 97.3, 120, 240])
@pytest.mark.parametrize("by_ms", [10, -10])
def test_timing_error_in_ms_at_any_tempo(tempo_qpm: float, by_ms: float) -> None:
    found = scored(BEAT, later(BEAT, by_ms, tempo_qpm), tempo_qpm)
    assert found == near({**PERFECT, **off_by_10_ms(tempo_qpm, by_ms)})


def test_tempo_per_window() -> None:
    late = [later(BEAT, 30, 60), later(BEAT, 30, 120)]
    found = scored(np.concatenate([BEAT, BEAT]), np.concatenate(late), np.array([60.0, 120.0]))
    assert found["timing_mae_ms"] == near(30)
    assert found["timing_mae_16ths"] == near((30 / 250 + 30 / 125) / 2)


def test_timing_bias_is_signed() -> None:
    there = window((0, 0, 0.5, 0.2), (1, 0, 0.5, -0.2), (2, 0, 0.5, -0.3))
    here = window((0, 0, 0.5, 0.0), (1, 0, 0.5, 0.0), (2, 0, 0.5, 0.0))
    found = scored(here, there, 125)  # a step is 120 ms, so that 0.2 half steps are 12
    assert found["timing_mae_ms"] == near((12 + 12 + 18) / 3)
    assert found["timing_bias_ms"] == near((-12 + 12 + 18) / 3)
    assert found["timing_mae_16ths"] == near((0.1 + 0.1 + 0.15) / 3)
    assert found["timing_mse_16ths"] == near((0.01 + 0.01 + 0.0225) / 3)


def test_velocity_error_of_halved_velocities() -> None:
    soft = BEAT.copy()
    soft[..., 9:18] /= 2
    # Kick 0.8, 0.7; snare 0.9, 1.0; ride 0.5, 0.4, 0.3, 0.6: 5.2 in all, half of it missing.
    found = evaluate(BEAT, soft, 120)
    assert overall(found) == near({**PERFECT, "velocity_mae": 5.2 / 2 / 8 * 127})
    assert found["by_drum"]["snare"]["velocity_mae"] == near(1.9 / 2 / 2 * 127)
    assert found["by_position"][8]["velocity_mae"] == near(1.0 / 2 / 2 * 127)


def test_velocity_correlation_is_pearsons() -> None:
    here = window((0, 0, 0.2, 0), (1, 0, 0.4, 0), (2, 0, 0.6, 0))
    there = window((0, 0, 0.4, 0), (1, 0, 0.2, 0), (2, 0, 0.6, 0))
    # Around the means of 0.4: -0.2, 0, 0.2 and 0, -0.2, 0.2; so 0.04 / sqrt(0.08 * 0.08).
    assert scored(here, there)["velocity_correlation"] == near(0.5)
    opposite = window((0, 0, 0.9, 0), (1, 0, 0.7, 0), (2, 0, 0.5, 0))
    assert scored(here, opposite)["velocity_correlation"] == near(-1)


def test_missing_and_additional_hits() -> None:
    reference = window((0, 0, 0.8, 0), (4, 1, 0.9, -0.2), (8, 0, 0.7, 0.3), (12, 1, 1, 0.1))
    estimate = window(
        *[(0, 0, 0.8, 0), (4, 1, 0.9, -0.2), (8, 0, 0.7, 0.3)], (12, 2, 0.1, 0.9), (13, 1, 0.1, 0.9)
    )
    hits = {"hit_precision": 3 / 5, "hit_recall": 3 / 4, "hit_f1": 2 / (5 / 3 + 4 / 3)}
    assert scored(reference, estimate) == near({**PERFECT, **hits, "density_mae": 1})


def test_density_error_is_per_window() -> None:
    """Hits too many in one window do not offset hits missing in another."""
    hits = [(step, 0, 0.5, 0.0) for step in range(8)]
    reference = np.concatenate([window(*hits[:2], bars=2), window(*hits[:4], bars=2)])
    estimate = np.concatenate([window(*hits[4:8], bars=2), window(*hits[:3], bars=2)])
    assert scored(reference, estimate)["density_mae"] == near((2 / 2 + 1 / 2) / 2)


def test_moved_hit_affects_its_drum_and_positions_only() -> None:
    snare_moved = BEAT.copy()
    snare_moved[:, [4, 6], SNARE::9] = snare_moved[:, [6, 4], SNARE::9]
    was, found = evaluate(BEAT, BEAT, 120), evaluate(BEAT, snare_moved, 120)
    # Of 8 hits 7 are right; of the snare's 2 the first is not, and both are all there are.
    halves = {"hit_precision": 1 / 2, "hit_recall": 1 / 2, "hit_f1": 1 / 2}
    hits = dict.fromkeys(halves, 7 / 8)
    assert overall(found) == near({**PERFECT, **hits})
    snare = {**PERFECT, **halves, "velocity_correlation": NAN}
    for name, drum in found["by_drum"].items():
        assert drum == near(snare if name == "snare" else was["by_drum"][name])
    assert found["by_position"][4]["hit_recall"] == near(1 / 2)
    assert found["by_position"][4]["hit_precision"] == 1
    assert found["by_position"][6]["hit_precision"] == 0
    for position in set(range(16)) - {4, 6}:
        assert found["by_position"][position] == near(was["by_position"][position])


def test_swapped_drums_affect_these_two_only() -> None:
    order = [SNARE, KICK, *range(2, 9)]
    swapped = BEAT[..., [9 * part + drum for part in range(3) for drum in order]]
    found = evaluate(BEAT, swapped, 120)["by_drum"]
    assert [name for name, drum in found.items() if drum["hit_f1"] < 1] == ["kick", "snare"]
    assert found["kick"]["hit_f1"] == found["snare"]["hit_f1"] == 0


def test_positions_are_summed_over_bars() -> None:
    reference = window((4, 0, 0.5, 0), (20, 0, 0.5, 0), (21, 0, 0.5, 0), bars=2)
    estimate = window((4, 0, 0.7, 0), (20, 0, 0.6, 0), bars=2)
    found = evaluate(reference, estimate, 120)["by_position"]
    assert len(found) == 16
    assert found[4]["velocity_mae"] == near((0.2 + 0.1) / 2 * 127)
    assert found[5]["hit_recall"] == 0


def test_where_restricts_timing_and_velocity() -> None:
    estimate = later(BEAT, 10, 120)
    estimate[0, 8:, [9 + RIDE, 18 + RIDE]] = 0.25
    where = np.ones((1, 16, 9), bool)
    where[0, 8:, RIDE] = False
    found = summarize(tally(BEAT, estimate, 120, where))
    assert found == near({**PERFECT, **off_by_10_ms()})
    with pytest.warns(UserWarning, match="too few matching hits"):
        nowhere = summarize(tally(BEAT, BEAT, 120, np.zeros((1, 16, 9), bool)))
    assert nowhere["hit_f1"] == 1
    assert math.isnan(nowhere["timing_mae_ms"])


def test_compare_unpaired_sets() -> None:
    data = np.concatenate([BEAT, later(BEAT, 10, 120), SILENCE])
    found = compare(data, data[:2], train=data[2:])
    assert list(found["features"]) == list(FEATURES)
    assert found["features"]["density"]["samples"]["mean"] == near((8 + 8 + 0) / 3)
    assert found["features"]["density"]["data"]["mean"] == near(8)
    assert found["copies"] == near(1 / 3), "the silence"
    # The two beats have equal hits, the third window has no hits: two of three pairs differ.
    assert found["diversity"] == near({"all_pairs": 2 / 3, "nearest_other": 1 / 3})
    assert compare(data, data[:2])["copies"] is None


# Against other implementations


class Pair:
    """Two sets of random windows, some of them degenerate, and a tempo for each window."""

    def __init__(self, seed: int, n: int, bars: int, drums: int, density: float) -> None:
        rng = np.random.RandomState(seed)
        self.shape = n, 16 * bars, drums
        self.reference, self.estimate = self._draw(rng, density), self._draw(rng, density)
        self.tempo_qpm = rng.randint(50, 200, n).astype(float)
        self.groups = rng.randint(3, size=n)

    def _draw(self, rng: np.random.RandomState, density: float) -> np.ndarray:
        hits = rng.random_sample(self.shape) < density
        velocities = rng.randint(1, 128, self.shape) / 127 * hits
        offsets = rng.uniform(-1, 1, self.shape) * hits
        return np.concatenate([hits, velocities, offsets], axis=-1)

    def tally(self, **changes: Any) -> Tallies:
        names = ("reference", "estimate", "tempo_qpm")
        arguments = {**{name: getattr(self, name) for name in names}, **changes}
        return tally(**arguments)


PAIRS = st.builds(
    Pair,
    seed=st.integers(0, 2**32 - 1),
    n=st.integers(1, 5),
    bars=st.integers(1, 4),
    drums=st.integers(1, 9),
    density=st.sampled_from([0.01, 0.1, 0.5, 1.0]),
)


def plain_loops(pair: Pair) -> dict[str, Any]:
    """All scores, hit by hit."""
    same = found = wanted = 0
    late_ms, late_16ths, here, there, density = [], [], [], [], []
    n, steps, drums = pair.shape
    for i in range(n):
        more = 0
        for step, drum in itertools.product(range(steps), range(drums)):
            a, b = pair.reference[i, step, drum::drums], pair.estimate[i, step, drum::drums]
            wanted += a[0] == 1
            found += b[0] == 1
            more += int(b[0]) - int(a[0])
            if a[0] == b[0] == 1:
                same += 1
                late_16ths.append((a[2] - b[2]) / 2)
                late_ms.append(late_16ths[-1] * 15_000 / pair.tempo_qpm[i])
                here.append(a[1] * 127)
                there.append(b[1] * 127)
        density.append(abs(more) / (steps / 16))
    varies = len(set(here)) > 1 and len(set(there)) > 1
    neither = float(not found and not wanted)
    precision = same / found if found else neither
    recall = same / wanted if wanted else neither
    return {
        "hit_precision": precision,
        "hit_recall": recall,
        "hit_f1": 2 * precision * recall / (precision + recall) if precision + recall else 0.0,
        "timing_mae_ms": np.mean(np.abs(late_ms)) if same else NAN,
        "timing_mae_16ths": np.mean(np.abs(late_16ths)) if same else NAN,
        "timing_mse_16ths": np.mean(np.square(late_16ths)) if same else NAN,
        "timing_bias_ms": np.mean(late_ms) if same else NAN,
        "velocity_mae": np.mean(np.abs(np.subtract(here, there))) if same else NAN,
        "velocity_correlation": np.corrcoef(here, there)[0, 1] if varies else NAN,
        "density_mae": np.mean(density),
    }


@given(PAIRS)
def test_scores_match_plain_loops(pair: Pair) -> None:
    assert summarize(pair.tally()) == pytest.approx(
        plain_loops(pair), rel=1e-9, abs=1e-9, nan_ok=True
    )


@given(PAIRS)
def test_hit_scores_match_mir_eval(pair: Pair) -> None:
    """As onsets one second apart, so that no window of 50 ms holds two."""
    import mir_eval  # type: ignore[import-untyped]  # with scipy.stats, which takes a second

    _, steps, drums = pair.shape

    def onsets(windows: np.ndarray) -> np.ndarray:
        i, step, drum = np.nonzero(windows[..., :drums])
        return np.sort((i * drums + drum) * 2.0 * steps + step)

    here, there = onsets(pair.reference), onsets(pair.estimate)
    if not len(here) or not len(there):
        return  # mir_eval returns 0 even if both are empty
    f_measure, precision, recall = mir_eval.onset.f_measure(here, there)
    found = summarize(pair.tally())
    hits = [found[name] for name in ("hit_f1", "hit_precision", "hit_recall")]
    assert hits == near([f_measure, precision, recall])


# Invariances and sums


@given(PAIRS, st.randoms(use_true_random=False))
def test_order_of_windows_and_drums_is_irrelevant(pair: Pair, random: Any) -> None:
    n, _, drums = pair.shape
    windows, lanes = (random.sample(range(size), size) for size in (n, drums))
    columns = [drums * part + drum for part in range(3) for drum in lanes]
    other = pair.tally(
        reference=pair.reference[windows][..., columns],
        estimate=pair.estimate[windows][..., columns],
        tempo_qpm=pair.tempo_qpm[windows],
    )
    assert summarize(other) == near(summarize(pair.tally()))


@given(PAIRS)
def test_tempo_scales_ms_only(pair: Pair) -> None:
    fast, slow = (summarize(pair.tally(tempo_qpm=tempo)) for tempo in (120.0, 60.0))
    for name in METRICS:
        assert slow[name] == near(fast[name] * (2 if name.endswith("_ms") else 1))


@given(PAIRS)
def test_swapping_reference_and_estimate(pair: Pair) -> None:
    found = summarize(pair.tally())
    turned = summarize(pair.tally(reference=pair.estimate, estimate=pair.reference))
    turned["hit_precision"], turned["hit_recall"] = turned["hit_recall"], turned["hit_precision"]
    turned["timing_bias_ms"] *= -1
    assert turned == near(found)
    assert 0 <= found["hit_f1"] <= 1
    hits = [windows[..., : pair.shape[2]] for windows in (pair.reference, pair.estimate)]
    assert (found["hit_f1"] == 1) == np.array_equal(hits[0], hits[1])


@given(PAIRS, st.integers(0, 5))
def test_tallies_concatenate_and_where_is_everywhere_by_default(pair: Pair, cut: int) -> None:
    def part(which: slice) -> Tallies:
        names = ("reference", "estimate", "tempo_qpm")
        return pair.tally(**{name: getattr(pair, name)[which] for name in names})

    first, last = part(slice(cut)), part(slice(cut, None))
    everywhere = pair.tally(where=np.ones(pair.shape, bool))
    for name, sums in pair.tally().items():
        np.testing.assert_array_equal(np.concatenate([first[name], last[name]]), sums)
        np.testing.assert_array_equal(everywhere[name], sums)


@given(PAIRS)
def test_by_drum_equals_scores_of_single_drums(pair: Pair) -> None:
    drums = pair.shape[2]
    parts = by_drum(pair.tally())
    assert tuple(parts) == class_names(drums)
    for drum, found in enumerate(parts.values()):
        alone = [windows[..., drum::drums] for windows in (pair.reference, pair.estimate)]
        assert found == near(summarize(pair.tally(reference=alone[0], estimate=alone[1])))


@given(PAIRS)
def test_parts_average_to_the_whole(pair: Pair) -> None:
    tallies = pair.tally()
    whole = summarize(tallies)
    drums = [*by_drum(tallies).values()]
    for axis, parts in enumerate([by_window(tallies), by_position(tallies), drums]):
        others = tuple({0, 1, 2} - {axis})
        hits = (tallies["estimate_hits"] + tallies["reference_hits"]).sum(axis=others)
        shared = tallies["matches"].sum(axis=others)
        f1, timing = ([part[key] for part in parts] for key in ("hit_f1", "timing_mae_ms"))
        if hits.any():
            assert np.average(f1, weights=hits) == near(whole["hit_f1"])
        if shared.any():
            known = np.nan_to_num(timing)
            assert np.average(known, weights=shared) == near(whole["timing_mae_ms"])


# Intervals


@given(PAIRS)
def test_bootstrap_of_one_group_has_no_width(pair: Pair) -> None:
    tallies = pair.tally()
    with pytest.warns(UserWarning, match="fewer than two groups"):
        draws = bootstrap(tallies, np.zeros(pair.shape[0], int), num=10)
    for name, score in summarize(tallies).items():
        assert draws[name].shape == (10,)
        assert interval(draws[name]) == near((score, score))


def test_bootstrap_draws_recordings() -> None:
    """Two recordings, one right and one half right, give three possible resamples."""
    half = BEAT.copy()
    half[..., RIDE] = 0
    estimate = np.concatenate([half, half, BEAT, BEAT, BEAT])
    tallies = tally(np.repeat(BEAT, 5, axis=0), estimate, 120)
    recalls = bootstrap(tallies, np.array([7, 7, 3, 3, 3]), num=200)["hit_recall"]
    assert sorted(set(recalls.round(12))) == near([4 / 8, (2 * 4 + 3 * 8) / (5 * 8), 8 / 8])


def test_bootstrap_interval_matches_normal_approximation() -> None:
    """The recall of 400 windows of one hit each is a mean of independent coin flips."""
    hit = window((0, 0, 0.5, 0))
    found = np.arange(400) % 4 > 0
    estimate = np.where(found[:, np.newaxis, np.newaxis], hit, SILENCE)
    tallies = tally(np.repeat(hit, 400, axis=0), estimate, 120)
    recalls = bootstrap(tallies, np.arange(400), num=4000)["hit_recall"]
    error = math.sqrt(0.75 * 0.25 / 400)
    assert recalls.std() == pytest.approx(error, rel=0.05)
    low, high = interval(recalls)
    assert low == pytest.approx(0.75 - 1.96 * error, abs=0.005)
    assert high == pytest.approx(0.75 + 1.96 * error, abs=0.005)


@given(PAIRS, st.integers(0, 99))
def test_same_seed_draws_same_recordings_for_all_estimates(pair: Pair, seed: int) -> None:
    def softened(share: float) -> dict[str, np.ndarray]:
        soft = pair.reference.copy()
        soft[..., pair.shape[2] : 2 * pair.shape[2]] *= 1 - share
        return bootstrap(pair.tally(estimate=soft), pair.groups, num=20, seed=seed)

    once, again, twice = softened(0.25), softened(0.25), softened(0.5)
    for name in METRICS:
        np.testing.assert_array_equal(once[name], again[name])
    assert twice["velocity_mae"] == near(2 * once["velocity_mae"])


def test_another_seed_draws_other_recordings() -> None:
    tallies = Pair(seed=0, n=30, bars=1, drums=2, density=0.5).tally()
    draws = [bootstrap(tallies, np.arange(30), seed=seed)["hit_f1"] for seed in (0, 1)]
    assert not np.array_equal(draws[0], draws[1])


def test_interval_ignores_nan() -> None:
    draws = np.append(np.arange(101.0), [NAN, NAN])
    assert interval(draws) == near((2.5, 97.5))
    assert interval(draws, level=0.5) == near((25, 75))
    assert interval(np.array([NAN])) == near((NAN, NAN))
    assert interval(np.array([])) == near((NAN, NAN))


@pytest.mark.parametrize(
    ("name", "scores_", "than", "expected"),
    [
        ("hit_f1", [0.1, 0.5, 0.9], [0.5, 0.5, 0.5], 0.5),  # worse, a tie, better
        ("hit_f1", [0.1, 0.2], [0.5, 0.5], 1.0),
        ("timing_mae_ms", [5.0, 6.0, 7.0, 8.0], [6.5] * 4, 0.5),
        ("timing_bias_ms", [-9.0, 9.0, 1.0], [2.0, -2.0, -2.0], 2 / 3),
        ("velocity_mae", [math.nan, 30.0], [20.0, 20.0], 1.0),  # NaN draws are ignored
        ("velocity_mae", [math.nan], [1.0], math.nan),
    ],
)
def test_share_worse(name: str, scores_: list[float], than: list[float], expected: float) -> None:
    found = share_worse(name, np.array(scores_), np.array(than))
    assert found == pytest.approx(expected, nan_ok=True)
    assert share_worse(name, np.array(than), np.array(than)) == 0.5


# Degenerate input


def test_silent_windows() -> None:
    with pytest.warns(UserWarning, match="the estimate has no hits"):
        found = scored(SILENCE, SILENCE)
    right = {"hit_precision": 1, "hit_recall": 1, "hit_f1": 1, "density_mae": 0}
    assert found == near({**UNDEFINED, **right})
    wrong = {"hit_precision": 0, "hit_recall": 0, "hit_f1": 0, "density_mae": 8}
    for silent, pair in (("estimate", (BEAT, SILENCE)), ("reference", (SILENCE, BEAT))):
        with pytest.warns(UserWarning, match=f"the {silent} has no hits"):
            assert scored(*pair) == near({**UNDEFINED, **wrong})


def test_single_hit_has_no_correlation() -> None:
    one = window((3, CRASH, 0.5, 0.25))
    with pytest.warns(UserWarning, match="too few matching hits"):
        assert scored(one, one) == near({**PERFECT, "velocity_correlation": NAN})


@pytest.mark.parametrize("velocity", [0.0, 0.1, 70.6 / 127, 1.0])
def test_constant_velocities_have_no_correlation(velocity: float) -> None:
    """Constant up to the rounding of float32, with many hits."""
    rng = np.random.RandomState(0)
    everywhere = np.ones((20, 64, 27), np.float32)
    everywhere[..., 9:18] = rng.randint(1, 128, (20, 64, 9)) / 127
    stiff = everywhere.copy()
    stiff[..., 9:18] = velocity * (1 + 1e-7 * rng.choice([-1, 1], (20, 64, 9)))
    found = scored(everywhere, stiff)
    assert math.isnan(found["velocity_correlation"])
    assert found["hit_f1"] == 1
    stiff[0, 0, 9] = velocity - 1 / 127
    assert not math.isnan(scored(everywhere, stiff)["velocity_correlation"]), "one varies"


def test_windows_full_of_hits() -> None:
    assert scored(np.ones((2, 32, 27)), np.ones((2, 32, 27))) == near(
        {**PERFECT, "velocity_correlation": NAN}
    )


@pytest.mark.parametrize("strange", [NAN, math.inf, -math.inf])
@pytest.mark.parametrize("which", [0, 1])
def test_non_finite_values_are_left_out(strange: float, which: int) -> None:
    pair = [BEAT.copy(), later(BEAT, 10, 120)]
    pair[1][..., 9:18] /= 2
    pair[which][0, 0, KICK] = strange  # not a hit
    pair[which][0, 4, 9 + SNARE] = strange
    pair[which][0, 8, 18 + KICK] = strange
    with pytest.warns(UserWarning, match=r"the (reference|estimate) has 3 non-finite values"):
        tallies = tally(pair[0], pair[1], 120)
    assert [tallies[name].sum() for name in ("matches", "timed_hits", "velocity_hits")] == [7, 6, 6]
    hits = {("hit_precision", "hit_recall")[which]: 7 / 8, "hit_f1": 14 / 15, "density_mae": 1}
    velocity_mae = (5.2 - 0.8 - 0.9) / 2 / 6 * 127
    expected = {**PERFECT, **hits, **off_by_10_ms(), "velocity_mae": velocity_mae}
    assert summarize(tallies) == near(expected)


@pytest.mark.parametrize("strange", [NAN, math.inf])
def test_non_finite_windows_have_no_hits(strange: float) -> None:
    with pytest.warns(UserWarning, match="the estimate has no hits"):
        found = scored(BEAT, np.full_like(BEAT, strange))
    assert found["hit_f1"] == 0
    assert math.isnan(found["velocity_mae"])


@pytest.mark.parametrize("shape", [(0, 16, 27), (0, 0, 27), (2, 0, 27)])
def test_empty_windows_have_scores(shape: tuple[int, ...]) -> None:
    nothing = np.zeros(shape, np.float32)
    with pytest.warns(UserWarning, match="there are no windows|has no hits"):
        found = evaluate(nothing, nothing, np.full(len(nothing), 120.0))
    draws = bootstrap(tally(nothing, nothing, 120), np.zeros(len(nothing), int), num=5)
    assert found["hit_f1"] == 1
    assert math.isnan(found["timing_mae_ms"])
    assert found["density_mae"] == near(0 if len(nothing) else NAN)
    assert len(found["by_drum"]) == 9
    assert len(found["by_position"]) == 16
    for name in METRICS:
        assert draws[name] == near([found[name]] * 5)


def test_ordinary_windows_do_not_warn() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        half = BEAT.copy()
        half[..., RIDE] = 0
        evaluate(BEAT, half, 120)
        two = [np.repeat(windows, 2, axis=0) for windows in (BEAT, half)]
        bootstrap(tally(two[0], two[1], 120), np.array([0, 1]))


@pytest.mark.parametrize(
    ("shapes", "tempo_qpm", "words"),
    [
        (((1, 16, 27), (1, 32, 27)), 120, r"shapes differ: \(1, 16, 27\) and \(1, 32, 27\)"),
        (((16, 27), (16, 27)), 120, "16, 27"),
        (((1, 17, 27), (1, 17, 27)), 120, "1, 17, 27"),
        (((1, 16, 26), (1, 16, 26)), 120, "1, 16, 26"),
        (((1, 16, 0), (1, 16, 0)), 120, "1, 16, 0"),
        (((1, 16, 99), (1, 16, 99)), 120, "1, 16, 99"),
        (((3, 16, 27), (3, 16, 27)), [120, 120], r"one for each of 3, got \(2,\)"),
        (((1, 16, 27), (1, 16, 27)), 0, "got 0.0"),
        (((1, 16, 27), (1, 16, 27)), -1, "got -1.0"),
        (((1, 16, 27), (1, 16, 27)), math.inf, "got inf"),
        (((2, 16, 27), (2, 16, 27)), [120, NAN], "got nan"),
    ],
)
def test_invalid_arguments_raise(shapes: Any, tempo_qpm: Any, words: str) -> None:
    windows = [np.zeros(shape) for shape in shapes]
    for function in (validate, tally, evaluate):
        with pytest.raises(ValueError, match=words):
            function(windows[0], windows[1], tempo_qpm)


@pytest.mark.parametrize("where", [np.ones((1, 16, 27), bool), np.ones((1, 16, 9))])
def test_invalid_where_and_groups_raise(where: np.ndarray) -> None:
    with pytest.raises(ValueError, match=r"\(1, 16, 9\)"):
        tally(BEAT, BEAT, 120, where)
    with pytest.raises(ValueError, match=r"\(1,\)"):
        bootstrap(tally(BEAT, BEAT, 120), np.array([0, 1]))


def test_positions_of_other_meters() -> None:
    windows = make_windows.random_windows(4, 5, 0.2, bars=3)
    positions = by_position(tally(windows, windows, 120, meter=(6, 8)))
    assert len(positions) == 12
    found = summarize(tally(windows, windows, 120, meter=(6, 8)))
    assert found == pytest.approx(summarize(tally(windows, windows, 120)), nan_ok=True)
    with pytest.raises(ValueError, match=r"20 \* bars"):
        tally(windows, windows, 120, meter=(5, 4))


def test_joined_bars_score_as_one_window() -> None:
    reference, estimate = (make_windows.random_windows(1, seed, 0.2, bars=4) for seed in (5, 6))
    whole = summarize(tally(reference, estimate, 120))
    by_bar = tally(reference.reshape(4, 16, -1), estimate.reshape(4, 16, -1), 120)
    assert summarize(join(by_bar)) == pytest.approx(whole)
