"""The modules of an exported model's page in Node, beside what groovae itself computes."""

import dataclasses
import io
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import mido
import numpy as np
import pytest
from web_export import in_web_modules

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

CUT = """(groove, midi, model, pieces) => pieces.map(([notes, ...options]) => {
  const { windows, ...lost } = groove.windowsOf(notes, ...options);
  const tensors = [...windows].map(([number, hits]) => [number, groove.tensorOf(hits, options[1])]);
  return { tensors, ...lost };
})"""
HEAR = """(groove, midi, model, tensors, flags, addInstruments) => tensors.map((tensor) => {
  const hits = groove.hitsOf(Float32Array.from(tensor));
  return groove.tensorOf(groove.heard(hits, flags, addInstruments), 64);
})"""
WRITE = """(groove, midi, model, pitches, grooves) => grooves.map(([tensor, qpm]) => {
  const hits = groove.hitsOf(Float32Array.from(tensor));
  return midi.writeMidi(hits, tensor.length / 27, qpm, pitches);
})"""
BETWEEN = """(groove, midi, model, a, b, shares, mix) =>
  shares.map((share) => model.between(a, b, share, mix))"""
DRAW = """(groove, midi, model, count) => {
  let state = 1; // of mulberry32
  Math.random = () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
  const { randomZ, randomChances } = model.Model.prototype;
  return [randomZ.call({ zSize: 9 * count }), randomChances.call({ steps: count })];
}"""


def layout_of(config_name: str) -> Layout:
    return config_map.layout(config_map.get_config(config_name))


def sequence_of(notes: list[tuple[float, int, int]], qpm: float) -> Any:
    """Drum notes, each a time, a pitch and a velocity."""
    sequence = NoteSequence()
    sequence.tempos.add(qpm=qpm)
    for time, pitch, velocity in notes:
        sequence.notes.add(
            start_time=time, end_time=time + 0.1, pitch=pitch, velocity=velocity, is_drum=True
        )
    return sequence


def between_steps() -> Iterator[Any]:
    """Notes in the middle between two 16ths and elsewhere, at all tempos, some on top of others."""
    random = np.random.RandomState(4)
    for qpm in [*range(50, 220, 3), 61.2345, 93.000093, 290.0007]:
        tick_seconds = 60 / (qpm * 480)
        ticks = np.concatenate([60 * random.randint(0, 300, 60), random.randint(0, 18000, 60)])
        pitches, velocities = random.randint(25, 90, 120), random.choice([40, 41, 90, 127], 120)
        times = (ticks * tick_seconds).tolist()
        notes = zip(times, pitches.tolist(), velocities.tolist(), strict=True)
        yield sequence_of(list(notes), qpm)


def random_windows(count: int, steps: int = STEPS) -> np.ndarray:
    """float32 [count, steps, 27] with hits of few velocities."""
    random = np.random.RandomState(8)
    hits = random.rand(count, steps, 9) < 0.3
    velocities = random.choice([1, 50, 51, 127], hits.shape) / 127
    offsets = random.uniform(-1, 1, hits.shape)
    # As far as it goes, and what lies in the middle between two ticks of MIDI.
    rare = random.choice([-1, 1, 0, 1 / 32, 5 / 32], hits.shape)
    offsets = np.where(random.rand(*hits.shape) < 0.4, rare, offsets)
    return (np.tile(hits, 3) * np.concatenate([hits, velocities, offsets], axis=-1)).astype("f4")


