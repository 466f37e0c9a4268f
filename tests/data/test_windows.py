"""Tests of groovae.data.windows: windows equal Magenta's bit for bit, and losses are counted."""

import csv
import dataclasses
import hashlib
import itertools
import math
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import KNOWN_PITCHES, a_groove
from hypothesis import event, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from groovae.config import config_map
from groovae.config.config_map import CONFIG_MAP
from groovae.config.controls import add_context
from groovae.config.layout import GM_KIT, TEMPO_BANDS_QPM, Layout, layout_of
from groovae.data import records
from groovae.data.grid import count_windows
from groovae.data.window_report import WindowReport
from groovae.data.windows import SequenceWindows, predicted_drums, to_inputs, to_windows
from groovae.errors import GroovaeError, UsageError
from groovae.music.drums import CLOSED_HIHAT, NEAREST
from groovae.upstream import magenta_data, note_seq

UNKNOWN_PITCHES = sorted(set(range(128)) - set(KNOWN_PITCHES) - set(GM_KIT))
ANY_TIME = st.one_of(st.floats(-99, 99), st.sampled_from([math.nan, math.inf, -math.inf]))
FOUR_BARS = config_map.layout("groovae_4bar")


def windows_of(sequence: Any, **policy: Any) -> tuple[SequenceWindows, WindowReport]:
    report = WindowReport()
    return to_windows(sequence, config_map.layout("groovae_4bar", **policy), report), report


def assert_magentas(sequence: Any, converter: Any, layout: Layout, seed: int) -> int:
    """Compare all arrays bit for bit, and return the number of windows."""
    converter.set_mode("train")
    np.random.seed(seed)  # used by Magenta
    theirs = converter.to_tensors(sequence)
    ours = to_windows(sequence, layout, rng=np.random.RandomState(seed))
    assert len(ours.inputs) == len(theirs.inputs)
    if len(theirs.inputs):
        assert ours.inputs.tobytes() == np.array(theirs.inputs, np.float32).tobytes()
        assert ours.outputs.tobytes() == np.array(theirs.outputs, np.float32).tobytes()
        controls = np.array(theirs.controls, np.float32)
        assert ours.controls.shape == (*ours.outputs.shape[:2], converter.control_depth)
        assert ours.controls.tobytes() == (controls.tobytes() if converter.control_depth else b"")
    return len(ours.inputs)


# Equal to Magenta's


@pytest.mark.slow
def test_windows_of_gmd_equal_magentas(gmd_records: Path, native: Path) -> None:
    with open(native / "groove_windows.tsv", newline="") as file:
        expected = [tuple(row.values()) for row in csv.DictReader(file, delimiter="\t")]
    report, found = WindowReport(), []
    for sequence in records.find(gmd_records):
        outputs = to_windows(sequence, FOUR_BARS, report).outputs
        digest = hashlib.sha256(outputs.tobytes()).hexdigest()
        found.append((sequence.filename, str(len(outputs)), digest if len(outputs) else "-"))
    assert found == expected
    assert (report.sequences, report.used, report.windows) == (1150, 454, 5108)
    assert report.unused == {"shorter than 4 bars": 684, "not in 4/4": 12}
    assert (report.notes, report.not_drums, report.unmapped_pitches) == (445_494, 0, {})


def test_windows_of_gmd_equal_magentas_for_every_config(gmd_records: Path) -> None:
    """Each fourth file is compared for one of the configs."""
    configs = [config_map.get_config(name) for name in sorted(CONFIG_MAP)]
    layouts, windows = [config_map.layout(config) for config in configs], [0] * len(configs)
    for seed, sequence in enumerate(itertools.islice(records.find(gmd_records), None, None, 4)):
        i = seed % len(configs)
        windows[i] += assert_magentas(sequence, configs[i].data_converter, layouts[i], seed)
    assert min(windows) > 100


@pytest.mark.slow
def test_number_of_windows_of_gmd(gmd_records: Path) -> None:
    """With the hop of its length, groovae_4bar has 5,108: see above."""
    configs = (("groovae_4bar", 1), ("groovae_2bar_humanize", 1), ("groovae_2bar_humanize", 2))
    layouts = [config_map.layout(name, hop_bars=hop_bars) for name, hop_bars in configs]
    found = [
        [count_windows(sequence, layout).windows for layout in layouts]
        for sequence in records.find(gmd_records)
    ]
    assert np.sum(found, axis=0).tolist() == [19552, 20676, 10534]


