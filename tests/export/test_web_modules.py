"""The JavaScript modules of the page compute the same as groovae; they run in Node."""

import dataclasses
import io
import math
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import mido
import numpy as np
import pytest
from web_export import run_page_modules
from web_page import SEEDED_RANDOM

import groovae
from groovae.config import config_map
from groovae.config.layout import Layout
from groovae.data.grid import to_segments
from groovae.data.window_report import WindowReport
from groovae.data.windows import to_inputs
from groovae.generation.grooves import from_tensors
from groovae.generation.segments import tap_layout
from groovae.model import latent
from groovae.music.drums import GM
from groovae.music.midi_writer import to_midi
from groovae.music.note_sequence import NoteSequence

STEPS = 64
CONFIGS = [
    "groovae_4bar",
    "groovae_2bar_humanize",
    "groovae_2bar_add_closed_hh",
    "groovae_2bar_tap_fixed_velocity",
]

CUT = """(groove, midi, model, files) => files.map(([notes, ...options]) => {
  const { windows, ...skipped } = groove.cutWindows(notes, ...options);
  const tensors = [...windows].map(([number, hits]) => [number, groove.toTensor(hits, options[1])]);
  return { tensors, ...skipped };
})"""
ENCODER_INPUT = """(groove, midi, model, tensors, layouts) => layouts.map((layout) =>
  tensors.map((tensor) => {
    const hits = groove.toHits(Float32Array.from(tensor));
    return groove.toTensor(groove.encoderInput(hits, ...layout), 64);
  }))"""
WRITE = """(groove, midi, model, pitches, grooves) => grooves.map(([tensor, qpm]) => {
  const hits = groove.toHits(Float32Array.from(tensor));
  return midi.writeMidi(hits, tensor.length / 27, qpm, pitches);
})"""
INTERPOLATE = """(groove, midi, model, a, b, shares, switchPoints) =>
  shares.map((share) => model.interpolate(a, b, share, switchPoints))"""
RANDOM = """(groove, midi, model, count) => {
  SEEDED_RANDOM
  const { randomZ, randomNoise } = model.Model.prototype;
  return [randomZ.call({ zSize: 9 * count }), randomNoise.call({ steps: count })];
}""".replace("SEEDED_RANDOM", SEEDED_RANDOM)


def layout_of(config_name: str) -> Layout:
    return config_map.layout(config_map.get_config(config_name))


def sequence_of(notes: list[tuple[float, int, int]], qpm: float) -> Any:
    """Return a sequence of drum notes, each a time, a pitch and a velocity."""
    sequence = NoteSequence()
    sequence.tempos.add(qpm=qpm)
    for time, pitch, velocity in notes:
        sequence.notes.add(
            start_time=time, end_time=time + 0.1, pitch=pitch, velocity=velocity, is_drum=True
        )
    return sequence


def sequences_with_notes_between_steps() -> Iterator[Any]:
    """Yield sequences at many tempos with notes halfway between 16ths, and overlapping notes."""
    random = np.random.RandomState(4)
    for qpm in [*range(50, 220, 3), 61.2345, 93.000093, 290.0007]:
        tick_seconds = 60 / (qpm * 480)
        ticks = np.concatenate([60 * random.randint(0, 300, 60), random.randint(0, 18000, 60)])
        pitches, velocities = random.randint(25, 90, 120), random.choice([40, 41, 90, 127], 120)
        times = (ticks * tick_seconds).tolist()
        notes = zip(times, pitches.tolist(), velocities.tolist(), strict=True)
        yield sequence_of(list(notes), qpm)


def random_windows(count: int) -> np.ndarray:
    """Return float32 [count, STEPS, 27] with many equal velocities."""
    random = np.random.RandomState(8)
    hits = random.rand(count, STEPS, 9) < 0.3
    velocities = random.choice([1, 50, 51, 127], hits.shape) / 127
    offsets = random.uniform(-1, 1, hits.shape)
    # The largest ones, and some halfway between two MIDI ticks.
    rare = random.choice([-1, 1, 0, 1 / 32, 5 / 32], hits.shape)
    offsets = np.where(random.rand(*hits.shape) < 0.4, rare, offsets)
    return (np.tile(hits, 3) * np.concatenate([hits, velocities, offsets], axis=-1)).astype("f4")