def assert_cut_alike(sequences: list[Any], layout: Layout, takes_all: bool = False) -> None:
    """The page cuts them to the same windows, bit for bit, and leaves out as many notes."""
    given, wanted, reports = [], [], []
    for sequence in sequences:
        reports.append(WindowReport())
        taken = tap_layout(layout, sequence) if takes_all else layout
        wanted.append(to_segments(sequence, taken, reports[-1]))
        notes = [
            {"time": note.start_time, "pitch": note.pitch, "velocity": note.velocity}
            for note in sequence.notes
        ]
        qpm = wanted[-1].tempo_qpm
        given.append([notes, qpm, layout.window_steps, layout.pitch_classes, takes_all])
    for cut, segments, report in zip(in_web_modules(CUT, given), wanted, reports, strict=True):
        windows = np.zeros_like(segments.outputs)
        for number, tensor in cut["tensors"]:
            windows[number] = np.reshape(tensor, windows.shape[1:])
        np.testing.assert_array_equal(windows, segments.outputs)
        assert len(cut["tensors"]) == segments.outputs.any(axis=(1, 2)).sum()
        assert cut["strange"] == report.unmapped_pitches.total()
        assert cut["crowded"] == report.crowded


@pytest.mark.parametrize("takes_all", [False, True])
def test_a_window_is_cut_as_groovae_cuts_it(takes_all: bool) -> None:
    layout = dataclasses.replace(layout_of("groovae_4bar"), pitch_classes=GM)
    assert_cut_alike(list(between_steps()), layout, takes_all)


def test_performances_are_cut_as_groovae_cuts_them(gmd: Path) -> None:
    files = sorted(gmd.glob("drummer[1-8]/session1/*_beat_4-4.mid"))[::12]
    layout = dataclasses.replace(layout_of("groovae_4bar"), pitch_classes=GM)
    assert len(files) > 10
    assert_cut_alike([groovae.read_sequence(file) for file in files], layout)


@pytest.mark.parametrize("config_name", CONFIGS)
def test_the_encoder_hears_what_it_heard_in_training(config_name: str) -> None:
    layout, windows = layout_of(config_name), random_windows(3)
    flags = {"humanize": layout.humanize, "tapify": layout.tapify}
    heard = in_web_modules(HEAR, windows.reshape(3, -1), flags, layout.add_instruments)
    np.testing.assert_array_equal(np.reshape(heard, windows.shape), to_inputs(windows, layout))


