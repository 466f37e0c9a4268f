"""Tests of groovae.data.grid.to_segments: all bars of a sequence in adjacent windows."""

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import a_groove
from hypothesis import given
from hypothesis import strategies as st

from groovae.config import config_map
from groovae.data.grid import NO_CLASS, NO_DRUM, Segments, to_segments
from groovae.data.window_report import WindowReport
from groovae.data.windows import to_windows
from groovae.errors import GroovaeError
from groovae.music.drums import CLOSED_HIHAT, KICK, SNARE
from groovae.upstream import note_seq

FOUR_BARS = config_map.layout("groovae_4bar")
BAR_SECONDS = 2.0  # at 120 qpm


def segments_of(sequence: Any, **policy: Any) -> tuple[Segments, WindowReport]:
    report = WindowReport()
    return to_segments(sequence, config_map.layout("groovae_4bar", **policy), report), report


@pytest.mark.parametrize("bars", [1, 3, 4, 5, 7, 8, 9])
def test_segments_hold_all_bars_and_pad_the_last(bars: int) -> None:
    segments, _ = segments_of(a_groove(bars=bars))
    num = math.ceil(bars / 4)
    assert segments.outputs.shape == (num, 64, 27)
    assert segments.outputs.dtype == np.float32
    assert segments.bars == bars
    assert not segments.outputs.reshape(-1, 27)[16 * bars :].any()
    whole = to_windows(a_groove(bars=bars), FOUR_BARS)
    np.testing.assert_array_equal(segments.outputs[: len(whole.outputs)], whole.outputs)


def test_segments_equal_windows(gmd: Path) -> None:
    path = gmd / "drummer1" / "session1" / "1_funk_80_beat_4-4.mid"
    sequence = note_seq.midi_file_to_note_sequence(str(path))
    segments, _ = segments_of(sequence)
    windows = to_windows(sequence, FOUR_BARS)
    assert len(windows.outputs) == 7
    np.testing.assert_array_equal(segments.outputs[: len(windows.outputs)], windows.outputs)
    assert segments.tempo_qpm == pytest.approx(80, abs=0.01)


@given(st.integers(0, 9))
def test_first_bar_starts_at_time_0(empty_bars: int) -> None:
    segments, _ = segments_of(a_groove(bars=2, first_at=empty_bars * BAR_SECONDS))
    steps = segments.outputs.reshape(-1, 27)
    assert segments.bars == empty_bars + 2
    assert not steps[: 16 * empty_bars].any()
    assert steps[16 * empty_bars].any()


@pytest.mark.parametrize("qpm", [30.0, 97.3, 240.0])
def test_step_seconds(qpm: float) -> None:
    segments, _ = segments_of(a_groove(bars=1, tempos=[(0, qpm)]))
    assert segments.tempo_qpm == qpm
    assert segments.step_seconds == pytest.approx(60 / qpm / 4)


def test_cells() -> None:
    sequence = note_seq.NoteSequence()
    rows = [
        (0.0, 36, 80, True),
        (0.02, 36, 90, True),  # the same 16th, and louder
        (0.5, 20, 70, True),  # no class
        (0.5, 38, 70, False),  # not a drum
        (2.26, 42, 70, True),
        (0.49, 38, 60, True),
    ]
    for start, pitch, velocity, is_drum in rows:
        sequence.notes.add(
            start_time=start, end_time=start + 0.1, pitch=pitch, velocity=velocity, is_drum=is_drum
        )
    segments, report = segments_of(sequence)
    late = (16 + 2) * 9 + CLOSED_HIHAT
    assert segments.cells.tolist() == [KICK, KICK, NO_CLASS, NO_DRUM, late, 4 * 9 + SNARE]
    hits, velocities, offsets = np.split(segments.outputs.reshape(-1, 27), 3, axis=-1)
    assert np.flatnonzero(hits).tolist() == [KICK, 4 * 9 + SNARE, late]
    assert velocities[0, KICK] == np.float32(90 / 127)
    assert offsets[0, KICK] == pytest.approx(-0.02 / 0.125 * 2)
    assert offsets[4, SNARE] == pytest.approx(0.01 / 0.125 * 2)
    assert (report.crowded, report.not_drums, dict(report.unmapped_pitches)) == (1, 1, {20: 1})
    everything, _ = segments_of(sequence, all_notes=True)
    assert everything.cells[3] == 4 * 9 + SNARE


@pytest.mark.parametrize(
    ("sequence", "reason"),
    [
        (a_groove(bars=0), "without drum notes"),
        (a_groove(is_drum=False), "without drum notes"),
        (a_groove(pitch=20), "without drum notes"),
        (a_groove(meters=[(0, 7, 32)]), "in 7/32, which does not fit a grid of 16ths"),
        (a_groove(tempos=[(0, 0)]), "with an impossible tempo or time"),
        (a_groove(first_at=math.nan), "with an impossible tempo or time"),
        (a_groove(first_at=-1.0), "with notes at negative times"),
        (a_groove(first_at=1e7), "longer than 1,000,000 steps"),
    ],
)
def test_sequence_that_cannot_be_cut_raises(sequence: Any, reason: str) -> None:
    with pytest.raises(GroovaeError, match=f"^{reason}$"):
        to_segments(sequence, FOUR_BARS, WindowReport())


@pytest.mark.parametrize(
    ("total_seconds", "bars"),
    [(0, 3), (5, 3), (6, 3), (6.9, 3), (7.1, 4), (8, 4), (8.4, 4), (24, 12)],
)
def test_total_time_adds_rests(total_seconds: float, bars: int) -> None:
    groove = a_groove(bars=3)
    groove.total_time = total_seconds
    assert segments_of(groove)[0].bars == bars


def test_too_long_total_time_raises() -> None:
    groove = a_groove(bars=3)
    groove.total_time = 1e6
    with pytest.raises(GroovaeError, match=r"longer than 1,000,000 steps"):
        segments_of(groove)


@pytest.mark.parametrize("meter", [(4, 4), (2, 2), (8, 8)])
def test_meters_equal_to_4_4(meter: tuple[int, int]) -> None:
    segments, _ = segments_of(a_groove(bars=5, meters=[(0, *meter)]))
    assert segments.bars == 5


def test_early_hit_belongs_to_the_next_bar() -> None:
    sequence = a_groove(bars=1)
    sequence.notes.add(start_time=1.95, end_time=2.05, pitch=36, velocity=99, is_drum=True)
    segments, _ = segments_of(sequence)
    assert segments.bars == 2
    assert segments.outputs[0, 16, 18 + KICK] == pytest.approx(0.05 / 0.125 * 2)
