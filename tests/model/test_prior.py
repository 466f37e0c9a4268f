"""Fitted priors: their mixture, their file, and what they draw."""

import dataclasses
import json
import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from groovae.errors import GroovaeError, UsageError
from groovae.model import prior_fit
from groovae.model.prior import PRIOR_FILE, ForeignPrior, Prior, read_prior, write_prior

SEEDS = st.integers(0, 2**31 - 1)
MODEL = "a" * 64


def a_prior() -> Prior:
    """Two components of rock, one of funk and one without a style, far apart from each other."""
    means = np.diag([10.0, 20.0, 30.0, 40.0])[:, :3].astype(np.float32)
    means[3] = -40
    deviations = np.linspace(0.5, 1, 12, dtype=np.float32).reshape(4, 3)
    weights = np.array([0.4, 0.2, 0.3, 0.1], np.float32)
    return Prior(weights, means, deviations, ("rock", "rock", "funk", ""), MODEL, 500)


def nearest(prior: Prior, z: np.ndarray) -> np.ndarray:
    """The component whose mean is nearest to each latent."""
    return np.linalg.norm(z[:, np.newaxis] - prior.means, axis=2).argmin(axis=1)


# Fitting


@pytest.mark.parametrize("seed", range(5))
def test_fit_recovers_a_known_mixture(seed: int) -> None:
    rng = np.random.RandomState(seed)
    weights, means = np.array([0.2, 0.3, 0.5]), np.array([[-9.0, 0, 3], [9, 0, -3], [0, 9, 0]])
    deviations = np.array([[0.5, 1, 1.5], [1, 1, 1], [1.5, 0.5, 1]])
    of_component = rng.choice(3, size=3000, p=weights)
    points = means[of_component] + deviations[of_component] * rng.randn(3000, 3)
    found, found_means, variances = prior_fit.fit_mixture(points, 3, rng)
    order = np.argsort(found_means @ [1, 10, 0])
    expected = np.argsort(means @ [1, 10, 0])
    np.testing.assert_allclose(found[order], weights[expected], atol=0.06)
    np.testing.assert_allclose(found_means[order], means[expected], atol=0.35)
    np.testing.assert_allclose(np.sqrt(variances[order]), deviations[expected], atol=0.2)


@settings(max_examples=40)
@given(
    points=st.integers(1, 30).flatmap(
        lambda n: arrays(np.float64, (n, 3), elements=st.floats(-100, 100, width=32))
    ),
    num=st.integers(1, 8),
    seed=SEEDS,
)
def test_any_points_give_a_finite_mixture(points: np.ndarray, num: int, seed: int) -> None:
    first, second = (
        prior_fit.fit_mixture(points, num, np.random.RandomState(seed)) for _ in range(2)
    )
    for one, other in zip(first, second, strict=True):
        assert np.isfinite(one).all()
        np.testing.assert_array_equal(one, other)
    weights, means, variances = first
    assert 1 <= len(weights) <= num
    assert weights.sum() == pytest.approx(1)
    assert (variances > 0).all()
    assert points.min() - 1e-6 <= means.min() <= means.max() <= points.max() + 1e-6