def test_midi_is_written_as_groovae_writes_it() -> None:
    pitches, given, wanted = [drum[0] for drum in GM], [], []
    for window in [*random_windows(8), np.zeros((32, 27), "f4")]:
        for qpm in (120, 51, 93.7, 240, 1000, 4):  # at slow ones there are more ticks
            given.append([window.reshape(-1), qpm])
            groove = from_tensors(window, len(window) // 16, qpm, GM)
            wanted.append(to_midi(groove.notes, qpm, groove.total_time)[0])
    for written, midi in zip(in_web_modules(WRITE, pitches, given), wanted, strict=True):
        read = mido.MidiFile(file=io.BytesIO(bytes(written)))
        assert (read.type, read.ticks_per_beat) == (midi.type, midi.ticks_per_beat)
        assert [list(track) for track in read.tracks] == [list(track) for track in midi.tracks]


def test_latent_space_is_crossed_as_groovae_crosses_it() -> None:
    random = np.random.RandomState(2)
    starts, ends = random.randn(2, 6, 16)
    ends[0], starts[1] = starts[0], 0  # where there is no arc
    lengths = [0, 0.3, 0.5, 0.9, 1]
    crossed, stepped = in_web_modules(
        """(groove, midi, model, starts, ends, lengths) => [model.slerp, model.stepAway].map((go) =>
          lengths.map((length) => starts.map((start, i) => go(start, ends[i], length))))""",
        *(starts, ends, lengths),
    )
    for i, length in enumerate(lengths):
        np.testing.assert_allclose(crossed[i], latent.slerp(starts, ends, length), atol=1e-9)
        np.testing.assert_allclose(stepped[i], latent.step_away(starts, ends, length), atol=1e-9)


def test_velocities_and_offsets_become_those_of_a_hit() -> None:
    random = np.random.RandomState(6)
    tensors, likelihoods = random_windows(1)[0] / 8, random.rand(STEPS, 9) ** 3
    felt = random.rand(STEPS, 9) < 0.5
    script = "(groove, midi, model, ...given) => model.asHits(...given)"
    given = [tensors.reshape(-1), likelihoods.reshape(-1), felt.astype(int).reshape(-1)]
    found = np.reshape(in_web_modules(script, *given), (STEPS, 27))
    found[:, 9:] = np.clip(found[:, 9:], -1, 1)  # as the page does when it reads hits
    wanted = np.where(np.tile(felt, 3), latent.condition_on_hits(tensors, likelihoods), tensors)
    np.testing.assert_allclose(found, wanted, rtol=1e-6)


def a_groove_of(number: int) -> dict[str, Any]:
    """A groove as the page has it, each of its numbers another one than in other grooves."""
    random = np.random.RandomState(number)
    hits = random.rand(STEPS, 9) < 0.2
    own = [
        {"step": int(step), "drum": int(drum), "velocity": 10 * number, "late": 0.1}
        for step, drum in np.argwhere(hits)
    ]
    z, spread = random.randn(2, 16)
    cells = {"chances": np.full(576, number), "given": np.full(576, number % 2)}
    return {"z": z, "spread": spread, **cells, "felt": np.full(576, number % 2), "own": own}


def test_between_two_grooves_each_cell_changes_sides_once() -> None:
    a, b = a_groove_of(1) | {"hits": [1]}, a_groove_of(2) | {"hits": [2]}
    mix, shares = np.random.RandomState(3).rand(576), [0, 0.25, 0.7, 1]
    found = in_web_modules(BETWEEN, a, b, shares, mix)
    for groove, end in ((found[0], a), (found[3], b)):
        assert groove == {name: np.asarray(value).tolist() for name, value in end.items()}
    for groove, share in zip(found[1:3], shares[1:3], strict=True):
        assert "hits" not in groove
        changed = mix < share
        for name in ("chances", "given", "felt"):
            np.testing.assert_array_equal(groove[name], np.where(changed, b[name], a[name]))
        for name in ("z", "spread"):
            np.testing.assert_allclose(groove[name], latent.slerp(a[name], b[name], share))
        sides = [(a, ~changed), (b, changed)]
        wanted = [
            h for end, is_its in sides for h in end["own"] if is_its[9 * h["step"] + h["drum"]]
        ]
        assert groove["own"] == wanted


def test_a_neighbour_differs_in_its_z_alone() -> None:
    groove, noise = a_groove_of(1), np.random.RandomState(1).randn(16)
    script = "(groove, midi, model, ...given) => model.neighbour(...given)"
    found = in_web_modules(script, groove | {"hits": []}, noise, 0.4)
    np.testing.assert_allclose(found.pop("z"), latent.step_away(groove.pop("z"), noise, 0.4))
    assert found == {name: np.asarray(value).tolist() for name, value in groove.items()}


def test_what_is_drawn_has_the_distributions_it_should_have() -> None:
    normal, logistic = in_web_modules(DRAW, 5000)
    shares = np.linspace(0.02, 0.98, 25)
    bound = 5 / math.sqrt(len(normal))  # in standard deviations of a share, less than five
    for drawn, wanted in (
        (normal, np.random.RandomState(1).randn(1_000_000)),
        (logistic, np.random.RandomState(1).logistic(size=1_000_000)),
    ):
        found = np.searchsorted(np.sort(drawn), np.quantile(wanted, shares)) / len(drawn)
        assert np.abs(found - shares).max() < bound / 2


@pytest.mark.parametrize(
    ("strange", "crowded", "words"),
    [
        (0, 0, ""),
        (1, 0, "1 note of other pitches is left out."),
        (3, 0, "3 notes of other pitches are left out."),
        (0, 1, "1 note that came with a louder one of the same drum is left out."),
        (
            *(2, 1200),
            "2 notes of other pitches and 1,200 notes that came with a louder one of the same drum "
            "are left out.",
        ),
    ],
)
def test_what_a_file_loses_is_told(strange: int, crowded: int, words: str) -> None:
    script = "(groove, midi, model, lost) => groove.describeLosses(lost)"
    assert in_web_modules(script, {"strange": strange, "crowded": crowded}) == words