def assert_same_windows(
    sequences: list[Any], layout: Layout, uses_all_pitches: bool = False
) -> None:
    """Check that the page cuts the same windows, bit for bit, and skips as many notes."""
    arguments, expected, reports = [], [], []
    for sequence in sequences:
        reports.append(WindowReport())
        file_layout = tap_layout(layout, sequence) if uses_all_pitches else layout
        expected.append(to_segments(sequence, file_layout, reports[-1]))
        notes = [
            {"time": note.start_time, "pitch": note.pitch, "velocity": note.velocity}
            for note in sequence.notes
        ]
        qpm = expected[-1].tempo_qpm
        arguments.append([notes, qpm, layout.window_steps, layout.pitch_classes, uses_all_pitches])
    found = run_page_modules(CUT, arguments)
    for cut, segments, report in zip(found, expected, reports, strict=True):
        windows = np.zeros_like(segments.outputs)
        for number, tensor in cut["tensors"]:
            windows[number] = np.reshape(tensor, windows.shape[1:])
        np.testing.assert_array_equal(windows, segments.outputs)
        assert len(cut["tensors"]) == segments.outputs.any(axis=(1, 2)).sum()
        assert cut["unmapped"] == report.unmapped_pitches.total()
        assert cut["overlapping"] == report.crowded


@pytest.mark.parametrize("uses_all_pitches", [False, True])
def test_cut_windows_of_notes_between_steps(uses_all_pitches: bool) -> None:
    layout = dataclasses.replace(layout_of("groovae_4bar"), pitch_classes=GM)
    assert_same_windows(list(sequences_with_notes_between_steps()), layout, uses_all_pitches)


def test_cut_windows_of_performances(gmd: Path) -> None:
    files = sorted(gmd.glob("drummer[1-8]/session1/*_beat_4-4.mid"))[::12]
    layout = dataclasses.replace(layout_of("groovae_4bar"), pitch_classes=GM)
    assert len(files) > 10
    assert_same_windows([groovae.read_sequence(file) for file in files], layout)


def test_encoder_input_is_that_of_training() -> None:
    layouts, windows = [layout_of(name) for name in CONFIGS], random_windows(3)
    options = [
        [{"humanize": layout.humanize, "tapify": layout.tapify}, layout.add_instruments]
        for layout in layouts
    ]
    found = run_page_modules(ENCODER_INPUT, windows.reshape(3, -1), options)
    for inputs, layout in zip(found, layouts, strict=True):
        np.testing.assert_array_equal(np.reshape(inputs, windows.shape), to_inputs(windows, layout))


