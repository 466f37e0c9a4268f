"""Augmentation: random changes to training windows, after which a drummer could still play them.

    groovae train --augment=velocity,timing,drums,tempo

It is off by default, as in Magenta's GrooVAE configs. Each window of a batch is changed anew.

    velocity    all hits softer or louder, in the same order of velocities
    timing      all offsets wider or narrower, and all hits ahead or behind
    drums       closed hi-hat and ride exchanged, if only one of them is played; toms exchanged
    tempo       the tempo that a model is given, a little faster or slower than the music
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from groovae.config.layout import Layout
from groovae.errors import UsageError
from groovae.music.drums import CLASS_NAMES, CLOSED_HIHAT, HIGH_TOM, LOW_TOM, MID_TOM, RIDE

VELOCITY_EXPONENT = 1.5  # at most; at least 1 / 1.5
TIMING_SCALE = 1.25
TIMING_SHIFT = 0.06  # half steps: 4 ms at 120 qpm
TOMS = np.array([LOW_TOM, MID_TOM, HIGH_TOM])
EXCHANGE_SHARE = 0.5
TEMPO_SCALE = 1.02


def augment(outputs: np.ndarray, kinds: Sequence[str], rng: np.random.RandomState) -> np.ndarray:
    """Return changed copies of windows, float32 [n, steps, depth].

    Args:
      outputs: The windows.
      kinds: Of KINDS; none returns `outputs` itself.
      rng: Each kind draws from it, in the order of KINDS.
    """
    for name, change in _CHANGES.items():
        if name in kinds:
            hits, velocities, offsets = np.split(outputs, 3, axis=-1)
            parts = change(hits, velocities, offsets, rng)
            outputs = np.concatenate(parts, axis=-1, dtype=np.float32)
    return outputs


def augment_tempo(
    tempo_qpm: np.ndarray, kinds: Sequence[str], rng: np.random.RandomState
) -> np.ndarray:
    """Return tempos of windows, [n]: with the kind `tempo` up to TEMPO_SCALE times as fast or slow.

    A dataset has each song at one tempo, by which a model could tell the song.
    """
    if "tempo" not in kinds:
        return tempo_qpm
    return tempo_qpm * TEMPO_SCALE ** rng.uniform(-1, 1, len(tempo_qpm))


def parse_kinds(text: str, layout: Layout) -> list[str]:
    """Return the kinds of `--augment`, such as `velocity,timing`; none for an empty text.

    Raises:
      UsageError: there is no such kind, `drums` is asked for other than nine drum classes, or
        `tempo` for a model that is not given the tempo.
    """
    kinds = [name.strip() for name in text.split(",") if name.strip()]
    for name in kinds:
        if name not in KINDS:
            raise UsageError(f"augment must be of {', '.join(KINDS)}, got {name!r}")
    if "drums" in kinds and layout.num_drums != len(CLASS_NAMES):
        raise UsageError(
            f"augment drums knows the {len(CLASS_NAMES)} drum classes of Magenta, and the config "
            f"has {layout.num_drums}; leave it out"
        )
    if "tempo" in kinds and not layout.tempo_as_control:
        raise UsageError(
            "augment tempo needs a config that is given the tempo, such as "
            "groovae_2bar_humanize_hits; leave it out"
        )
    return kinds


Parts = tuple[np.ndarray, np.ndarray, np.ndarray]


def _velocity(hits: np.ndarray, velocities: np.ndarray, offsets: np.ndarray, rng: Any) -> Parts:
    exponents = VELOCITY_EXPONENT ** rng.uniform(-1, 1, (len(hits), 1, 1))
    return hits, velocities**exponents, offsets


def _timing(hits: np.ndarray, velocities: np.ndarray, offsets: np.ndarray, rng: Any) -> Parts:
    scales = TIMING_SCALE ** rng.uniform(-1, 1, (len(hits), 1, 1))
    shifts = rng.uniform(-TIMING_SHIFT, TIMING_SHIFT, (len(hits), 1, 1))
    return hits, velocities, hits * np.clip(scales * offsets + shifts, -1, 1)


def _drums(hits: np.ndarray, velocities: np.ndarray, offsets: np.ndarray, rng: Any) -> Parts:
    """Exchange drums; the drum that is played by each class is the same in all of a window."""
    plays = np.tile(np.arange(hits.shape[-1]), (len(hits), 1))
    pair = [CLOSED_HIHAT, RIDE]
    one_of_them = hits[..., pair].any(axis=1).sum(axis=1) == 1
    exchanged = one_of_them & (rng.random_sample(len(hits)) < EXCHANGE_SHARE)
    plays[np.ix_(exchanged, pair)] = pair[::-1]
    for row in plays:
        row[TOMS] = rng.permutation(TOMS)
    first, second, third = (
        np.take_along_axis(part, plays[:, np.newaxis], axis=-1)
        for part in (hits, velocities, offsets)
    )
    return first, second, third


_CHANGES: dict[str, Callable[..., Parts]] = {
    "velocity": _velocity,
    "timing": _timing,
    "drums": _drums,
}
KINDS = (*_CHANGES, "tempo")
