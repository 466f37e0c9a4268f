"""The style classifier tells kicks on four beats from snares off the beat."""

import numpy as np
import pytest
from make_windows import window

from groovae.metrics.style_classifier import StyleClassifier
from groovae.music.drums import KICK, RIDE, SNARE


def beats(drum: int, first: int, count: int) -> np.ndarray:
    """Windows of four hits of a drum, each with a hit of the ride somewhere."""
    hits = [(step, drum, 0.8, 0.0) for step in range(first, 16, 4)]
    return np.concatenate([window(*hits, (i % 16, RIDE, 0.3, 0.0)) for i in range(count)])


TRAIN = np.concatenate([beats(KICK, 0, 30), beats(SNARE, 2, 10), beats(SNARE, 3, 5)])
STYLES = [*["rock"] * 30, *["funk"] * 10, *["polka"] * 5]


def test_styles_are_told_apart_whatever_their_number_of_windows() -> None:
    classify = StyleClassifier(TRAIN, STYLES)
    assert classify.styles == ("rock", "funk")
    new = np.concatenate([beats(KICK, 0, 3), beats(SNARE, 2, 4)])
    assert classify(new).tolist() == ["rock"] * 3 + ["funk"] * 4


def test_one_style_is_refused() -> None:
    with pytest.raises(ValueError, match="two styles"):
        StyleClassifier(TRAIN, STYLES, ["polka", "waltz"])
