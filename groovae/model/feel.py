"""A drummer's feel around what a decoder expects: pure NumPy.

A decoder is trained by squared error, so that it outputs the velocity and offset that are expected
of a hit, and its grooves vary less than a drummer's. A feel has what is missing, as it was measured
on performances that the model has not been trained on (see feel_fit.py):

    feel = read_feel(folder / FEEL_FILE, model=network.fingerprint())
    feel.draw(tensors, rng)  # velocities and offsets as a drummer might play them

Deviations are Gaussian numbers, mapped to the measured quantiles. Those of two hits are correlated,
as the sum of independent parts: a drummer stays ahead of the beat for a while, and repeats
accents from beat to beat and from bar to bar. A part of period p has the same value every p steps,
and is shared by all drums or not.

FEEL_FILE beside the model is JSON: `format`, `version`, `model` (which model it was fitted to, see
`Network.fingerprint`), `hits` (how many it was fitted to), `steps_per_quarter`, `steps_per_bar`,
`hit_threshold` (the logit over which hits are predicted with the best F1 score, since at 0, where
they are more likely than not, a model that is unsure plays too few) and, for `velocity` (0 to 1)
and `offset` (half steps ahead of the grid):

    slope, intercept  [drums], of the line from the decoder's output to what is expected, since
                      decoders are too sure of their deviations from the mean
    spread            [steps_per_bar, drums], the standard deviation of the deviations
    quantiles         [drums, NUM_QUANTILES], of deviations divided by their spread
    shares            the share of each part in their variance, in the order of `parts`
    decay             the correlation of the last shared part with itself, from step to step
"""

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from groovae.config.description import check_values, items, number, one_of, whole
from groovae.errors import GroovaeError, first_line
from groovae.model import latent
from groovae.system.atomic_files import write_json
from groovae.system.regular_files import read_json

FEEL_FILE = "feel.json"
FORMAT, VERSION = "groovae feel", "1"
NUM_QUANTILES = 33
LEVELS = np.linspace(-2.5, 2.5, NUM_QUANTILES)  # the Gaussian numbers of the quantiles
MAX_DRUMS, MAX_STEPS_PER_BAR = 128, 1024
NAMES = ("velocity", "offset")
LIMITS = {"velocity": (1 / 127, 1.0), "offset": (-1.0, 1.0)}


@dataclass(frozen=True)
class Deviations:
    """The deviations of velocities or offsets; see the module docstring."""

    slope: np.ndarray
    intercept: np.ndarray
    spread: np.ndarray
    quantiles: np.ndarray
    shares: np.ndarray
    decay: float

    def draw(
        self, num_steps: int, steps_per_quarter: int, rng: np.random.RandomState, swings: bool
    ) -> np.ndarray:
        """Draw the deviation that a hit of each step and drum would have, [num_steps, drums].

        Without `swings` there is no part that repeats in each beat, and more of the others.
        """
        steps_per_bar, drums = self.spread.shape
        gauss = np.zeros((num_steps, drums))
        kinds, shares = parts(steps_per_quarter, steps_per_bar), self.shares.copy()
        if not swings:
            shares[
                [i for i, (period, _) in enumerate(kinds) if 1 < period <= steps_per_quarter]
            ] = 0
            shares /= max(shares.sum(), 1e-9)
        for (period, shared), share in zip(kinds, shares[:-2], strict=True):
            noise = rng.randn(period, 1 if shared else drums)
            gauss += np.sqrt(share) * noise[np.arange(num_steps) % period]
        drift = math.sqrt(1 - self.decay**2)
        gauss += np.sqrt(shares[-2]) * latent.chain(num_steps, 1, drift, rng)
        gauss += np.sqrt(shares[-1]) * rng.randn(num_steps, drums)
        units = [np.interp(gauss[:, d], LEVELS, self.quantiles[d]) for d in range(drums)]
        return np.stack(units, axis=1) * self.spread[np.arange(num_steps) % steps_per_bar]