def pitch_classes() -> Any:
    """Return random pitches in three to five classes."""
    return st.lists(st.integers(30, 60), min_size=5, max_size=12, unique=True).flatmap(
        lambda pitches: st.integers(4, 5).map(
            lambda n: [pitches[i::n] for i in range(n) if pitches[i::n]]
        )
    )


CONVERTERS = st.builds(
    magenta_data.GrooveConverter,
    split_bars=st.integers(1, 4),
    steps_per_quarter=st.sampled_from([1, 2, 3, 4, 6, 8]),
    quarters_per_bar=st.integers(2, 5),
    hop_size=st.one_of(st.none(), st.integers(1, 40)),
    pitch_classes=pitch_classes(),
    humanize=st.booleans(),
    tapify=st.booleans(),
    add_instruments=st.one_of(st.none(), st.lists(st.integers(0, 3), max_size=2)),
    hits_as_controls=st.booleans(),
    fixed_velocities=st.booleans(),
    max_note_dropout_probability=st.one_of(st.none(), st.floats(0, 1)),
)
# With values that many notes share: equal times, equal velocities, times between two steps.
TIMES = st.one_of(st.floats(0, 20), st.integers(0, 64).map(lambda i: i / 16))
VELOCITIES = st.one_of(st.integers(1, 127), st.sampled_from([0, 64, 65]))


