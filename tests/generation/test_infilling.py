"""Infill: the part that is kept stays as it is, on random beats, and the rest is generated."""

from pathlib import Path
from typing import Any

import mido
import numpy as np
import pytest
from conftest import Groovae, assert_one_line
from hypothesis import given, settings
from hypothesis import strategies as st

from groovae.data.grid import to_segments
from groovae.data.window_report import WindowReport
from groovae.errors import UsageError
from groovae.generation import infilling
from groovae.generation.bundled import FOLDER
from groovae.generation.groove_model import GrooveModel
from groovae.generation.loading import load_model
from groovae.music.drums import CLOSED_HIHAT, CRASH, KICK, OPEN_HIHAT, RIDE, SNARE, find_drums
from groovae.music.midi_writer import write_sequence
from groovae.music.note_sequence import NoteSequence
from groovae.system.log import no_log

# 20 has no drum class.
PITCHES = {
    36: KICK,
    40: SNARE,
    42: CLOSED_HIHAT,
    46: OPEN_HIHAT,
    51: RIDE,
    20: -1,
}  # 20 has no drum class
Hit = tuple[int, int, int]

hits = st.lists(
    st.tuples(st.integers(0, 4 * 1920 - 60), st.sampled_from([*PITCHES]), st.integers(1, 127)),
    max_size=60,
)


@pytest.fixture(scope="module")
def model() -> GrooveModel:
    return load_model(FOLDER, seed=5, batch_size=64, log=no_log)


def a_beat(hits: list[Hit], tempo_qpm: float = 97.3, bars: int = 4) -> Any:
    """Return a groove with hits at (tick, pitch, velocity), 480 ticks a quarter, and kicks."""
    groove = NoteSequence(total_time=bars * 240 / tempo_qpm)
    groove.tempos.add(qpm=tempo_qpm)
    kicks = [(1920 * bar, 36, 90) for bar in range(bars)]
    for tick, pitch, velocity in [*kicks, *hits]:
        start = tick * 60 / 480 / tempo_qpm
        groove.notes.add(
            pitch=pitch, velocity=velocity, start_time=start, end_time=start + 0.1, is_drum=True
        )
    return groove


def rock(bars: int = 4) -> Any:
    """Return a rock beat with the snare at pitch 40."""
    pattern = [(8 * 30 * i, 42, 70) for i in range(8)] + [(480, 40, 100), (1440, 40, 100)]
    hits = [(1920 * bar + tick, pitch, v) for bar in range(bars) for tick, pitch, v in pattern]
    return a_beat(hits, bars=bars)


