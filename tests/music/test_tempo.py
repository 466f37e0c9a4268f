"""Tempo maps convert between seconds and quarters."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from groovae.music.note_sequence import NoteSequence
from groovae.music.tempo import TempoMap

MARKS = st.lists(
    st.tuples(st.floats(0.01, 100), st.floats(10, 500)),
    min_size=1,
    max_size=5,
    unique_by=lambda m: m[0],
)


@given(MARKS, st.lists(st.floats(-1, 500), min_size=1))
def test_times_come_back(marks: list[tuple[float, float]], quarters: list[float]) -> None:
    marks = [(0.0, 120.0), *sorted(marks)]
    tempo_map = TempoMap(*zip(*marks, strict=True))
    assert np.allclose(tempo_map.to_quarters(tempo_map.to_seconds(quarters)), quarters)
    seconds = tempo_map.to_seconds(sorted(quarters))
    assert (np.diff(seconds) >= 0).all()


def test_constant_tempo_has_the_arithmetic_of_a_grid() -> None:
    """Bit for bit, so that what is written does not depend on the tempo map."""
    tempo_map, seconds = TempoMap([0], [93.7]), np.random.default_rng(0).random(1000) * 300
    assert (tempo_map.to_quarters(seconds, 1920) == seconds * (1920 * 93.7 / 60)).all()
    assert (tempo_map.to_quarters(seconds, 4) == seconds * (4 * 93.7 / 60)).all()


def test_tempo_before_the_first_mark_is_120() -> None:
    sequence = NoteSequence()
    sequence.tempos.add(time=1, qpm=60)
    tempo_map = TempoMap.of(sequence)
    assert tempo_map.tempos_qpm.tolist() == [120, 60]
    assert tempo_map.quarters.tolist() == [0, 2]
    assert [tempo_map.tempo_at(at) for at in (0, 1.9, 2, 9)] == [120, 120, 60, 60]