@settings(max_examples=150)
@given(
    converter=CONVERTERS,
    meters=st.one_of(
        st.none(),  # the converter's own
        st.lists(
            st.tuples(
                st.sampled_from([0.0, 0.0, 1.5]),
                st.sampled_from([2, 3, 4, 4, 5, 8]),
                st.sampled_from([2, 4, 4, 8, 3, 0]),
            ),
            max_size=2,
        ),
    ),
    tempos=st.one_of(
        st.sampled_from([60.0, 120.0, 97.3]).map(lambda qpm: [(0.0, qpm)]),
        st.lists(
            st.tuples(st.sampled_from([0.0, 0.0, 1.5]), st.sampled_from([60.0, 120.0, 97.3])),
            max_size=2,
        ),
    ),
    notes=st.lists(st.tuples(TIMES, st.integers(0, 60), VELOCITIES), min_size=1, max_size=60),
    control_changes=st.sampled_from([[], [], [3.0], [-0.01], [-3.0]]),
    seed=st.integers(0, 2**32 - 1),
)
def test_windows_equal_magentas_for_any_sequence_and_converter(
    converter: Any,
    meters: list[Any] | None,
    tempos: list[Any],
    notes: list[Any],
    control_changes: list[float],
    seed: int,
) -> None:
    if meters is None:
        meters = [(0.0, converter._steps_per_bar // converter._steps_per_quarter, 4)]
    sequence = a_groove(0, tempos, meters)
    pitches = sorted(converter.pitch_class_map)
    for time, pitch, velocity in notes:
        sequence.notes.add(
            start_time=time,
            end_time=time + 0.1,
            pitch=pitches[pitch % len(pitches)],
            velocity=velocity,
            is_drum=True,
        )
    for time in control_changes:
        sequence.control_changes.add(time=time)
    config = config_map.get_config()
    config = config_map.update_config(config, {"data_converter": converter})
    windows = assert_magentas(sequence, converter, config_map.layout(config), seed)
    event("windows" if windows else "none")


# Sequences without windows


@pytest.mark.parametrize(
    ("groove", "reason"),
    [
        ({"tempos": [(0, 120), (2, 90)]}, "with tempo changes"),
        ({"tempos": [(1, 90)]}, "with tempo changes"),  # until then it is 120
        ({"tempos": [(0, 0)]}, "with an impossible tempo or time"),
        ({"tempos": [(0, -120)]}, "with an impossible tempo or time"),
        ({"tempos": [(0, math.nan)]}, "with an impossible tempo or time"),
        ({"tempos": [(0, math.inf)]}, "with an impossible tempo or time"),
        ({"meters": [(0, 4, 4), (4, 3, 4)]}, "with meter changes"),
        ({"meters": [(1, 3, 4)]}, "with meter changes"),  # until then it is 4/4
        ({"meters": [(0, 3, 4)]}, "not in 4/4"),
        ({"meters": [(0, 6, 8)]}, "not in 4/4"),
        ({"meters": [(0, 4, 3)]}, "not in 4/4"),
        ({"meters": [(0, 0, 4)]}, "not in 4/4"),
        ({"bars": 3}, "shorter than 4 bars"),
        ({"bars": 0}, "without drum notes"),
        ({"pitch": 39}, "without drum notes"),
        ({"is_drum": False}, "without drum notes"),
        ({"first_at": -1.0}, "with notes at negative times"),
        ({"first_at": math.nan}, "with an impossible tempo or time"),
        ({"first_at": math.inf}, "with an impossible tempo or time"),
        ({"first_at": 1e6}, "longer than 1,000,000 steps"),
        ({"first_at": 1e300}, "longer than 1,000,000 steps"),
    ],
)
def test_sequence_without_windows_has_a_reason(groove: dict[str, Any], reason: str) -> None:
    windows, report = windows_of(a_groove(**groove))
    shapes = [array.shape for array in windows[:3]]
    assert (shapes, windows.sources) == ([(0, 64, 27), (0, 64, 27), (0, 64, 0)], [])
    assert (report.sequences, report.used, report.windows) == (1, 0, 0)
    assert report.unused == {reason: 1}
    assert f"no window from 1 {reason}" in str(report)


@pytest.mark.parametrize(
    "groove",
    [
        {"bars": 5},
        {"tempos": [], "meters": []},
        {"tempos": [(0, 120), (3, 120)], "meters": [(0, 4, 4), (3, 4, 4)]},
        {"meters": [(0, 2, 2)]},
        {"first_at": -0.01},
    ],
)
def test_sequence_in_one_tempo_and_4_4_has_windows(groove: dict[str, Any]) -> None:
    windows, report = windows_of(a_groove(**groove))
    assert [array.shape for array in windows[:3]] == [(1, 64, 27), (1, 64, 27), (1, 64, 0)]
    assert (report.sequences, report.used, report.windows, report.unused) == (1, 1, 1, {})


def test_notes_without_drum_class_are_counted() -> None:
    sequence = a_groove()
    sequence.notes.add(pitch=39, is_drum=True)
    sequence.notes.add(pitch=56, is_drum=True, start_time=30, end_time=31)
    sequence.notes.add(pitch=36, is_drum=False, start_time=-1)
    windows, report = windows_of(sequence)
    np.testing.assert_array_equal(windows.outputs, windows_of(a_groove())[0].outputs)
    assert report.unmapped_pitches == {39: 1, 56: 1}
    assert (report.notes, report.not_drums) == (35, 1)
    text = str(report)
    assert "2 of 35 notes left out: no drum class holds pitch 39 (hand clap) 1 times, 56" in text
    assert "1 of 35 notes left out: not drums" in text


def notes(pitches: Iterable[int], is_drum: bool, times: Any) -> Any:
    return st.builds(
        note_seq.NoteSequence.Note,
        pitch=st.sampled_from(list(pitches)),
        is_drum=st.just(is_drum),
        velocity=st.integers(-(2**31), 2**31 - 1),
        start_time=times,
        end_time=times,
    )


@given(
    st.integers(0, 9),
    st.lists(
        st.one_of(notes(UNKNOWN_PITCHES, True, ANY_TIME), notes(range(128), False, ANY_TIME)),
        max_size=8,
    ),
    st.randoms(use_true_random=False),
)
def test_notes_without_drum_class_do_not_change_windows(
    bars: int, extra: list[Any], random: Any
) -> None:
    expected, _ = windows_of(a_groove(bars))
    sequence = a_groove(bars)
    for note in extra:
        sequence.notes.insert(random.randint(0, len(sequence.notes)), note)
    windows, report = windows_of(sequence)
    for found, wanted in zip(windows[:3], expected[:3], strict=True):
        np.testing.assert_array_equal(found, wanted)
    assert report.not_drums + report.unmapped_pitches.total() == len(extra)
    assert len(sequence.notes) == bars * 8 + len(extra)  # the sequence is unchanged


@given(
    st.lists(st.tuples(st.floats(0, 9), st.floats(max_value=300)), max_size=2),
    st.lists(st.tuples(st.floats(0, 9), st.integers(-1, 9), st.integers(-1, 9)), max_size=2),
    st.lists(notes(range(128), True, st.floats(-1, 40)), max_size=8),
)
def test_any_sequence_gives_windows_or_a_reason(
    tempos: list[Any], meters: list[Any], drums: list[Any]
) -> None:
    sequence = a_groove(0, tempos, meters)
    sequence.notes.extend(drums)
    windows, report = windows_of(sequence)
    assert report.sequences == 1 == report.used + sum(report.unused.values())
    assert report.windows == len(windows.inputs) == len(windows.outputs)


def test_losses_are_counted() -> None:
    sequence = a_groove(10)
    # A second note in the step and class of the first one; one of another class is kept.
    for pitch in (KNOWN_PITCHES[0], 36):
        sequence.notes.add(start_time=0.01, end_time=0.1, pitch=pitch, velocity=1, is_drum=True)
    _, report = windows_of(sequence)
    assert (report.windows, report.bars, report.bars_lost, report.crowded) == (2, 10, 2, 1)
    assert "2 of 10 bars left out: no whole window" in str(report)
    assert "1 of 82 notes left out: a louder one in the same step" in str(report)


@pytest.mark.parametrize(
    ("hop_bars", "first_bars", "bars_lost"),
    [(None, [0, 4], 2), (1, [0, 1, 2, 3, 4, 5, 6], 0), (3, [0, 3, 6], 0), (5, [0, 5], 2)],
)
def test_hops(hop_bars: int | None, first_bars: list[int], bars_lost: int) -> None:
    sequence = a_groove(10, tempos=[(0, 120.0)])
    windows, report = windows_of(sequence, hop_bars=hop_bars)
    assert [source.first_bar for source in windows.sources] == first_bars
    assert {source[:2] for source in windows.sources} == {("/id/groove.mid", "groove.mid")}
    assert {source.tempo_qpm for source in windows.sources} == {120.0}
    assert report.bars_lost == bars_lost
    every_bar, _ = windows_of(sequence, hop_bars=1)
    for window, bar in zip(windows.outputs, first_bars, strict=True):
        np.testing.assert_array_equal(window, every_bar.outputs[bar])


@pytest.mark.parametrize("hop_bars", [0, -1])
def test_hop_under_one_bar_raises(hop_bars: int) -> None:
    with pytest.raises(UsageError, match="hop_bars must be 1 to "):
        config_map.layout("groovae_4bar", hop_bars=hop_bars)


def test_reports_add_up_and_round_trip_json() -> None:
    total = WindowReport()
    for groove in ({"bars": 9}, {"pitch": 39}, {"is_drum": False}, {"meters": [(0, 3, 4)]}):
        total.add(count_windows(a_groove(**groove), FOUR_BARS))
    assert (total.sequences, total.used, total.windows, total.bars_lost) == (4, 1, 2, 1)
    assert total.unused == {"without drum notes": 2, "not in 4/4": 1}
    assert WindowReport.from_dict(total.as_dict()) == total


# Notes without a class


def test_unmapped_pitches_nearest() -> None:
    sequence = a_groove(pitch=39)
    sequence.notes.add(start_time=0.5, end_time=1, pitch=71, velocity=9, is_drum=True)  # a whistle
    windows, report = windows_of(sequence, unmapped_pitches="nearest")
    expected, _ = windows_of(a_groove(pitch=38))
    np.testing.assert_array_equal(windows.outputs, expected.outputs)
    assert (report.moved_pitches, report.unmapped_pitches) == ({39: 32}, {71: 1})
    assert "32 of 33 notes moved to the nearest drum class: pitch 39 (hand clap)" in str(report)


def test_unmapped_pitches_error() -> None:
    sequence = a_groove()
    sequence.notes.add(pitch=56, is_drum=True)
    with pytest.raises(
        GroovaeError, match=r"groove\.mid: no drum class holds pitch 56 \(cowbell\)"
    ):
        windows_of(sequence, unmapped_pitches="error")
    assert windows_of(a_groove(), unmapped_pitches="error")[1].windows == 1


@pytest.mark.parametrize("pitch", range(128))
def test_pitch_with_a_class_keeps_it(pitch: int) -> None:
    layout = config_map.layout("groovae_4bar", unmapped_pitches="nearest")
    has_own, has_nearest = pitch in layout.class_of, pitch in layout.nearest_class_of
    assert has_own == (pitch in KNOWN_PITCHES or pitch in GM_KIT)
    assert has_nearest == (pitch in NEAREST and not has_own)


def test_all_notes() -> None:
    windows, report = windows_of(a_groove(is_drum=False), all_notes=True)
    np.testing.assert_array_equal(windows.outputs, windows_of(a_groove())[0].outputs)
    assert report.not_drums == 0


# Inputs


def test_note_dropout_removes_notes_from_inputs_only() -> None:
    layout = config_map.layout("groovae_2bar_tap_fixed_velocity_note_dropout")
    taps = config_map.layout("groovae_2bar_tap_fixed_velocity")
    outputs = to_windows(a_groove(40), layout).outputs
    before = outputs.copy()
    whole = to_inputs(outputs, taps)
    draws = [to_inputs(outputs, layout, np.random.RandomState(seed)) for seed in range(20)]
    np.testing.assert_array_equal(outputs, before)
    assert all((draw[..., :9] <= whole[..., :9]).all() for draw in draws)
    shares = [draw[..., :9].sum(axis=(1, 2)) / whole[..., :9].sum(axis=(1, 2)) for draw in draws]
    assert 0.5 < np.mean(shares) < 0.95  # probability: up to 0.8 for soft notes
    assert len({draw.tobytes() for draw in draws}) == 20


@pytest.mark.parametrize(
    ("config", "drums"),
    [
        ("groovae_4bar", list(range(9))),
        ("groovae_2bar_tap_fixed_velocity", list(range(9))),
        ("groovae_2bar_add_closed_hh", [CLOSED_HIHAT]),
        ("groovae_2bar_humanize", []),
        ("groovae_2bar_hits_control_tfds", []),
    ],
)
def test_predicted_drums(config: str, drums: list[int]) -> None:
    assert np.flatnonzero(predicted_drums(config_map.layout(config))).tolist() == drums


@given(arrays(np.float32, (2, 7, 3), elements=st.sampled_from([0.0, 1.0])), st.integers(0, 9))
def test_context_has_the_hits_of_the_steps_around(hits: np.ndarray, num_steps: int) -> None:
    context = add_context(hits, num_steps).reshape(2, 7, 1 + 2 * num_steps, 3)
    for step, distance in np.ndindex(7, 1 + 2 * num_steps):
        other = step + distance - num_steps
        expected = hits[:, other] if 0 <= other < 7 else 0
        np.testing.assert_array_equal(context[:, step, distance], np.broadcast_to(expected, (2, 3)))


@pytest.mark.parametrize(
    ("tempo_qpm", "bands"),
    [
        (120, {54: 1}),
        (240, {90: 1}),
        (30, {0: 1}),  # as the slowest
        (500, {108: 1}),
        (130, {58: 0.8428, 59: 0.1572}),  # 4.1572 bands over 120
    ],
)
def test_tempo_is_in_the_last_controls(tempo_qpm: float, bands: dict[int, float]) -> None:
    groove = a_groove(bars=12, tempos=[(0, tempo_qpm)])
    layout = layout_of("groovae_2bar_humanize_hits")
    controls = to_windows(groove, layout).controls
    expected = np.zeros(len(TEMPO_BANDS_QPM))
    expected[[*bands]] = [*bands.values()]
    tempos = controls[..., -len(expected) :]
    np.testing.assert_allclose(tempos, np.broadcast_to(expected, tempos.shape), atol=1e-4)
    without = dataclasses.replace(layout, tempo_as_control=False)
    played = to_windows(groove, without).controls
    np.testing.assert_array_equal(controls[..., : -len(expected)], played)
