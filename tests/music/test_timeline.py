"""Timelines lay grooves of any tempo map and meter on bars of 16 steps, and restore them."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from groovae.errors import GroovaeError
from groovae.music.note_sequence import NoteSequence
from groovae.music.tempo import TempoMap
from groovae.music.timeline import Timeline

METERS = [(4, 4), (3, 4), (6, 8), (5, 4), (7, 8), (12, 8), (2, 4), (2, 2), (9, 16)]


def a_sequence(
    steps: list[float],
    meters: Sequence[tuple[int, int, int]] = ((0, 4, 4),),
    tempos: Sequence[tuple[float, float]] = ((0, 120),),
    length: float = 0,
) -> Any:
    """Return a sequence with hits at these 16ths.

    Args:
      meters: First step, numerator and denominator.
      tempos: First quarter, and qpm.
    """
    tempo_map = TempoMap(*zip(*tempos, strict=True))
    sequence = NoteSequence(total_time=float(tempo_map.to_seconds(length / 4)))
    for seconds, (_, qpm) in zip(tempo_map.seconds, tempos, strict=True):
        sequence.tempos.add(time=seconds, qpm=qpm)
    for first, numerator, denominator in meters:
        seconds = float(tempo_map.to_seconds(first / 4))
        sequence.time_signatures.add(time=seconds, numerator=numerator, denominator=denominator)
    for step in steps:
        start, end = tempo_map.to_seconds([step / 4, step / 4 + 0.1]).tolist()
        sequence.notes.add(start_time=start, end_time=end, pitch=36, velocity=80, is_drum=True)
    return sequence


def model_steps(sequence: Any, steps_per_bar: int = 16) -> list[float]:
    flat = Timeline(sequence, steps_per_bar).flatten(sequence)
    assert len(flat.tempos) == 1
    return [round(note.start_time * flat.tempos[0].qpm / 15, 6) for note in flat.notes]


def test_plain_groove_is_not_changed() -> None:
    sequence = a_sequence([0, 3.9, 17], length=32)
    timeline = Timeline(sequence)
    assert timeline.is_plain
    assert timeline.flatten(sequence) is sequence
    assert (timeline.bars, timeline.model_bars) == (2, 2)


@pytest.mark.parametrize(
    ("numerator", "denominator", "second_bar"),
    [(3, 4, 16), (6, 8, 16), (7, 8, 16), (2, 4, 16), (5, 4, 32), (12, 8, 32), (4, 2, 32)],
)
def test_bars_begin_with_bars_of_the_model(
    numerator: int, denominator: int, second_bar: int
) -> None:
    length = 16 * numerator // denominator
    steps = [0, 1.4, length - 0.3, length, length + 2]
    sequence = a_sequence(steps, [(0, numerator, denominator)], length=2 * length)
    assert model_steps(sequence) == [0, 1.4, second_bar - 0.3, second_bar, second_bar + 2]
    mask = Timeline(sequence).mask()
    assert mask.sum() == 2 * length
    assert mask[0]
    assert mask[second_bar]


def test_model_in_3_4_plays_3_4_as_it_is() -> None:
    sequence = a_sequence([0, 12, 23], [(0, 3, 4)], length=24)
    assert Timeline(sequence, 12).is_plain
    assert model_steps(a_sequence([0, 16], length=32), 12) == [0, 24]


def test_pickup_is_at_the_end_of_its_bar() -> None:
    sequence = a_sequence([0, 2, 4, 8, 20], [(0, 1, 4), (4, 4, 4)], length=36)
    assert model_steps(sequence) == [12, 14, 16, 20, 32]
    assert Timeline(sequence).bars == 3


def test_meter_changes_begin_a_new_bar() -> None:
    sequence = a_sequence([0, 16, 28, 44], [(0, 4, 4), (16, 3, 4), (28, 4, 4)], length=60)
    assert model_steps(sequence) == [0, 16, 32, 48]


def test_tempo_changes_do_not_move_hits_on_the_grid() -> None:
    tempos = [(0, 120.0), (2, 97.0), (5, 61.5)]
    assert model_steps(a_sequence([0, 4, 9, 15, 22.25], tempos=tempos)) == [0, 4, 9, 15, 22.25]


def test_hit_on_the_last_32nd_adds_no_bar() -> None:
    assert Timeline(a_sequence([0, 63.5], length=64)).bars == 4
    assert Timeline(a_sequence([0, 63.7], length=64)).bars == 5  # an early hit of bar 5


def test_meter_finer_than_16ths_is_refused() -> None:
    with pytest.raises(GroovaeError, match="7/32"):
        Timeline(a_sequence([0], [(0, 7, 32)]))


@st.composite
def sequences(draw: st.DrawFn) -> Any:
    """Draw grooves of up to three meters and tempos; hits are not just between two steps."""
    meters, step = [], 0
    for numerator, denominator in draw(st.lists(st.sampled_from(METERS), min_size=1, max_size=3)):
        meters.append((step, numerator, denominator))
        step += 16 * numerator // denominator * draw(st.integers(1, 3))
    qpm = st.floats(30, 300)
    quarters = draw(st.lists(st.integers(1, 60), max_size=2, unique=True))
    tempos = [(quarter, draw(qpm)) for quarter in [0, *sorted(quarters)]]
    offsets = st.floats(-0.49, 0.49)
    steps = [at + draw(offsets) for at in draw(st.lists(st.integers(0, step + 20), max_size=20))]
    return a_sequence(steps, meters, tempos, step)


@given(sequences(), st.sampled_from([16, 12]))
def test_restoring_gives_back_hits_tempo_map_and_meters(sequence: Any, bar_steps: int) -> None:
    timeline = Timeline(sequence, bar_steps)
    flat = NoteSequence()
    flat.CopyFrom(timeline.flatten(sequence))
    restored = timeline.restore(flat)
    for field in ("start_time", "end_time"):
        before = [getattr(note, field) for note in sequence.notes]
        assert np.allclose([getattr(note, field) for note in restored.notes], before, atol=1e-9)
    assert [t.qpm for t in restored.tempos] == [t.qpm for t in sequence.tempos]
    again = Timeline(restored, bar_steps)
    assert again.meters == timeline.meters
    assert again.bars >= timeline.bars


@given(sequences())
def test_hits_are_in_bars_of_the_groove_and_keep_their_offset(sequence: Any) -> None:
    timeline = Timeline(sequence)
    flat = timeline.flatten(sequence)
    mask = np.append(timeline.mask(), True)
    tempo_map = TempoMap.of(sequence)
    for note, before in zip(flat.notes, sequence.notes, strict=True):
        step = note.start_time * timeline.tempo_map.tempos_qpm[0] / 15
        nearest = int(np.floor(step + 0.5))
        assert nearest <= len(mask) - 1
        own = float(tempo_map.to_quarters(before.start_time, 4))
        assert step - nearest == pytest.approx(own - np.floor(own + 0.5), abs=1e-6)
        is_last_32nd = nearest > 0 and mask[nearest - 1]
        assert mask[nearest] or nearest == 0 or is_last_32nd


def test_trimmed_timeline_ends_with_its_bars() -> None:
    sequence = a_sequence([0, 12, 24, 36], [(0, 3, 4)], length=48)
    trimmed = Timeline(sequence).trim(2)
    assert (trimmed.bars, trimmed.model_bars, len(trimmed.mask())) == (2, 2, 32)
    flat = NoteSequence()
    assert trimmed.restore(flat).total_time == 24 * 0.125
