"""A prior fitted to the latents of music, to sample from instead of N(0, I): pure NumPy.

The encodings of music fill only a part of N(0, I), and what a decoder makes of the rest is less
like music. The fitted prior is a mixture of Gaussians with diagonal covariances. The windows of
each musical style have components of their own, so the components of one style are its prior.

    prior = fit(mu, styles, recordings, model=network.fingerprint())
    prior.chain(num_links=4, drift=0.5, rng=np.random.RandomState(1), style="funk")  # [4, z_size]

It is stored in PRIOR_FILE beside the model, in the safetensors format
(https://huggingface.co/docs/safetensors): the length of the header, uint64 little-endian; the
header, JSON; and the arrays, float32 little-endian:

    weights     [k], the share of each component
    means       [k, z_size]
    deviations  [k, z_size], standard deviations
    directions  [d, z_size], differences of mean latents; see `Prior.direction`
    densities   [q], quantiles of the hits a bar

Files of version 1 lack the last two. `__metadata__` in the header has text values: `format`,
`version`, `model` (which model the prior was fitted to, see `Network.fingerprint`), `windows` (how
many it was fitted to), `styles` (JSON: the style of each component, empty if unknown), `directions`
(JSON: their names), and `sha256` (of the arrays).
"""

import hashlib
import json
import math
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from groovae.errors import GroovaeError, UsageError, check_number, first_line
from groovae.model import latent
from groovae.system.atomic_files import atomic_write
from groovae.system.regular_files import parse_json, read_regular

PRIOR_FILE = "prior.safetensors"
FORMAT, VERSION = "groovae prior", "2"
MAX_HEADER_BYTES = 1 << 20
MAX_COMPONENTS = 1024


class ForeignPrior(GroovaeError):
    """A prior that was fitted to another model."""


