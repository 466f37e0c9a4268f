"""groovae.model.feel and feel_fit: what was fitted is drawn again, and kept in a file."""

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest

from groovae.errors import GroovaeError, UsageError
from groovae.model.feel import FEEL_FILE, LIMITS, NAMES, Feel, read_feel, write_feel
from groovae.model.feel_fit import MIN_HITS, fit_feel

DRUMS, STEPS = 3, 32
QUARTER, BAR = 4, 16


def make_windows(num: int = 400) -> tuple[np.ndarray, np.ndarray]:
    """Return performances and what is expected of them, [num, STEPS, 3 * DRUMS].

    Velocities deviate by 0.1, the same in each bar of a window; offsets by 0.2, half of the
    variance as far in a whole window as all its drums are.
    """
    rng = np.random.RandomState(1)
    shape = num, STEPS, DRUMS
    hits = (rng.random_sample(shape) < 0.4).astype(float)
    mean_velocities, mean_offsets = rng.uniform(0.4, 0.6, shape), rng.uniform(-0.1, 0.1, shape)
    by_bar = np.tile(rng.randn(num, BAR, DRUMS), (1, STEPS // BAR, 1))
    early = (rng.randn(num, 1, 1) + rng.randn(*shape)) / np.sqrt(2)
    truth = [hits, hits * (mean_velocities + 0.1 * by_bar), hits * (mean_offsets + 0.2 * early)]
    expected = [hits, mean_velocities, mean_offsets]
    return np.concatenate(truth, axis=-1), np.concatenate(expected, axis=-1)


@pytest.fixture(scope="module")
def windows() -> tuple[np.ndarray, np.ndarray]:
    return make_windows()


@pytest.fixture(scope="module")
def feel(windows: tuple[np.ndarray, np.ndarray]) -> Feel:
    return fit_feel(*windows, QUARTER, BAR, model="abc")


def test_fit_finds_lines_and_spreads(feel: Feel) -> None:
    for around, spread in ((feel.velocity, 0.1), (feel.offset, 0.2)):
        assert around.slope == pytest.approx(np.ones(DRUMS), abs=0.15)
        assert around.spread == pytest.approx(np.full((BAR, DRUMS), spread), rel=0.15)
        assert around.shares.sum() == pytest.approx(1)


def test_drawn_deviations_are_correlated_as_those_that_were_fitted(
    feel: Feel, windows: tuple[np.ndarray, np.ndarray]
) -> None:
    _, expected = windows
    rng = np.random.RandomState(2)
    drawn = np.stack([feel.draw(one, rng) for one in expected])
    hits = expected[..., :DRUMS] > 0.5
    deviations = np.where(np.tile(hits, 3), drawn - expected, np.nan)
    _, velocities, offsets = np.split(deviations, 3, axis=-1)

    def correlation(first: np.ndarray, second: np.ndarray) -> float:
        both = ~np.isnan(first + second)
        return float(np.corrcoef(first[both], second[both])[0, 1])

    assert correlation(velocities[:, :BAR], velocities[:, BAR:]) > 0.9
    assert correlation(velocities[:, :-1], velocities[:, 1:]) == pytest.approx(0, abs=0.1)
    assert correlation(offsets[..., 0], offsets[..., 1]) == pytest.approx(0.5, abs=0.1)
    assert correlation(offsets[:, :BAR], offsets[:, BAR:]) == pytest.approx(0.5, abs=0.1)
    assert np.nanstd(velocities) == pytest.approx(0.1, rel=0.1)
    assert np.nanstd(offsets) == pytest.approx(0.2, rel=0.1)


def test_draw_repeats_keeps_hits_and_stays_in_range(feel: Feel) -> None:
    tensors = np.random.RandomState(0).uniform(-1, 1, (STEPS, 3 * DRUMS)).astype(np.float32)
    tensors[:, :DRUMS] = tensors[:, :DRUMS] > 0
    drawn = feel.draw(tensors, np.random.RandomState(3))
    assert drawn.dtype == np.float32
    assert (drawn == feel.draw(tensors, np.random.RandomState(3))).all()
    assert (drawn[:, :DRUMS] == tensors[:, :DRUMS]).all()
    hits = tensors[:, :DRUMS] > 0.5
    for part, name in enumerate(NAMES, 1):
        values = drawn[:, part * DRUMS : (part + 1) * DRUMS]
        low, high = LIMITS[name]
        assert ((values[hits] >= np.float32(low)) & (values[hits] <= high)).all()
        assert (values[~hits] == tensors[:, part * DRUMS : (part + 1) * DRUMS][~hits]).all()


def test_timing_without_swing_has_the_same_spread(feel: Feel) -> None:
    shares = np.zeros(10)
    shares[[2, 8, 9]] = 0.5, 0.25, 0.25  # half of it is the same in each beat
    swung = dataclasses.replace(feel.offset, shares=shares)
    for swings in (True, False):
        rng = np.random.RandomState(0)
        drawn = np.stack([swung.draw(BAR, QUARTER, rng, swings) for _ in range(400)])
        assert drawn.std() == pytest.approx(0.2, rel=0.1)
        beats = drawn.reshape(400, BAR // QUARTER, QUARTER, DRUMS)
        repeats = np.corrcoef(beats[:, 0].ravel(), beats[:, 2].ravel())[0, 1]
        assert repeats > 0.4 if swings else repeats < 0.45


def test_file_round_trip(feel: Feel, tmp_path: Path) -> None:
    write_feel(tmp_path / FEEL_FILE, feel)
    again = read_feel(tmp_path / FEEL_FILE, "abc")
    assert again is not None
    assert again.hits == feel.hits
    for name in NAMES:
        for key, value in vars(getattr(feel, name)).items():
            assert getattr(getattr(again, name), key) == pytest.approx(value, abs=1e-4)
    assert read_feel(tmp_path / FEEL_FILE, "another model") is None
    assert read_feel(tmp_path / "missing.json", "abc") is None


@pytest.mark.parametrize(
    "change",
    [
        {"version": "2"},
        {"hits": -1},
        {"steps_per_bar": 15},
        {"steps_per_quarter": 2.5},
        {"offset": {}},
        {"offset": {"slope": [1, 2]}},
        {"offset": {"shares": [2.0] * 10}},
        {"offset": {"decay": "x"}},
        {"velocity": {"spread": [[float("nan")] * DRUMS] * BAR}},
        {"model": None},
        {"hit_threshold": "x"},
    ],
)
def test_damaged_files_are_refused(feel: Feel, change: dict, tmp_path: Path) -> None:
    path = tmp_path / FEEL_FILE
    write_feel(path, feel)
    contents = json.loads(path.read_text())
    for key, value in change.items():
        contents[key] = {**contents[key], **value} if value and key in NAMES else value
    path.write_text(json.dumps(contents))
    with pytest.raises(GroovaeError, match=FEEL_FILE):
        read_feel(path, "abc")


def test_few_hits_are_refused() -> None:
    with pytest.raises(UsageError, match=f"{MIN_HITS:,}"):
        fit_feel(*make_windows(5), QUARTER, BAR, model="")
