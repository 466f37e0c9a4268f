"""The map of the latent space: its file, and the latents between its points."""

import re
from pathlib import Path

import numpy as np
import pytest

from groovae.errors import GroovaeError
from groovae.studio.latent_map import MAP_FILE, LatentMap, read_map, write_map


@pytest.fixture
def latent_map() -> LatentMap:
    random = np.random.RandomState(1)
    points = random.uniform(-1, 1, (40, 2)).astype(np.float32)
    latents = random.randn(40, 4).astype(np.float16)
    return LatentMap(latents, points, np.arange(40, dtype=np.uint8) % 2, ("rock", "jazz"), "abc")


def test_file_returns_the_map_of_its_model_only(latent_map: LatentMap, tmp_path: Path) -> None:
    path = tmp_path / MAP_FILE
    assert read_map(path, 4, "abc") is None
    write_map(path, latent_map)
    found = read_map(path, 4, "abc")
    assert found is not None
    for ours, theirs in zip(found[:3], latent_map[:3], strict=True):
        np.testing.assert_array_equal(ours, theirs)
    assert found[3:] == latent_map[3:]
    assert read_map(path, 4, "another") is None


def test_damaged_file_is_an_error_that_names_it(latent_map: LatentMap, tmp_path: Path) -> None:
    path = tmp_path / MAP_FILE
    write_map(path, latent_map)
    content = path.read_bytes()
    for damaged in (b"", content[:-60], b"no archive"):
        path.write_bytes(damaged)
        with pytest.raises(GroovaeError, match=re.escape(MAP_FILE)):
            read_map(path, 4, "abc")
    for wrong in (
        latent_map._replace(points=latent_map.points[:3]),
        latent_map._replace(latents=latent_map.latents * np.nan),
        latent_map._replace(names=("rock",)),
    ):
        write_map(path, wrong)
        with pytest.raises(GroovaeError, match=re.escape(MAP_FILE)):
            read_map(path, 4, "abc")
    write_map(path, latent_map)
    with pytest.raises(GroovaeError, match=re.escape(MAP_FILE)):
        read_map(path, 5, "abc")


def test_point_has_its_own_latent_and_others_move_without_jumps(latent_map: LatentMap) -> None:
    x, y = latent_map.points[7].tolist()
    np.testing.assert_allclose(latent_map.at(x, y), latent_map.latents[7], atol=1e-5)
    path = np.array([latent_map.at(place, 0.2) for place in np.linspace(-1, 1, 4001)])
    assert np.abs(np.diff(path, axis=0)).max() < 0.1
    assert np.isfinite(latent_map.at(99, -99)).all()