@dataclass(frozen=True)
class Prior:
    """A mixture of Gaussians with diagonal covariances over the latents of a model.

    Attributes:
      weights: The share of each component, float32 [k].
      means, deviations: float32 [k, z_size].
      styles: The style of each component; empty if unknown.
      model: The fingerprint of the model.
      windows: The number of windows that it was fitted to.
      directions: By name, such as `density`, float32 [z_size]; see `direction`.
      densities: The hits a bar of the training windows, at equally spaced quantiles from 0 to 1.
    """

    weights: np.ndarray
    means: np.ndarray
    deviations: np.ndarray
    styles: tuple[str, ...]
    model: str
    windows: int
    directions: Mapping[str, np.ndarray] = field(default_factory=dict)
    densities: np.ndarray = field(default_factory=lambda: np.zeros(0, np.float32))

    @property
    def z_size(self) -> int:
        return self.means.shape[1]

    def shares(self) -> dict[str, float]:
        """Return the share of each known style, the most frequent first."""
        names = sorted(set(self.styles) - {""})
        shares = {name: float(self.weights[self._is_of(name)].sum()) for name in names}
        return dict(sorted(shares.items(), key=lambda item: -item[1]))

    def check_style(self, style: str | Mapping[str, float]) -> None:
        """Raise a UsageError if a style does not exist, or the weights of a mix are not valid."""
        known = ", ".join(sorted(self.shares())) or "none"
        for name in parse_styles(style):
            if not name or name not in self.styles:
                raise UsageError(f"no style is called {name!r}; the styles of this model: {known}")

    def hits_per_bar(self, density: float) -> float:
        """Return the hits a bar at a quantile, 0 to 1, of the training windows.

        Raises:
          UsageError: `density` is out of range, or not known of this model.
        """
        check_number("density", density, 0, 1)
        if not len(self.densities):
            raise UsageError(
                "the prior of this model has no densities, since an earlier version fitted it; fit "
                "it again with `groovae fit_prior`"
            )
        return float(np.interp(density, np.linspace(0, 1, len(self.densities)), self.densities))

    def direction(self, name: str) -> np.ndarray:
        """Return a direction [z_size], from latents with little of a quality to those with much.

        Raises:
          UsageError: it was not fitted.
        """
        if name not in self.directions:
            known = ", ".join(sorted(self.directions)) or "none"
            raise UsageError(
                f"the prior of this model has no direction of {name} (known: {known}); fit it "
                "again with `groovae fit_prior`"
            )
        return self.directions[name]

    def chain(
        self,
        num_links: int,
        drift: float,
        rng: np.random.RandomState,
        style: str | Mapping[str, float] | None = None,
        start: np.ndarray | None = None,
    ) -> np.ndarray:
        """Draw correlated latents [num_links, z_size]; see `latent.chain`.

        Each is distributed as the mixture. A link stays in the component of the previous one with
        the probability sqrt(1 - drift^2), which is also the correlation of their noise.

        Args:
          num_links: How many to draw.
          drift: From 0, all the same, to 1, independent ones.
          rng: The source of random numbers.
          style: One style, or several with weights, whose components are averaged with these.
          start: A latent before the first link, [z_size].

        Raises:
          UsageError: there is no such style.
        """
        first = None if start is None else self._nearest(start)
        before = None if first is None else (start - self.means[first]) / self.deviations[first]
        noise = latent.chain(num_links, self.z_size, drift, rng, before)
        shares = {None: 1.0} if style is None else parse_styles(style)
        means, deviations = np.zeros((2, num_links, self.z_size), np.float32)
        for name, share in shares.items():
            chosen = self._links(name, num_links, drift, rng, first)
            means += np.float32(share) * self.means[chosen]
            deviations += np.float32(share) * self.deviations[chosen]
        return means + deviations * noise

    def _links(
        self,
        style: str | None,
        num_links: int,
        drift: float,
        rng: np.random.RandomState,
        first: int | None,
    ) -> np.ndarray:
        """Draw the component of each link; `first` is that before the first link."""
        where, moves = rng.random_sample((2, num_links))
        chosen, last = self._components(style, where), first
        for i in range(num_links):
            if last is not None and moves[i] < math.sqrt(1 - drift**2):
                chosen[i] = last
            last = chosen[i]
        return chosen

    def _nearest(self, z: np.ndarray) -> int:
        """Return the component of the highest density at `z`."""
        deviations = np.maximum(self.deviations, 1e-6)
        squares = ((z - self.means) / deviations) ** 2 + 2 * np.log(deviations)
        return int(np.argmin(squares.sum(axis=1)))

    def _components(self, style: str | None, quantiles: np.ndarray) -> np.ndarray:
        """Return the component at each quantile, 0 to 1, of the weights."""
        members = np.arange(len(self.weights))
        if style is not None:
            self.check_style(style)
            members = np.flatnonzero(self._is_of(style))
        shares = np.cumsum(self.weights[members], dtype=np.float64)
        found = np.searchsorted(shares / shares[-1], quantiles, side="right")
        return members[np.minimum(found, len(members) - 1)]

    def _is_of(self, style: str) -> np.ndarray:
        return np.array([name == style for name in self.styles])


def parse_styles(style: str | Mapping[str, float]) -> dict[str, float]:
    """Return the share of each style of a mix; the shares add up to 1.

    Raises:
      UsageError: a weight is not a positive number.

    >>> parse_styles("funk"), parse_styles("funk:3,jazz:1")
    ({'funk': 1.0}, {'funk': 0.75, 'jazz': 0.25})
    """
    weights: dict[str, float] = {}
    if isinstance(style, str):
        for part in style.split(","):
            name, _, weight = part.strip().partition(":")
            weights[name.strip()] = _to_weight(weight) if weight else 1.0
    else:
        weights = {name: _to_weight(weight) for name, weight in style.items()}
    total = sum(weights.values())
    if not total:
        raise UsageError(f"the weights of the styles must not all be 0, got {style!r}")
    return {name: weight / total for name, weight in weights.items() if weight}


def _to_weight(value: Any) -> float:
    try:
        weight = float(value)
    except (TypeError, ValueError):
        weight = -1.0
    if not 0 <= weight < math.inf:
        raise UsageError(
            f"the weight of a style must be a number of 0 or more, such as funk:0.7, got {value!r}"
        )
    return weight


def write_prior(path: Path, prior: Prior) -> None:
    """Write a prior, atomically."""
    names = list(prior.directions)
    directions = [prior.directions[name] for name in names]
    arrays = [prior.weights, prior.means, prior.deviations, *directions, prior.densities]
    data = b"".join(np.asarray(array, "<f4").tobytes() for array in arrays)
    metadata = {
        "format": FORMAT,
        "version": VERSION,
        "model": prior.model,
        "windows": str(prior.windows),
        "styles": json.dumps(prior.styles),
        "directions": json.dumps(names),
        "sha256": hashlib.sha256(data).hexdigest(),
    }
    num, z_size = prior.means.shape
    entries = _entries(num, z_size, len(names), len(prior.densities))
    header = json.dumps({"__metadata__": metadata, **entries}).encode()
    header += b" " * (-len(header) % 8)  # so that the arrays are aligned
    with atomic_write(path, follow_links=False) as temporary:
        temporary.write_bytes(len(header).to_bytes(8, "little") + header + data)