def test_each_frequent_style_has_components_of_its_own() -> None:
    rng = np.random.RandomState(0)
    styles = ["rock"] * 400 + ["funk"] * 150 + ["rare"] * 5 + [""] * 45
    mu = rng.randn(600, 4) + np.repeat([[8.0], [-8.0], [0.0]], [400, 150, 50], axis=0)
    prior = prior_fit.fit(mu, styles, [str(i // 10) for i in range(600)], MODEL)
    assert prior.styles == ("",) + ("funk",) * 2 + ("rock",) * 4
    assert prior.shares() == {"rock": pytest.approx(4 / 6), "funk": pytest.approx(1 / 4)}
    assert prior.weights.sum() == pytest.approx(1)
    is_rock = np.array(prior.styles) == "rock"
    assert (prior.means[is_rock] > 4).all()
    assert (prior.windows, prior.model, prior.z_size) == (600, MODEL, 4)


def test_too_few_windows_are_refused() -> None:
    few = np.zeros((prior_fit.MIN_WINDOWS - 1, 4))
    with pytest.raises(UsageError, match=f"{prior_fit.MIN_WINDOWS} windows"):
        prior_fit.fit(few, [""] * len(few), [""] * len(few), MODEL)


# Drawing


@settings(max_examples=10)
@given(drift=st.floats(0, 1), seed=SEEDS)
def test_each_link_of_a_chain_is_distributed_as_the_mixture(drift: float, seed: int) -> None:
    prior, rng = a_prior(), np.random.RandomState(seed)
    links = np.stack([prior.chain(3, drift, rng) for _ in range(4000)])
    for link in links.transpose(1, 0, 2):
        chosen = nearest(prior, link)
        shares = np.bincount(chosen, minlength=4) / len(link)
        np.testing.assert_allclose(shares, prior.weights, atol=6 * 0.5 / math.sqrt(4000))
        noise = (link - prior.means[chosen]) / prior.deviations[chosen]
        np.testing.assert_allclose(noise.mean(), 0, atol=6 / math.sqrt(12000))
        np.testing.assert_allclose(noise.var(), 1, atol=6 * math.sqrt(2 / 12000))


@given(seed=SEEDS)
def test_drift_0_repeats_the_latent(seed: int) -> None:
    links = a_prior().chain(5, 0, np.random.RandomState(seed))
    np.testing.assert_array_equal(links, np.repeat(links[:1], 5, axis=0))


def test_links_stay_in_a_component_with_the_probability_of_the_drift() -> None:
    prior, rng = a_prior(), np.random.RandomState(0)
    for drift in (0.5, 1.0):
        pairs = np.stack([prior.chain(2, drift, rng) for _ in range(4000)])
        first, second = (nearest(prior, pairs[:, i]) for i in (0, 1))
        stays, returns = math.sqrt(1 - drift**2), float((prior.weights**2).sum())
        expected = stays + (1 - stays) * returns
        assert np.mean(first == second) == pytest.approx(expected, abs=0.05)


@given(seed=SEEDS)
def test_a_style_is_drawn_from_its_own_components(seed: int) -> None:
    prior = a_prior()
    rock, again = (prior.chain(20, 1, np.random.RandomState(seed), style="rock") for _ in range(2))
    assert set(nearest(prior, rock).tolist()) <= {0, 1}
    np.testing.assert_array_equal(rock, again)


@pytest.mark.parametrize("style", ["polka", "", "Rock"])
def test_an_unknown_style_is_an_error_that_lists_the_styles(style: str) -> None:
    with pytest.raises(UsageError, match="funk, rock"):
        a_prior().chain(1, 0.5, np.random.RandomState(0), style)


# The file


def test_what_is_written_is_read(tmp_path: Path) -> None:
    path, prior = tmp_path / PRIOR_FILE, a_prior()
    assert read_prior(path, 3, MODEL) is None
    write_prior(path, prior)
    found = read_prior(path, 3, MODEL)
    assert found is not None
    for name in ("weights", "means", "deviations"):
        np.testing.assert_array_equal(getattr(found, name), getattr(prior, name))
        assert getattr(found, name).dtype == np.float32
    assert (found.styles, found.model, found.windows) == (prior.styles, MODEL, 500)
    assert not found.directions
    assert not len(found.densities)
    content = path.read_bytes()
    write_prior(path, found)
    assert path.read_bytes() == content


def test_directions_and_densities_are_read_and_may_be_missing(tmp_path: Path) -> None:
    path, direction = tmp_path / PRIOR_FILE, np.array([1, -2, 3], np.float32)
    densities = np.linspace(0, 20, 5, dtype=np.float32)
    prior = dataclasses.replace(a_prior(), directions={"fill": direction}, densities=densities)
    write_prior(path, prior)
    found = read_prior(path, 3, MODEL)
    assert found is not None
    np.testing.assert_array_equal(found.direction("fill"), direction)
    assert found.hits_per_bar(0.125) == pytest.approx(2.5)
    for missing in (lambda: found.direction("swing"), lambda: a_prior().hits_per_bar(0.5)):
        with pytest.raises(UsageError, match="fit_prior"):
            missing()


def test_files_of_version_1_are_read(tmp_path: Path) -> None:
    path = tmp_path / PRIOR_FILE
    write_prior(path, a_prior())
    content = path.read_bytes()
    size = int.from_bytes(content[:8], "little")
    header = json.loads(content[8 : 8 + size])
    del header["directions"], header["densities"], header["__metadata__"]["directions"]
    header["__metadata__"]["version"] = "1"
    old = json.dumps(header).encode()
    path.write_bytes(len(old).to_bytes(8, "little") + old + content[8 + size :])
    found = read_prior(path, 3, MODEL)
    assert found is not None
    np.testing.assert_array_equal(found.means, a_prior().means)


@pytest.mark.parametrize("drift", [0.0, 0.5])
def test_a_chain_begins_near_its_start(drift: float) -> None:
    prior, rng = a_prior(), np.random.RandomState(0)
    start = prior.means[1] + 0.5 * prior.deviations[1]
    links = prior.chain(2, drift, rng, start=start)
    if drift == 0:
        np.testing.assert_allclose(links, [start, start], rtol=1e-5)
    stays = [nearest(prior, prior.chain(1, drift, rng, start=start))[0] == 1 for _ in range(400)]
    assert np.mean(stays) >= math.sqrt(1 - drift**2) - 0.05


def test_the_prior_of_another_model_is_refused(tmp_path: Path) -> None:
    path = tmp_path / PRIOR_FILE
    write_prior(path, a_prior())
    with pytest.raises(ForeignPrior, match="z_size 3, not 4"):
        read_prior(path, 4, MODEL)
    with pytest.raises(ForeignPrior, match="weights"):
        read_prior(path, 3, "b" * 64)


@settings(max_examples=200)
@given(data=st.data())
def test_a_damaged_file_is_refused(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    path = tmp_path_factory.getbasetemp() / "damaged.safetensors"
    write_prior(path, a_prior())
    content = bytearray(path.read_bytes())
    position = data.draw(st.integers(0, len(content) - 1))
    if data.draw(st.booleans()):
        del content[position:]
    else:
        content[position] ^= data.draw(st.integers(1, 255))
    path.write_bytes(content)
    try:
        found = read_prior(path, 3, MODEL)
    except GroovaeError as error:
        message = str(error)
    else:  # a letter of a style, a digit of the number of windows, or a space
        assert found is not None
        np.testing.assert_array_equal(found.means, a_prior().means)
        return
    assert "\n" not in message
    assert message.startswith(str(path))


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"PK\x03\x04" + 100 * b"\0",
        (1 << 62).to_bytes(8, "little") + b"{}",
        (2).to_bytes(8, "little") + b"[]",
        (9).to_bytes(8, "little") + b'{"a": 12}',
        (100_000).to_bytes(8, "little") + 100_000 * b"[",
    ],
)
def test_other_files_are_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / PRIOR_FILE).write_bytes(content)
    with pytest.raises(GroovaeError, match="--prior=standard"):
        read_prior(tmp_path / PRIOR_FILE, 3, MODEL)


@pytest.mark.parametrize(
    "changes",
    [
        {"weights": np.array([0.4, 0.2, np.nan, 0.1], np.float32)},
        {"weights": np.zeros(4, np.float32)},
        {"weights": np.array([0.4, 0.2, 0.5, -0.1], np.float32)},
        {"deviations": -np.ones((4, 3), np.float32)},
        {"means": np.full((4, 3), np.inf, np.float32)},
        {"styles": ("rock",)},
        {"styles": ("rock", "rock", "funk", 4)},
    ],
    ids=str,
)
def test_values_that_are_no_mixture_are_refused(
    tmp_path: Path, changes: dict[str, np.ndarray]
) -> None:
    path = tmp_path / PRIOR_FILE
    write_prior(path, Prior(**{**vars(a_prior()), **changes}))
    with pytest.raises(GroovaeError):
        read_prior(path, 3, MODEL)


def test_claimed_shapes_must_be_those_of_the_file(tmp_path: Path) -> None:
    path = tmp_path / PRIOR_FILE
    write_prior(path, a_prior())
    content = path.read_bytes()
    size = int.from_bytes(content[:8], "little")
    header = json.loads(content[8 : 8 + size])
    for shape in ([4, 1 << 40], [1 << 40, 3], [0, 3], [4, -3], [4], "43", [4.0, 3]):
        header["means"]["shape"] = shape
        changed = json.dumps(header).encode()
        path.write_bytes(len(changed).to_bytes(8, "little") + changed + content[8 + size :])
        with pytest.raises(GroovaeError):
            read_prior(path, 3, MODEL)


def test_a_folder_or_a_large_file_in_its_place_is_refused(tmp_path: Path) -> None:
    (tmp_path / PRIOR_FILE).mkdir()
    with pytest.raises(GroovaeError, match=PRIOR_FILE):
        read_prior(tmp_path / PRIOR_FILE, 3, MODEL)
    with (tmp_path / "large").open("wb") as file:
        file.truncate(1 << 30)
    with pytest.raises(GroovaeError, match="larger than"):
        read_prior(tmp_path / "large", 3, MODEL)
