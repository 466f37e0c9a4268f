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

`__metadata__` in the header has text values: `format`, `version`, `model` (which model the prior
was fitted to, see `Network.fingerprint`), `windows` (how many it was fitted to), `styles` (JSON:
the style of each component, empty if unknown), and `sha256` (of the arrays).
"""

import hashlib
import json
import math
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from groovae.errors import GroovaeError, UsageError, first_line
from groovae.model import latent
from groovae.system.atomic_files import atomic_write
from groovae.system.regular_files import parse_json, read_regular

PRIOR_FILE = "prior.safetensors"
FORMAT, VERSION = "groovae prior", "1"
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
    """

    weights: np.ndarray
    means: np.ndarray
    deviations: np.ndarray
    styles: tuple[str, ...]
    model: str
    windows: int

    @property
    def z_size(self) -> int:
        return self.means.shape[1]

    def shares(self) -> dict[str, float]:
        """Return the share of each known style, the most frequent first."""
        names = sorted(set(self.styles) - {""})
        shares = {name: float(self.weights[self._is_of(name)].sum()) for name in names}
        return dict(sorted(shares.items(), key=lambda item: -item[1]))

    def check_style(self, style: str) -> None:
        """Raise a UsageError that lists the styles if there is no such style."""
        known = ", ".join(sorted(self.shares())) or "none"
        if not style or style not in self.styles:
            raise UsageError(f"no style is called {style!r}; the styles of this model: {known}")

    def chain(
        self, num_links: int, drift: float, rng: np.random.RandomState, style: str | None = None
    ) -> np.ndarray:
        """Draw correlated latents [num_links, z_size]; see `latent.chain`.

        Each is distributed as the mixture. A link stays in the component of the previous one with
        the probability sqrt(1 - drift^2), which is also the correlation of their noise.

        Raises:
          UsageError: there is no such style.
        """
        noise = latent.chain(num_links, self.z_size, drift, rng)
        where, moves = rng.random_sample((2, num_links))
        chosen = self._components(style, where)
        for i in range(1, num_links):
            if moves[i] < math.sqrt(1 - drift**2):
                chosen[i] = chosen[i - 1]
        return self.means[chosen] + self.deviations[chosen] * noise

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


def write_prior(path: Path, prior: Prior) -> None:
    """Write a prior, atomically."""
    arrays = [prior.weights, prior.means, prior.deviations]
    data = b"".join(np.asarray(array, "<f4").tobytes() for array in arrays)
    metadata = {
        "format": FORMAT,
        "version": VERSION,
        "model": prior.model,
        "windows": str(prior.windows),
        "styles": json.dumps(prior.styles),
        "sha256": hashlib.sha256(data).hexdigest(),
    }
    header = json.dumps({"__metadata__": metadata, **_entries(*prior.means.shape)}).encode()
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


def _entries(num: int, z_size: int) -> dict[str, Any]:
    """Return the header's entries of the arrays of `num` components."""
    entries, start = {}, 0
    shapes = {"weights": [num], "means": [num, z_size], "deviations": [num, z_size]}
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
    num, z_size = entries["means"]["shape"]
    if (metadata["format"], metadata["version"]) != (FORMAT, VERSION):
        raise ValueError(f"its format is not {FORMAT}, version {VERSION}")
    if not 1 <= num <= MAX_COMPONENTS or entries != _entries(num, z_size):
        raise ValueError("its arrays have other shapes")
    if hashlib.sha256(data).hexdigest() != metadata["sha256"]:
        raise ValueError("its SHA-256 differs")
    flat = np.frombuffer(data, "<f4").astype(np.float32)
    weights, means, deviations = np.split(flat, [num, num + num * z_size])
    styles = parse_json(metadata["styles"])
    if len(styles) != num or not all(isinstance(style, str) for style in styles):
        raise ValueError("styles is not a list with a text for each component")
    is_mixture = (weights >= 0).all() and weights.sum() > 0 and (deviations >= 0).all()
    if not np.isfinite(flat).all() or not is_mixture:
        raise ValueError("its values are not those of a mixture")
    shape = num, z_size
    return Prior(
        weights,
        means.reshape(shape),
        deviations.reshape(shape),
        tuple(styles),
        str(metadata["model"]),
        int(metadata["windows"]),
    )
