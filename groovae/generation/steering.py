"""Steer how far a model changes the timing and velocities of given hits.

An amount of 0 keeps those of the input, note for note, and 1 takes those of the model; values
between blend both.

Swing is the lateness of the 16ths of a beat after its first: in an eighth swing of 66 %, the second
eighth is 0.64 16ths late. A model of hits alone does not know the swing of its input, and learned
one of its own, so `follow_swing` replaces the one by the other.
"""

from typing import NamedTuple

import numpy as np

from groovae.errors import UsageError, check_number

KEEP = ("timing", "velocity", "accents")
STEPS_PER_BEAT = 4
MAX_PUSH_MS = 100.0
MIN_SWING_STEPS = 0.05  # 6 ms at 120 qpm; smaller ones are left to the model


class Steering(NamedTuple):
    """How far a performance goes from the input to the model.

    Attributes:
      timing_amount: From 0, the input's timing, to 1, the model's.
      velocity_amount: From 0, the input's velocities, to 1, the model's.
      keeps_accents: Of two hits of a drum, the softer one in the input is not louder in the output.
      keeps_swing: The model's timing moves around the input's swing; see `follow_swing`.
      push_ms: How far all hits move ahead of the beat; behind it if negative.
    """

    timing_amount: float = 1.0
    velocity_amount: float = 1.0
    keeps_accents: bool = False
    keeps_swing: bool = False
    push_ms: float = 0.0


def make_steering(
    amount: float = 1.0,
    timing_amount: float | None = None,
    velocity_amount: float | None = None,
    keep: str | None = None,
    keeps_swing: bool = False,
    push_ms: float = 0.0,
) -> Steering:
    """Return the steering for the arguments of `GrooveModel.humanize`.

    Args:
      amount: Of timing and velocity, for each that has no amount of its own.
      timing_amount: See `Steering`.
      velocity_amount: See `Steering`.
      keep: `timing`, `velocity` or `accents`.
      keeps_swing: See `Steering`.
      push_ms: See `Steering`; up to MAX_PUSH_MS either way.

    Raises:
      UsageError: an argument is out of range, or an amount contradicts `keep`.
    """
    if keep not in (None, *KEEP):
        raise UsageError(f"keep must be {', '.join(KEEP[:-1])} or {KEEP[-1]}, got {keep!r}")
    amounts = {"timing": timing_amount, "velocity": velocity_amount}
    check_number("amount", amount, 0, 1)
    check_number("push_ms", push_ms, -MAX_PUSH_MS, MAX_PUSH_MS)
    for name, own in amounts.items():
        if own is not None:
            check_number(f"{name}_amount", own, 0, 1)
    if amounts.get(keep or ""):
        raise UsageError(
            f"keep={keep} contradicts {keep}_amount={amounts[keep or '']:g}; give one of them"
        )
    timing, velocity = (
        0.0 if keep == name else amount if own is None else own for name, own in amounts.items()
    )
    return Steering(timing, velocity, keep == "accents", keeps_swing, push_ms)


def blend_velocities(
    before: np.ndarray, after: np.ndarray, drums: np.ndarray, steering: Steering
) -> np.ndarray:
    """Return whole velocities between those of the input and of the model, 1 to 127.

    Args:
      before: The input's velocity of each note.
      after: The model's.
      drums: The drum class of each note.
      steering: How to blend them.
    """
    if steering.keeps_accents:
        after = sort_like(before, after, drums)
    amount = steering.velocity_amount
    blended = (1 - amount) * before + amount * after  # exact at 0 and at 1
    return np.clip(np.round(blended), 1, 127).astype(int)


def sort_like(before: np.ndarray, after: np.ndarray, drums: np.ndarray) -> np.ndarray:
    """Return the velocities of `after` in the order of those of `before`, for each drum.

    Hits that are equally loud in `before` keep their own order.
    """
    ordered = after.copy()
    for drum in np.unique(drums):
        hits = np.flatnonzero(drums == drum)
        ranks = np.lexsort((after[hits], before[hits]))
        ordered[hits[ranks]] = np.sort(after[hits])
    return ordered


def blend_with_taps(tensors: np.ndarray, taps: np.ndarray, amount: float) -> np.ndarray:
    """Return tensors with velocities from those of the taps, at 0, to their own, at 1.

    The loudest hit of a step gets the velocity of the loudest tap there, and the others keep their
    ratio to it. Steps without a tap stay as they are.

    Args:
      tensors: float32 [..., steps, depth].
      taps: The same of the taps.
      amount: 0 to 1.
    """
    hits, velocities, offsets = np.split(tensors, 3, axis=-1)
    tap = np.split(taps, 3, axis=-1)[1].max(axis=-1, keepdims=True)
    loudest = (hits * velocities).max(axis=-1, keepdims=True)
    tapped = np.where(tap > 0, velocities * tap / np.maximum(loudest, 1 / 127), velocities)
    blended = (1 - amount) * tapped + amount * velocities
    return np.concatenate([hits, blended, offsets], axis=-1).astype(np.float32)


def follow_swing(
    before: np.ndarray, after: np.ndarray, steps: np.ndarray, drums: np.ndarray
) -> np.ndarray:
    """Return the model's lateness around the input's swing instead of its own.

    All hits stay as they are if the input is straight, and so do those on the first 16th of a beat.

    Args:
      before: The lateness of each hit in the input, in steps.
      after: The same of the model's performance.
      steps: The step of each hit, from the start of its bar.
      drums: The drum class of each hit.
    """
    swung, positions = after.copy(), steps % STEPS_PER_BEAT
    is_on_beat = positions == 0
    beat_before = np.median(before[is_on_beat]) if is_on_beat.any() else 0.0
    beat_after = after[is_on_beat].mean() if is_on_beat.any() else 0.0
    others = sorted(set(positions.tolist()) - {0})
    swings = {at: np.median(before[positions == at]) - beat_before for at in others}
    if all(abs(swing) < MIN_SWING_STEPS for swing in swings.values()):
        return after
    for position, swing in swings.items():
        for drum in set(drums[positions == position].tolist()):
            hits = (positions == position) & (drums == drum)
            swung[hits] += beat_after + swing - after[hits].mean()
    return swung