def read_prior(path: Path, z_size: int, model: str) -> Prior | None:
    """Read the prior of a model; None if there is no such file.

    Args:
      path: Of the file.
      z_size: The size of the model's latents.
      model: Its fingerprint; empty to accept the prior of any model with this `z_size`.

    Raises:
      ForeignPrior: it was fitted to another model.
      GroovaeError: it is damaged.
    """
    if not os.path.lexists(path):
        return None
    try:
        prior = _parse(read_regular(path))
    except (OSError, ValueError, KeyError, TypeError) as error:
        reason = getattr(error, "strerror", None) or first_line(error)
        raise GroovaeError(
            f"{path}: not the prior of a model, or damaged ({reason}); fit it again with "
            "`groovae fit_prior`, or sample with --prior=standard"
        ) from error
    if prior.z_size != z_size or model not in ("", prior.model):
        differing = f"z_size {prior.z_size}, not {z_size}" if prior.z_size != z_size else "weights"
        raise ForeignPrior(
            f"{path}: this prior was fitted to another model (differing: {differing}); fit it "
            "again with `groovae fit_prior`"
        )
    return prior


def _entries(num: int, z_size: int, num_directions: int, num_densities: int) -> dict[str, Any]:
    """Return the header's entries of the arrays of `num` components."""
    entries, start = {}, 0
    shapes = {"weights": [num], "means": [num, z_size], "deviations": [num, z_size]}
    shapes |= {"directions": [num_directions, z_size], "densities": [num_densities]}
    for name, shape in shapes.items():
        end = start + 4 * math.prod(shape)
        entries[name] = {"dtype": "F32", "shape": shape, "data_offsets": [start, end]}
        start = end
    return entries


def _parse(content: bytes) -> Prior:
    """Return the prior in the content of a file; raise ValueError, KeyError or TypeError."""
    size = int.from_bytes(content[:8], "little")
    if len(content) < 8 or size > min(MAX_HEADER_BYTES, len(content) - 8):
        raise ValueError("its header is longer than the file")
    entries, data = parse_json(content[8 : 8 + size].decode()), content[8 + size :]
    metadata = entries.pop("__metadata__")
    if metadata["format"] != FORMAT or metadata["version"] not in ("1", VERSION):
        raise ValueError(f"its format is not {FORMAT}, version {VERSION}")
    names = _parse_names(metadata.get("directions", "[]"))
    num, z_size = entries["means"]["shape"]
    num_densities = entries["densities"]["shape"][0] if "densities" in entries else 0
    expected = _entries(num, z_size, len(names), num_densities)
    if metadata["version"] == "1":
        del expected["directions"], expected["densities"]
    if not 1 <= num <= MAX_COMPONENTS or entries != expected:
        raise ValueError("its arrays have other shapes")
    if hashlib.sha256(data).hexdigest() != metadata["sha256"]:
        raise ValueError("its SHA-256 differs")
    flat = np.frombuffer(data, "<f4").astype(np.float32)
    ends = np.cumsum([num, num * z_size, num * z_size, len(names) * z_size])
    weights, means, deviations, directions, densities = np.split(flat, ends)
    styles = _parse_names(metadata["styles"])
    if len(styles) != num:
        raise ValueError("styles is not a list with a text for each component")
    is_mixture = (weights >= 0).all() and weights.sum() > 0 and (deviations >= 0).all()
    if not np.isfinite(flat).all() or not is_mixture:
        raise ValueError("its values are not those of a mixture")
    return Prior(
        weights,
        means.reshape(num, z_size),
        deviations.reshape(num, z_size),
        tuple(styles),
        str(metadata["model"]),
        int(metadata["windows"]),
        dict(zip(names, directions.reshape(len(names), z_size), strict=True)),
        densities,
    )


def _parse_names(text: str) -> list[str]:
    names = parse_json(text)
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise ValueError("styles and directions must be lists of texts")
    return names