def notes_of(groove: Any, kept: Any) -> list[tuple[float, float, int, int]]:
    """Return the fields of the notes for whose bar (from 1) and drum `kept` returns True."""
    step_seconds = 15 / groove.tempos[0].qpm
    return sorted(
        (note.start_time, note.end_time, note.pitch, note.velocity)
        for note in groove.notes
        if kept(int(note.start_time / step_seconds + 0.5) // 16 + 1, PITCHES.get(note.pitch, -2))
    )


@settings(max_examples=15, deadline=None)
@given(hits=hits, bars=st.sampled_from([None, (1, 1), (2, 3), (4, 4)]), seed=st.integers(0, 99))
def test_what_is_kept_stays(
    model: GrooveModel, hits: list[Hit], bars: tuple[int, int] | None, seed: int
) -> None:
    groove, drums = a_beat(hits), ["hihat", "ride"]
    first, last = bars or (1, 4)

    def kept(bar: int, drum: int) -> bool:
        return drum not in (CLOSED_HIHAT, OPEN_HIHAT, RIDE) or not first <= bar <= last

    model._random.seed(seed)
    infilled = model.infill(groove, bars, drums, temperature=1.0)
    assert notes_of(infilled, kept) == notes_of(groove, kept)
    assert infilled.total_time == pytest.approx(groove.total_time)


def test_infill_repeats_by_seed_and_uses_the_pitches_of_the_groove(model: GrooveModel) -> None:
    groove = rock()
    model.reset_random()
    first = model.infill(groove, bars=(3, 4))
    model.reset_random()
    assert model.infill(groove, bars=(3, 4)) == first
    later = {note.pitch for note in first.notes if note.start_time > groove.total_time / 2 - 0.1}
    assert {36, 40, 42} <= later
    assert 38 not in later


def test_a_drum_that_is_hidden_in_all_bars_is_generated(model: GrooveModel) -> None:
    groove = rock(bars=6)
    infilled = model.infill(groove, drums=[CLOSED_HIHAT], temperature=0)
    hihats = [note.start_time for note in infilled.notes if note.pitch == 42]
    bars = np.floor(np.array(hihats) / (240 / 97.3) + 0.01).astype(int)
    assert set(bars.tolist()) == set(range(6))


def test_bars_are_those_of_the_groove(model: GrooveModel) -> None:
    groove = rock()
    groove.time_signatures.add(numerator=3, denominator=4)
    infilled = model.infill(groove, bars=(5, 5))
    start = 4 * 180 / 97.3
    before = [n.start_time for n in groove.notes if n.start_time < start - 0.08]
    assert [n.start_time for n in infilled.notes if n.start_time < start - 0.2] == pytest.approx(
        [time for time in before if time < start - 0.2]
    )


@pytest.mark.parametrize(
    "part",
    [
        {},
        {"bars": (1, 4)},
        {"bars": (0, 1)},
        {"bars": (3, 5)},
        {"bars": (3, 2)},
        {"bars": 3},
        {"drums": ["tuba"]},
        {"drums": [9]},
        {"drums": range(9)},
    ],
)
def test_wrong_parts_are_usage_errors(model: GrooveModel, part: dict[str, Any]) -> None:
    with pytest.raises(UsageError):
        model.infill(rock(), **part)


@pytest.mark.parametrize(("bars", "added"), [(4, 8), (6, 2), (2, 1), (5, 7)])
def test_extend_adds_bars_and_keeps_its_own(model: GrooveModel, bars: int, added: int) -> None:
    groove = rock(bars)
    longer = model.extend(groove, added, temperature=0.3)
    bar_seconds = 240 / 97.3
    assert longer.total_time == pytest.approx((bars + added) * bar_seconds)
    assert notes_of(longer, lambda bar, drum: bar <= bars) == notes_of(groove, lambda *_: True)
    found = {int(note.start_time / bar_seconds + 0.01) for note in longer.notes}
    assert found == set(range(bars + added))


def test_extend_keeps_the_meter(model: GrooveModel) -> None:
    groove = rock(3)
    groove.time_signatures.add(numerator=3, denominator=4)
    groove.total_time = 4 * 180 / 97.3
    longer = model.extend(groove, 4)
    assert longer.total_time == pytest.approx(8 * 180 / 97.3)
    assert [(mark.numerator, mark.denominator) for mark in longer.time_signatures] == [(3, 4)]


def test_fill_changes_only_each_nth_bar(model: GrooveModel) -> None:
    groove = rock(9)
    filled = model.fill(groove, every=4)

    def kept(bar: int, drum: int) -> bool:
        return bar % 4 != 0

    assert notes_of(filled, kept) == notes_of(groove, kept)
    assert notes_of(filled, lambda *_: True) != notes_of(groove, lambda *_: True)
    assert filled.total_time == pytest.approx(groove.total_time)
    with pytest.raises(UsageError):
        model.fill(rock(3), every=4)


def test_fills_have_more_toms_than_the_bars_before(model: GrooveModel) -> None:
    model.reset_random()
    filled = model.fill(rock(32), every=2, temperature=1.0)
    toms = [note for note in filled.notes if note.pitch in (43, 45, 47, 48, 50)]
    assert len(toms) > 16


def test_drums_by_name() -> None:
    assert find_drums("ride") == find_drums(["Ride", 8]) == [RIDE]
    assert find_drums(["hihat", "closed_hihat", "closed hi-hat"]) == [CLOSED_HIHAT, OPEN_HIHAT]
    assert find_drums(["toms", "crash"]) == [4, 5, 6, CRASH]


@pytest.mark.parametrize(
    ("hidden", "sources"),
    [("..xx", [0, 1, 0, 1]), (".x.x", [0, 0, 2, 2]), ("xx..", [2, 3, 2, 3]), (".xxx", [0] * 4)],
)
def test_copies_are_of_the_bars_before(hidden: str, sources: list[int]) -> None:
    is_hidden = np.array([mark == "x" for mark in hidden])
    assert infilling.source_bars(is_hidden).tolist() == sources


def test_mean_of_nearest_compares_kept_hits_only(model: GrooveModel) -> None:
    window = to_segments(rock(), model.layout, WindowReport()).outputs
    draws = np.zeros((2 * infilling.NUM_NEAREST, *window.shape[1:]), np.float32)
    draws[infilling.NUM_NEAREST :] = window
    kept = np.ones((1, window.shape[1], 9), bool)
    kept[..., CLOSED_HIHAT] = False
    mean = infilling.mean_of_nearest(window * np.tile(kept, 3), kept, draws)
    np.testing.assert_allclose(mean, window)


def test_infill_command_keeps_ticks(
    in_process: Groovae, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    write_sequence("beat.mid", rock())
    model = (f"--checkpoint={FOLDER}", "--seed=1")
    result = in_process("infill", "beat.mid", "--bars=3-4", "--drums=hihat,ride", *model)
    assert result.returncode == 0, result.stderr
    assert result.stdout == "beat-infill.mid\n"
    before, after = (_snares_and_kicks(name) for name in ("beat.mid", "beat-infill.mid"))
    assert before == after
    for command in (["continue", "beat.mid", "--bars=2"], ["fill", "beat.mid", "--every=2"]):
        result = in_process(*command, *model)
        assert result.returncode == 0, result.stderr
        assert result.stdout == f"beat-{command[0]}.mid\n"
    for wrong in (["--bars=4-x"], ["--drums=tuba"], [], ["--bars=9"]):
        assert_one_line(in_process("infill", "beat.mid", *wrong, *model), 2)


def _snares_and_kicks(file: str) -> list[tuple[int, int, int]]:
    (track,) = mido.MidiFile(file).tracks
    ticks = np.cumsum([message.time for message in track]).tolist()
    return [
        (tick, message.note, message.velocity)
        for tick, message in zip(ticks, track, strict=True)
        if message.type == "note_on" and message.velocity and message.note in (36, 40)
    ]