@dataclass(frozen=True)
class Feel:
    """The deviations of a model's outputs from performances; see the module docstring.

    Attributes:
      velocity: Of velocities, 0 to 1.
      offset: Of offsets, in half steps ahead of the grid.
      hit_threshold: The logit over which there is a hit at temperature 0.
      steps_per_quarter: Steps in a quarter note.
      model: The fingerprint of the model.
      hits: The number of hits that it was fitted to.
    """

    velocity: Deviations
    offset: Deviations
    hit_threshold: float
    steps_per_quarter: int
    model: str
    hits: int

    def draw(
        self,
        tensors: np.ndarray,
        rng: np.random.RandomState,
        is_new: bool = False,
        swings: bool = True,
    ) -> np.ndarray:
        """Return the tensors of one groove, [steps, depth], as a drummer might play them.

        The random numbers depend on the number of steps only, not on the hits.

        Args:
          tensors: As decoded.
          rng: The source of random numbers.
          is_new: Whether z was drawn from a prior. Then the decoder's own deviations from the mean
            are as good as others, so that it is not corrected by `slope` and `intercept`.
          swings: Whether the timing may deviate in the same way in each beat.
        """
        hits, *others = np.split(tensors, 3, axis=-1)
        changed = [hits]
        for name, values in zip(NAMES, others, strict=True):
            around: Deviations = getattr(self, name)
            drawn = values if is_new else around.slope * values + around.intercept
            may_repeat = swings or name == "velocity"
            drawn = drawn + around.draw(len(tensors), self.steps_per_quarter, rng, may_repeat)
            changed.append(np.where(hits > 0.5, np.clip(drawn, *LIMITS[name]), values))
        return np.concatenate(changed, axis=-1).astype(tensors.dtype)


def parts(steps_per_quarter: int, steps_per_bar: int) -> list[tuple[int, bool]]:
    """Return (period in steps, whether it is shared by all drums) of the parts that repeat."""
    periods = [1, max(steps_per_quarter // 2, 1), steps_per_quarter, steps_per_bar]
    return [(period, shared) for shared in (True, False) for period in periods]


def write_feel(path: Path, feel: Feel) -> None:
    """Write a feel, atomically."""
    contents: dict[str, Any] = {
        "format": FORMAT,
        "version": VERSION,
        "model": feel.model,
        "hits": feel.hits,
        "steps_per_quarter": feel.steps_per_quarter,
        "steps_per_bar": len(feel.offset.spread),
        "hit_threshold": round(float(feel.hit_threshold), 2),
    }
    for name in NAMES:
        fields = vars(getattr(feel, name))
        contents[name] = {key: np.round(value, 4).tolist() for key, value in fields.items()}
    write_json(path, contents)


def read_feel(path: Path, model: str) -> Feel | None:
    """Read the feel of a model; None if there is no such file, or it is of another model.

    Args:
      path: Of the file.
      model: The model's fingerprint.

    Raises:
      GroovaeError: it is damaged.
    """
    try:
        contents = read_json(path)
        feel = _parse(contents)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, ValueError, KeyError, TypeError, GroovaeError) as error:
        reason = getattr(error, "strerror", None) or first_line(error)
        raise GroovaeError(
            f"{path}: not the feel of a model, or damaged ({reason}); fit it again with `groovae "
            "fit_feel`, or remove it"
        ) from error
    return feel if feel.model == model else None


def _parse(contents: dict[str, Any]) -> Feel:
    """Return the feel in the contents of a file; raise an error if they are not one."""
    steps_per_bar = int(contents["steps_per_bar"])
    rules = {
        "format": one_of(FORMAT),
        "version": one_of(VERSION),
        "hits": whole(1, 2**63 - 1),
        "steps_per_quarter": whole(1, MAX_STEPS_PER_BAR),
        "steps_per_bar": whole(1, MAX_STEPS_PER_BAR),
        "hit_threshold": number(-20, 20),
    }
    num_drums = len(contents["offset"]["slope"])
    check_values({name: contents[name] for name in rules}, rules)
    kinds = parts(contents["steps_per_quarter"], steps_per_bar)
    of_drums = items(number(-100, 100), num_drums, num_drums)
    row = items(number(-100, 100), NUM_QUANTILES, NUM_QUANTILES)
    fields = {
        "slope": of_drums,
        "intercept": of_drums,
        "spread": items(items(number(0, 10), num_drums, num_drums), steps_per_bar, steps_per_bar),
        "quantiles": items(row, num_drums, num_drums),
        "shares": items(number(0, 1), len(kinds) + 2, len(kinds) + 2),
        "decay": number(0, 1),
    }
    for name in NAMES:
        check_values({key: contents[name][key] for key in fields}, fields, f"{name}.")
    velocity, offset = (
        Deviations(**{key: _as_array(contents[name][key]) for key in fields}) for name in NAMES
    )
    model = contents["model"]
    if not isinstance(model, str):
        raise ValueError("model is not a text")
    others = {name: contents[name] for name in ("hit_threshold", "steps_per_quarter", "hits")}
    return Feel(velocity, offset, model=model, **others)


def _as_array(value: Any) -> Any:
    return np.array(value, np.float64) if isinstance(value, list) else float(value)