def test_midi_file_has_the_events_groovae_writes() -> None:
    pitches, grooves, expected = [drum[0] for drum in GM], [], []
    for window in [*random_windows(8), np.zeros((32, 27), "f4")]:
        for qpm in (120, 51, 93.7, 240, 1000, 4):  # slow tempos have more ticks per quarter
            grooves.append([window.reshape(-1), qpm])
            groove = from_tensors(window, len(window) // 16, qpm, GM)
            expected.append(to_midi(groove.notes, qpm, groove.total_time)[0])
    written = run_page_modules(WRITE, pitches, grooves)
    for data, midi in zip(written, expected, strict=True):
        read = mido.MidiFile(file=io.BytesIO(bytes(data)))
        assert (read.type, read.ticks_per_beat) == (midi.type, midi.ticks_per_beat)
        assert [list(track) for track in read.tracks] == [list(track) for track in midi.tracks]


def test_slerp_and_step_away() -> None:
    random = np.random.RandomState(2)
    starts, ends = random.randn(2, 6, 16)
    ends[0], starts[1] = starts[0], 0  # no arc between them
    shares = [0, 0.3, 0.5, 0.9, 1]
    interpolated, moved = run_page_modules(
        """(groove, midi, model, starts, ends, shares) => [model.slerp, model.stepAway].map((go) =>
          shares.map((share) => starts.map((start, i) => go(start, ends[i], share))))""",
        *(starts, ends, shares),
    )
    for i, share in enumerate(shares):
        expected = latent.slerp(starts, ends, share), latent.step_away(starts, ends, share)
        np.testing.assert_allclose(interpolated[i], expected[0], atol=1e-9)
        np.testing.assert_allclose(moved[i], expected[1], atol=1e-9)


def test_velocities_and_offsets_are_conditioned_on_the_hit() -> None:
    random = np.random.RandomState(6)
    tensors, likelihoods = random_windows(1)[0] / 8, random.rand(STEPS, 9) ** 3
    conditioned = random.rand(STEPS, 9) < 0.5
    script = "(groove, midi, model, ...args) => model.conditionOnHits(...args)"
    arrays = [tensors.reshape(-1), likelihoods.reshape(-1), conditioned.astype(int).reshape(-1)]
    found = np.reshape(run_page_modules(script, *arrays), (STEPS, 27))
    found[:, 9:] = np.clip(found[:, 9:], -1, 1)  # as toHits does
    expected = np.where(
        np.tile(conditioned, 3), latent.condition_on_hits(tensors, likelihoods), tensors
    )
    np.testing.assert_allclose(found, expected, rtol=1e-6)


def page_groove(number: int) -> dict[str, Any]:
    """Return a groove of the page whose values differ from those of other numbers."""
    random = np.random.RandomState(number)
    hits = random.rand(STEPS, 9) < 0.2
    kept = [
        {"step": int(step), "drum": int(drum), "velocity": 10 * number, "late": 0.1}
        for step, drum in np.argwhere(hits)
    ]
    z, spread = random.randn(2, 16)
    cells = {
        "noise": np.full(576, number),
        "forced": np.full(576, number % 2),
        "conditioned": np.full(576, number % 2),
    }
    return {"z": z, "spread": spread, **cells, "kept": kept}


def test_interpolation_switches_each_cell_once() -> None:
    a, b = page_groove(1) | {"hits": [1]}, page_groove(2) | {"hits": [2]}
    switch_points, shares = np.random.RandomState(3).rand(576), [0, 0.25, 0.7, 1]
    found = run_page_modules(INTERPOLATE, a, b, shares, switch_points)
    for groove, end in ((found[0], a), (found[3], b)):
        assert groove == {name: np.asarray(value).tolist() for name, value in end.items()}
    for groove, share in zip(found[1:3], shares[1:3], strict=True):
        assert "hits" not in groove
        is_b = switch_points < share
        for name in ("noise", "forced", "conditioned"):
            np.testing.assert_array_equal(groove[name], np.where(is_b, b[name], a[name]))
        for name in ("z", "spread"):
            np.testing.assert_allclose(groove[name], latent.slerp(a[name], b[name], share))
        assert groove["kept"] == [
            hit
            for end, cells in ((a, ~is_b), (b, is_b))
            for hit in end["kept"]
            if cells[9 * hit["step"] + hit["drum"]]
        ]


def test_variation_changes_only_z() -> None:
    groove, direction = page_groove(1), np.random.RandomState(1).randn(16)
    script = "(groove, midi, model, ...args) => model.varied(...args)"
    found = run_page_modules(script, groove | {"hits": []}, direction, 0.4)
    expected = latent.step_away(groove.pop("z"), direction, 0.4)
    np.testing.assert_allclose(found.pop("z"), expected)
    assert found == {name: np.asarray(value).tolist() for name, value in groove.items()}


def test_random_values_are_normal_and_logistic() -> None:
    normal, logistic = run_page_modules(RANDOM, 5000)
    shares = np.linspace(0.02, 0.98, 25)
    bound = 5 / math.sqrt(len(normal))  # five standard deviations, or more, of a share
    for values, expected in (
        (normal, np.random.RandomState(1).randn(1_000_000)),
        (logistic, np.random.RandomState(1).logistic(size=1_000_000)),
    ):
        found = np.searchsorted(np.sort(values), np.quantile(expected, shares)) / len(values)
        assert np.abs(found - shares).max() < bound / 2


def test_skipped_notes_are_described() -> None:
    counts = [(0, 0), (1, 0), (3, 0), (0, 1), (2, 1200)]
    script = "(groove, midi, model, counts) => counts.map(groove.describeSkipped)"
    losses = [
        {"unmapped": unmapped, "overlapping": overlapping} for unmapped, overlapping in counts
    ]
    found = run_page_modules(script, losses)
    expected = ["", "1 note ", "3 notes ", "1 note ", "2 notes .* and 1,200 notes "]
    for text, pattern in zip(found, expected, strict=True):
        assert re.search(pattern, text) if pattern else not text
