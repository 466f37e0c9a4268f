"""A map of a model's latent space: a place in the plane for each of its training windows.

`scripts/make_map.py` writes it to MAP_FILE beside the model, a NumPy archive of

    latents   [n, z_size], float16
    points    [n, 2], float32, from -1 to 1; neighbours have similar latents
    styles    [n], uint8, the index of each window's style in `names`
    names     [k], text
    model     text, the fingerprint of the model
"""

from pathlib import Path
from typing import NamedTuple

import numpy as np

from groovae.errors import GroovaeError, first_line
from groovae.system.atomic_files import atomic_write
from groovae.system.regular_files import open_regular

MAP_FILE = "map.npz"
NEIGHBOURS = 6  # whose latents are blended


class LatentMap(NamedTuple):
    """See the module docstring."""

    latents: np.ndarray
    points: np.ndarray
    styles: np.ndarray
    names: tuple[str, ...]
    model: str

    def at(self, x: float, y: float) -> np.ndarray:
        """Return the latent of a place, [z_size]: that of a window at its own place.

        Elsewhere it is the mean of the nearest windows, by inverse distance. The weight falls to 0
        at the next one, so that the latent moves without jumps as the place does (Franke and
        Nielson, Smooth interpolation of large sets of scattered data, 1980).
        """
        distances = np.linalg.norm(self.points - [x, y], axis=1)
        nearest = np.argsort(distances, kind="stable")[: NEIGHBOURS + 1]
        distances = np.maximum(distances[nearest], 1e-9)
        weights = np.maximum(1 / distances - 1 / distances[-1], 0) ** 2
        if not weights.any():  # all at one distance
            weights[0] = 1
        return (weights / weights.sum()) @ self.latents[nearest].astype(np.float64)


def write_map(path: Path, latent_map: LatentMap) -> None:
    """Write a map, atomically."""
    with atomic_write(path, follow_links=False) as temporary, temporary.open("wb") as file:
        np.savez_compressed(
            file,
            latents=latent_map.latents.astype(np.float16),
            points=latent_map.points.astype(np.float32),
            styles=latent_map.styles.astype(np.uint8),
            names=np.array(latent_map.names),
            model=np.array(latent_map.model),
        )


def read_map(path: Path, z_size: int, model: str) -> LatentMap | None:
    """Read the map of a model; None if it is missing or of another model.

    Raises:
      GroovaeError: it is damaged.
    """
    try:
        with open_regular(path) as file, np.load(file, allow_pickle=False) as arrays:
            latents, points, styles = (arrays[name] for name in ("latents", "points", "styles"))
            names = tuple(map(str, arrays["names"]))
            latent_map = LatentMap(latents, points, styles, names, str(arrays["model"]))
            _check(latent_map, z_size)
    except FileNotFoundError:
        return None
    except Exception as error:  # damaged archives raise exceptions of many kinds
        raise GroovaeError(
            f"{path}: not the map of a model, or damaged ({first_line(error)}); make it again with "
            "scripts/make_map.py, or remove it"
        ) from error
    return latent_map if latent_map.model == model else None


def _check(latent_map: LatentMap, z_size: int) -> None:
    """Raise ValueError if the arrays do not fit each other."""
    num = len(latent_map.points)
    shapes = [array.shape for array in latent_map[:3]]
    if not num or shapes != [(num, z_size), (num, 2), (num,)]:
        raise ValueError(f"its arrays have the shapes {shapes}")
    if not all(np.isfinite(array).all() for array in latent_map[:3]):
        raise ValueError("it has non-finite values")
    if latent_map.styles.max() >= len(latent_map.names):
        raise ValueError("it has styles without a name")
