"""GrooveModel: output equal to native Magenta's, reproducible by seed, and errors."""

import functools
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import note_seq
import numpy as np
import pytest
from conftest import SMALL_HPARAMS, TINY_HPARAMS, Export, a_groove
from web_export import random_checkpoint

from groovae.errors import GroovaeError, UsageError
from groovae.generation.groove_model import GrooveModel
from groovae.generation.loading import load_model
from groovae.music.drums import CLOSED_HIHAT
from groovae.music.midi_writer import write_sequence
from groovae.system.log import Log, no_log

Player = Callable[..., GrooveModel]


@pytest.fixture(scope="module")
def native_model(native: Path) -> GrooveModel:
    return load_model(
        native / "checkpoint", hparams=SMALL_HPARAMS, seed=1, batch_size=16, as_hits=False
    )


@pytest.fixture(scope="module")
def native_outputs(native: Path) -> dict[str, np.ndarray]:
    return dict(np.load(native / "native_outputs.npz"))


@pytest.fixture(scope="module")
def loaded(trained_for: Callable[[str], Path]) -> Callable[..., GrooveModel]:
    @functools.cache
    def load(task: str, **options: Any) -> GrooveModel:
        return load_model(trained_for(task), task=task, **options)

    return load


@pytest.fixture
def player(loaded: Callable[..., GrooveModel]) -> Player:
    """A model trained for a task, with its random draws restarted."""

    def fresh(task: str, seed: int = 7, batch_size: int = 8, log: Log = no_log) -> GrooveModel:
        model = loaded(task, batch_size=batch_size)
        model.seed, model.log = seed, log
        model.reset_random()
        return model

    return fresh


@pytest.fixture
def whole(player: Player) -> GrooveModel:
    """A trained model of whole grooves."""
    return player("reconstruct")


def a_beat(bars: int = 4, tempo_qpm: float = 120.0, pitch: int | None = None) -> Any:
    """A quantized rock beat at one velocity; with `pitch`, the rhythm of kick and snare on it."""
    beat = note_seq.NoteSequence(filename="beat.mid")
    beat.tempos.add(qpm=tempo_qpm)
    for step in range(0, 16 * bars, 2):
        drums = [42, *({0: [36], 4: [38], 10: [36], 12: [38]}.get(step % 16, []))]
        for drum in drums if pitch is None else [pitch] * (len(drums) > 1):
            hit(beat, step, drum)
    return beat


def hit(groove: Any, step: float, pitch: int, velocity: int = 80, is_drum: bool = True) -> None:
    """Add a hit at a step, which may be fractional."""
    start = step * 15 / groove.tempos[0].qpm
    note = {"pitch": pitch, "velocity": velocity, "is_drum": is_drum}
    groove.notes.add(start_time=start, end_time=start + 0.05, **note)


def steps_of(groove: Any) -> list[tuple[int, int]]:
    """Return the nearest step and the pitch of each hit, sorted."""
    step_seconds = 15 / groove.tempos[0].qpm
    return sorted((round(note.start_time / step_seconds), note.pitch) for note in groove.notes)


def hits_of(groove: Any) -> list[tuple[float, int, int]]:
    """Return the exact step, pitch and velocity of each hit, sorted."""
    step_seconds = 15 / groove.tempos[0].qpm
    rows = ((note.start_time / step_seconds, note.pitch, note.velocity) for note in groove.notes)
    return sorted((round(step, 4), pitch, velocity) for step, pitch, velocity in rows)


def assert_same_notes(groove: Any, other: Any, velocity: int = 0, steps: float = 1e-4) -> None:
    """Compare notes in order, with tolerances for velocity and time in steps."""
    notes, others = (
        sorted(sequence.notes, key=lambda note: (note.pitch, note.start_time))
        for sequence in (groove, other)
    )
    assert [note.pitch for note in notes] == [note.pitch for note in others]
    for field, atol in (("start_time", steps * 0.125), ("velocity", velocity)):
        ours, theirs = ([getattr(n, field) for n in both] for both in (notes, others))
        np.testing.assert_allclose(ours, theirs, atol=atol, rtol=0)


# Against native Magenta


def test_encode_equals_native(native_model: GrooveModel, native_outputs: dict[str, np.ndarray]):
    inputs = native_outputs["inputs"]
    _, mu, sigma = native_model.trained_model.encode_tensors(list(inputs), [64] * len(inputs))
    np.testing.assert_allclose(mu, native_outputs["mu"], atol=1e-5)
    np.testing.assert_allclose(sigma, native_outputs["sigma"], atol=1e-5)


@pytest.mark.parametrize(("z", "decoded"), [("z", "decoded"), ("mu", "decoded_mu")])
def test_decode_equals_native(
    native_model: GrooveModel, native_outputs: dict[str, np.ndarray], z: str, decoded: str
):
    for temperature in (0, 1e-6):
        ours = native_model.decode_to_tensors(native_outputs[z], 4, temperature)
        np.testing.assert_array_equal(ours[..., :9], native_outputs[decoded][..., :9])
        np.testing.assert_allclose(ours, native_outputs[decoded], atol=1e-5)


def test_reconstruct_equals_native_note_for_note(
    native_model: GrooveModel, native_outputs: dict[str, np.ndarray]
):
    grooves = _written(native_model, native_outputs["inputs"])
    wanted = _written(native_model, native_outputs["decoded_mu"])
    for groove, theirs, inputs in zip(grooves, wanted, native_outputs["inputs"], strict=True):
        segments = native_model.split(groove)
        assert segments.bars == 4
        np.testing.assert_array_equal(segments.outputs[0, :, :9], inputs[:, :9])
        np.testing.assert_allclose(segments.outputs[0], inputs, atol=1e-6)
        assert_same_notes(native_model.reconstruct(groove), theirs, velocity=1, steps=1e-5)
    assert sum(len(theirs.notes) for theirs in wanted) == 28  # few, as the model is small


def test_encode_returns_mu_of_a_groove(
    native_model: GrooveModel, native_outputs: dict[str, np.ndarray]
):
    (first,) = _written(native_model, native_outputs["inputs"][:1])
    np.testing.assert_allclose(native_model.encode(first), native_outputs["mu"][:1], atol=1e-5)


def _written(model: GrooveModel, tensors: np.ndarray) -> list[Any]:
    """Convert tensors to notes by Magenta, at 120 qpm; in float64, as under its native NumPy 1."""
    converter = model.trained_model._config.data_converter
    return converter.from_tensors(tensors.astype(np.float64))


# Sampling


def test_samples_have_drum_notes_tempo_and_meter(native_model: GrooveModel):
    for groove in native_model.sample(num_outputs=3, bars=2, temperature=1.0, tempo_qpm=90):
        assert groove.tempos[0].qpm == 90
        assert groove.total_time == pytest.approx(2 * 4 * 60 / 90)
        assert [(meter.numerator, meter.denominator) for meter in groove.time_signatures] == [
            (4, 4)
        ]
        assert groove.notes
        assert all(note.is_drum for note in groove.notes)
        step_seconds = 60 / 90 / 4
        assert all(
            -step_seconds / 2 <= note.start_time <= groove.total_time for note in groove.notes
        )


def test_sampled_groove_round_trips_through_midi(native_model: GrooveModel, tmp_path: Path):
    for groove in native_model.sample(num_outputs=16, temperature=1.0, tempo_qpm=140):
        moved_ms = write_sequence(tmp_path / "groove.mid", groove)
        back = note_seq.midi_file_to_note_sequence(str(tmp_path / "groove.mid"))
        assert back.tempos[0].qpm == pytest.approx(140, abs=1e-3)
        ours, theirs = (
            sorted((note.pitch, note.start_time + shift) for note in sequence.notes)
            for sequence, shift in ((groove, moved_ms / 1000), (back, 0))
        )
        assert [pitch for pitch, _ in ours] == [pitch for pitch, _ in theirs]
        np.testing.assert_allclose([t for _, t in ours], [t for _, t in theirs], atol=0.0005)


@pytest.mark.parametrize("bars", [1, 4, 5, 11])
def test_sample_has_requested_number_of_bars(native_model: GrooveModel, bars: int):
    for groove in native_model.sample(2, bars=bars, temperature=1.0, tempo_qpm=120):
        assert groove.total_time == 2 * bars
        first, last = (edge(note.start_time for note in groove.notes) for edge in (min, max))
        assert first < 2
        assert 2 * (bars - 1) < last < 2 * bars


def test_drift_0_repeats_the_first_segment(whole: GrooveModel):
    (still,) = whole.sample(bars=10, temperature=0, drift=0)
    whole.reset_random()
    (moving,) = whole.sample(bars=10, temperature=0, drift=0.7)
    segments, moved = (whole.split(groove).outputs for groove in (still, moving))
    assert len(segments) == 3
    np.testing.assert_allclose(segments[1], segments[0], atol=1e-4)
    np.testing.assert_allclose(segments[2, :32], segments[0, :32], atol=1e-4)
    np.testing.assert_allclose(moved[0], segments[0], atol=1e-4)
    assert not np.array_equal(moved[1, :, :9], segments[1, :, :9])


def test_samples_do_not_depend_on_batch_size(native: Path, native_model: GrooveModel):
    one_by_one = load_model(
        native / "checkpoint", hparams=SMALL_HPARAMS, seed=1, batch_size=1, as_hits=False
    )
    native_model.reset_random()
    for ours, theirs in zip(
        native_model.sample(3, bars=8, temperature=1.0),
        one_by_one.sample(3, bars=8, temperature=1.0),
        strict=True,
    ):
        assert_same_notes(ours, theirs, velocity=1)


def test_same_seed_samples_same_grooves(exported: Export):
    folder = exported("sample")
    first, second, other = (load_model(folder, seed=seed) for seed in (5, 5, 6))
    grooves = [model.sample(2, temperature=1.0) for model in (first, second, other)]
    assert grooves[0] == grooves[1]
    assert grooves[0] != grooves[2]
    assert first.sample(2, temperature=1.0) != grooves[0]
    first.reset_random()
    assert first.sample(2, temperature=1.0) == grooves[0]


def test_higher_temperature_gives_more_variety(native_model: GrooveModel):
    z = np.repeat(np.random.RandomState(0).randn(1, 32), 16, axis=0).astype(np.float32)
    spread = [
        native_model.decode_to_tensors(z, 4, temperature)[..., :9].std(axis=0).mean()
        for temperature in (0, 0.5, 2.0)
    ]
    assert spread[0] == 0
    assert spread[0] < spread[1] < spread[2]


# Whole grooves


def test_reconstruction_keeps_length_and_tempo(whole: GrooveModel):
    groove = a_beat(7, tempo_qpm=97.3)
    again = whole.reconstruct(groove, temperature=1.0)
    assert [tempo.qpm for tempo in again.tempos] == [97.3]
    assert again.total_time == pytest.approx(7 * 4 * 60 / 97.3)
    assert max(steps_of(again))[0] in range(6 * 16, 7 * 16)


def test_segments_are_reconstructed_independently(whole: GrooveModel, few_records: Path):
    groove = _performance(few_records)
    long, short = (
        [row for row in hits_of(whole.reconstruct(_first_bars(groove, bars))) if row[0] < 63]
        for bars in (7, 4)
    )
    assert len(short) > 20
    np.testing.assert_allclose(long, short, atol=1e-3)


def test_empty_segments_stay_empty_and_are_logged(whole: GrooveModel):
    groove = note_seq.NoteSequence(filename="late.mid")
    groove.tempos.add(qpm=120)
    for step in (16, 20, 24, 192, 196, 200):  # bars 2 and 13 of 13
        hit(groove, step, 36)
    lines: list[str] = []
    whole.log = lines.append
    again = whole.reconstruct(groove, temperature=1.0)
    assert len(lines) == 1
    assert "late.mid: " in lines[0]
    assert "bars 5 to 12;" in lines[0]
    assert again.total_time == 13 * 2
    segments = whole.split(again).outputs
    assert [bool(segment.any()) for segment in segments] == [True, False, False, True]
    lines.clear()
    rests = note_seq.NoteSequence(filename="rests.mid")
    rests.tempos.add(qpm=120)
    for segment in range(0, 18, 2):
        hit(rests, segment * 64, 36)
    whole.reconstruct(rests)
    assert "17 to 20" not in lines[0]
    assert "37 to 40 and 3 more places" in lines[0]


@pytest.mark.parametrize("temperature", [0.0, 0.7])
def test_interpolation_starts_and_ends_with_reconstructions(whole: GrooveModel, temperature: float):
    start, end = a_beat(6, tempo_qpm=97.3), a_groove(bars=6)
    whole.reset_random()
    first, between, last = whole.interpolate(start, end, 3, temperature)
    for groove, wanted in ((first, start), (last, end)):
        whole.reset_random()
        assert hits_of(groove) == hits_of(whole.reconstruct(wanted, temperature))
        assert groove.tempos[0].qpm == 97.3
    assert hits_of(first) != hits_of(between) != hits_of(last)
    assert {groove.total_time for groove in (first, between, last)} == {first.total_time}


def test_interpolation_between_equal_grooves_is_constant(whole: GrooveModel):
    grooves = whole.interpolate(a_groove(), a_groove(), 4)
    for groove in grooves[1:]:
        assert_same_notes(groove, grooves[0], velocity=1)


def test_interpolation_is_trimmed_to_the_shorter_groove(whole: GrooveModel):
    lines: list[str] = []
    whole.log = lines.append
    short = a_beat(3)
    grooves = whole.interpolate(short, a_groove(bars=7), 3, temperature=1.0)
    assert [groove.total_time for groove in grooves] == [3 * 2] * 3
    assert len(lines) == 1
    assert "3 and 7 bars" in lines[0]
    whole.reset_random()
    assert hits_of(grooves[0]) == hits_of(whole.reconstruct(short, temperature=1.0))


def test_interpolation_starts_silent_where_the_first_groove_is(whole: GrooveModel):
    rests = a_beat(8)
    notes = [note for note in rests.notes if not 0.1 < note.start_time < 8]
    del rests.notes[:]
    rests.notes.extend(note for note in notes if note.start_time >= 8)
    grooves = whole.interpolate(rests, a_beat(8), 3)
    sounds = [any(step < 60 for step, _ in steps_of(groove)) for groove in grooves]
    assert (sounds[0], sounds[2]) == (False, True)


@pytest.mark.parametrize("temperature", [0.0, 0.7])
def test_variation_by_0_is_the_reconstruction(whole: GrooveModel, temperature: float):
    groove = a_groove(bars=6)
    whole.reset_random()
    again = whole.reconstruct(groove, temperature)
    whole.reset_random()
    for varied in whole.vary(groove, 0.0, 2, temperature):
        assert hits_of(varied) == hits_of(again)


def test_larger_amount_gives_more_different_variations(whole: GrooveModel, few_records: Path):
    groove = _first_bars(_performance(few_records), 4)
    again, scores = whole.reconstruct(groove), []
    for amount in (0.4, 0.9):
        varied = whole.vary(groove, amount, 8)
        scores.append(np.mean([whole.compare(again, one)["hit_f1"] for one in varied]))
        assert hits_of(varied[0]) != hits_of(varied[1])
    assert scores[1] < scores[0] < 1


def test_variation_keeps_repetitions(whole: GrooveModel):
    (varied,) = whole.vary(a_beat(8), 0.6)
    segments = whole.split(varied).outputs
    np.testing.assert_allclose(segments[0], segments[1], atol=1e-4)


def test_compare_scores_hits_and_timing(whole: GrooveModel):
    beat, longer = a_beat(4), a_beat(8)
    assert whole.compare(beat, beat)["hit_f1"] == 1
    assert whole.compare(longer, beat)["hit_recall"] == 0.5
    late = a_beat(4)
    for note in late.notes:
        note.start_time += 0.01
    assert whole.compare(beat, late)["timing_mae_ms"] == pytest.approx(10, abs=1e-3)
    assert whole.compare(beat, late)["timing_bias_ms"] == pytest.approx(10, abs=1e-3)


def test_claps_and_pedals_keep_their_pitches(whole: GrooveModel):
    beat = a_beat()
    for note in beat.notes:
        note.pitch = {36: 35, 38: 39, 42: 44}[note.pitch]
    outputs = [whole.reconstruct(beat), *whole.vary(beat, num_outputs=2)]
    outputs += whole.interpolate(beat, beat, num_steps=3)
    for groove in outputs:
        pitches = {note.pitch for note in groove.notes}
        assert pitches
        assert not pitches & {36, 38, 42}


def test_velocities_of_taps_are_kept_by_amount(player: Player):
    taps = a_beat(pitch=38)
    for i, note in enumerate(taps.notes):
        note.velocity = 40 + 5 * i
    beats = [player("tap2drum").tap2drum(taps, velocity_amount=amount) for amount in (0, 0.5, 1)]
    assert beats[2] == player("tap2drum").tap2drum(taps)
    assert [steps_of(beat) for beat in beats] == [steps_of(beats[2])] * 3
    loudest, blended, own = (loudest_by_step(beat) for beat in beats)
    tapped = loudest_by_step(taps)
    both = set(tapped) & set(loudest)
    assert len(both) > 4
    assert {step: loudest[step] for step in both} == {step: tapped[step] for step in both}
    assert all(abs(blended[step] - (loudest[step] + own[step]) / 2) <= 1 for step in both)
    assert all(loudest[step] == own[step] for step in set(own) - set(tapped))


def loudest_by_step(groove: Any) -> dict[int, int]:
    found: dict[int, int] = {}
    for step, _, velocity in hits_of(groove):
        found[round(step)] = max(velocity, found.get(round(step), 0))
    return found


# Tasks


def a_quantized_beat() -> Any:
    """A beat with a roll of 32nds on the snare, and percussion without a drum class."""
    beat = a_beat(4, tempo_qpm=97.3)
    for i in range(16):
        hit(beat, 56 + i / 2, 38)
    hit(beat, 3, 20, velocity=33)
    return beat


def test_humanize_keeps_hits_and_changes_timing_and_velocity(player: Player):
    beat = a_beat(5, tempo_qpm=97.3)
    played = player("humanize").humanize(beat)
    assert steps_of(played) == steps_of(beat)
    late_steps = [step - round(step) for step, _, _ in hits_of(played)]
    assert np.std(late_steps) > 0.02
    assert len({note.velocity for note in played.notes}) > 10
    assert played.tempos[0].qpm == 97.3
    assert played.total_time == pytest.approx(5 * 4 * 60 / 97.3)


def test_humanize_keeps_rolls_and_unknown_percussion(player: Player):
    beat = a_quantized_beat()
    played = player("humanize").humanize(beat)
    pitches = [[note.pitch for note in groove.notes] for groove in (beat, played)]
    assert pitches[0] == pitches[1]
    assert [row for row in hits_of(played) if row[1] == 20] == [(3, 20, 33)]


@pytest.mark.parametrize("velocities", [(100, 60), (60, 100)])
@pytest.mark.parametrize("first_step", [8.0, 8.5])
def test_humanize_keeps_the_spacing_of_a_roll(
    player: Player, velocities: tuple[int, int], first_step: float
):
    beat = a_beat()
    for i in range(8):
        hit(beat, first_step + i / 2, 45, velocity=velocities[i % 2])
    played = player("humanize").humanize(beat, 0)
    roll = [step for step, pitch, _ in hits_of(played) if pitch == 45]
    assert len(roll) == 8
    # Both hits of a step move by the same time.
    assert np.sum(np.abs(np.diff(roll) - 0.5) < 1e-3) >= 3


def test_add_hihat_keeps_a_tambourine(player: Player):
    lines: list[str] = []
    beat = a_beat()  # with 32 hits of its own hi-hat
    hit(beat, 3, 54, velocity=33)  # a tambourine
    played = player("add_hihat", log=lines.append).add_hihat(beat)
    assert (3, 54, 33) in hits_of(played)
    assert len(lines) == 1
    assert "32 hits" in lines[0]


def test_humanize_ignores_velocity_and_timing_of_the_input_but_its_swing(player: Player):
    beat, played_by_hand = a_beat(), a_beat()
    for i, note in enumerate(played_by_hand.notes):
        note.velocity = 30 + i % 90
        note.start_time += 0.01 * (int(note.start_time) % 3)  # half a bar together
    ours, theirs = (player("humanize").humanize(groove) for groove in (beat, played_by_hand))
    assert_same_notes(ours, theirs, velocity=1)


def test_humanize_at_temperature_0_is_deterministic(player: Player):
    cold = [player("humanize", seed).humanize(a_beat(), 0) for seed in (1, 2)]
    warm = [player("humanize", seed).humanize(a_beat(), 1) for seed in (1, 2)]
    assert cold[0] == cold[1]
    assert warm[0] != warm[1]
    assert steps_of(warm[0]) == steps_of(warm[1])


def test_tap2drum_plays_several_drums(player: Player):
    taps = a_beat(6, tempo_qpm=97.3, pitch=38)
    beat = player("tap2drum").tap2drum(taps)
    assert len({note.pitch for note in beat.notes}) > 1
    assert len(beat.notes) > len(taps.notes)
    assert beat.tempos[0].qpm == 97.3
    assert beat.total_time == pytest.approx(6 * 4 * 60 / 97.3)


def test_tap2drum_ignores_pitch_and_velocity(player: Player):
    wanted = player("tap2drum").tap2drum(a_beat(pitch=38))
    cowbell, keys, soft = a_beat(pitch=20), a_beat(pitch=60), a_beat(pitch=36)
    for note in keys.notes:
        note.is_drum = False
    for note in soft.notes:
        note.velocity = 9
    for taps in (cowbell, keys, soft):
        assert hits_of(player("tap2drum").tap2drum(taps)) == hits_of(wanted)
    # In the whole beat the eighths of the hi-hat are taps as well.
    assert hits_of(player("tap2drum").tap2drum(a_beat())) != hits_of(wanted)


def test_tap2drum_ignores_other_notes_beside_drums(player: Player):
    taps = a_beat(pitch=38)
    wanted = player("tap2drum").tap2drum(taps)
    hit(taps, 7, 60, is_drum=False)
    lines: list[str] = []
    assert hits_of(player("tap2drum", log=lines.append).tap2drum(taps)) == hits_of(wanted)
    assert len(lines) == 1
    assert lines[0].startswith("beat.mid: 1 of 17 notes")
    assert "not drums" in lines[0]


def test_add_hihat_keeps_other_drums(player: Player):
    beat = a_quantized_beat()
    hit(beat, 2.1, 44)  # a pedal, of the same class
    for i, note in enumerate(beat.notes):
        note.velocity = 30 + i
    played = player("add_hihat").add_hihat(beat)
    others = [
        [row for row in hits_of(groove) if row[1] not in (42, 44)] for groove in (played, beat)
    ]
    assert others[0] == others[1]
    hihat = [row for row in hits_of(played) if row[1] == 42]
    assert len(hihat) > 4
    assert not {velocity for _, pitch, velocity in hits_of(beat) if pitch == 44}.issubset(
        {velocity for _, pitch, velocity in hits_of(played) if pitch == 44}
    )
    assert hihat != [row for row in hits_of(beat) if row[1] == 42]


def test_add_hihat_ignores_the_existing_hihat(player: Player):
    beat, without = a_beat(), a_beat()
    rest = [note for note in without.notes if note.pitch != 42]
    del without.notes[:]
    without.notes.extend(rest)
    ours, theirs = (player("add_hihat").add_hihat(groove) for groove in (beat, without))
    assert hits_of(ours) == hits_of(theirs)


def test_transfer_keeps_hits_and_tempo_of_the_beat(player: Player, few_records: Path):
    feel, beat = _performance(few_records), a_quantized_beat()
    played = player("transfer").transfer(feel, beat)
    assert [note.pitch for note in played.notes] == [note.pitch for note in beat.notes]
    straight = [row for row in steps_of(played) if row[0] < 54]
    assert straight == [row for row in steps_of(beat) if row[0] < 54]
    assert played.tempos[0].qpm == 97.3
    assert played.total_time == pytest.approx(4 * 4 * 60 / 97.3)
    assert np.std([step - round(step) for step, _, _ in hits_of(played)]) > 0.01
    assert len({note.velocity for note in played.notes}) > 10


def test_transfer_applies_the_segments_of_the_groove_in_turn(player: Player, few_records: Path):
    feel = _performance(few_records)
    model = player("transfer")
    by_two, by_one = (
        model.split(model.transfer(_first_bars(feel, bars), a_beat(8))).outputs for bars in (4, 2)
    )
    np.testing.assert_allclose(by_two[2:], by_two[:2], atol=1e-4)
    np.testing.assert_allclose(by_one[0], by_two[0], atol=1e-4)
    np.testing.assert_allclose(by_one[1], by_one[0], atol=1e-4)
    assert not np.allclose(by_two[1], by_two[0], atol=1e-2)


def test_transfer_conditions_each_segment_on_its_own_hits(player: Player, few_records: Path):
    """The hits are the decoder's controls, and Magenta feeds the same controls to a batch."""
    feel = _first_bars(_performance(few_records), 2)
    model, parts = player("transfer"), []
    for first, second in ((0, 32), (32, 0)):
        beat = note_seq.NoteSequence()
        beat.tempos.add(qpm=120)
        for step in range(16):
            hit(beat, first + 2 * step, 42)
        for step in (0, 6, 10, 12, 20, 27):
            hit(beat, second + step, 36)
            hit(beat, second + step + 1, 38)
        parts.append(model.split(model.transfer(feel, beat)).outputs)
    np.testing.assert_allclose(parts[0], parts[1][::-1], atol=1e-4)


@pytest.mark.parametrize("task", ["humanize", "add_hihat"])
def test_decoder_is_conditioned_on_given_hits(
    player: Player, monkeypatch: pytest.MonkeyPatch, task: str
):
    model, decoded = player(task), []
    decode = model._network.decode

    def record_output(*arguments: Any) -> Any:
        decoded.append(decode(*arguments))
        return decoded[-1]

    monkeypatch.setattr(model._network, "decode", record_output)
    beat = a_quantized_beat()
    getattr(model, task)(beat, temperature=2.0)
    ((tensors, _),) = decoded
    given = [drum for drum in range(9) if (task, drum) != ("add_hihat", CLOSED_HIHAT)]
    np.testing.assert_array_equal(tensors[..., given], model.split(beat).outputs[..., given])


@pytest.mark.parametrize("task", ["humanize", "tap2drum", "add_hihat"])
def test_tasks_do_not_depend_on_batch_size(player: Player, task: str):
    ours, theirs = (
        getattr(player(task, batch_size=size), task)(a_beat(7), temperature=0.7) for size in (8, 1)
    )
    assert_same_notes(ours, theirs, velocity=1)


def _performance(records: Path) -> Any:
    from groovae.upstream import read_records

    return note_seq.NoteSequence.FromString(next(read_records(str(records))))


def _first_bars(groove: Any, bars: int) -> Any:
    seconds = bars * 4 * 60 / groove.tempos[0].qpm - 15 / groove.tempos[0].qpm / 2
    part = note_seq.NoteSequence()
    part.CopyFrom(groove)
    notes = [note for note in groove.notes if note.start_time < seconds]
    del part.notes[:]
    part.notes.extend(notes)
    return part


# Dropped notes and errors


def test_dropped_notes_are_logged(native_model: GrooveModel):
    groove = a_groove(name="take.mid")
    hit(groove, 0, 20)
    hit(groove, 1, 60, is_drum=False)
    hit(groove, 2.0, 36)
    hit(groove, 2.1, 36)
    lines: list[str] = []
    native_model.log = lines.append
    native_model.reconstruct(groove)
    assert len(lines) == 3
    assert all(line.startswith("take.mid: 1 of 36 notes ") for line in lines)
    assert "not drums" in lines[0]
    assert "pitch 20 " in lines[1]
    assert "--drum_map" in lines[1]
    assert "louder" in lines[2]


def test_humanize_logs_nothing_as_it_keeps_all_notes(player: Player):
    lines: list[str] = []
    player("humanize", log=lines.append).humanize(a_quantized_beat())
    assert lines == []


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"bars": 0}, "without drum notes"),
        ({"is_drum": False}, "without drum notes; --all_notes"),
        ({"meters": [(0, 7, 32)]}, "in 7/32"),
        ({"first_at": 1e7}, "longer than 1,000,000 steps"),
    ],
)
def test_unplayable_groove_raises_with_advice(native_model: GrooveModel, change: Any, words: str):
    groove = a_groove(name="take.mid", **change)
    for play in (native_model.reconstruct, native_model.vary, native_model.encode):
        with pytest.raises(GroovaeError) as error:
            play(groove)
        assert str(error.value).startswith(f"take.mid: cannot play a groove {words}")
        assert error.value.exit_code == 1


def test_transfer_model_cannot_sample(player: Player, trained_for: Callable[[str], Path]):
    for wrong in (lambda model: model.sample(), lambda model: model.decode(np.zeros((1, 8)))):
        with pytest.raises(UsageError, match="is for `transfer`"):
            wrong(player("transfer"))
    with pytest.raises(UsageError, match="is for `transfer`"):
        load_model(trained_for("transfer"), task="sample")


@pytest.mark.parametrize("task", ["humanize", "tap2drum", "add_hihat", "transfer"])
def test_whole_groove_model_refuses_other_tasks(native_model: GrooveModel, task: str):
    grooves = [a_beat()] * (2 if task == "transfer" else 1)
    with pytest.raises(UsageError, match=f"`{task}` takes a model of groovae_2bar"):
        getattr(native_model, task)(*grooves)


def test_arguments_out_of_range_are_refused(native_model: GrooveModel):
    for wrong in (
        *({"temperature": -0.1}, {"temperature": np.nan}, {"temperature": np.inf}),
        *({"temperature": 1e300}, {"num_outputs": 10**7}, {"num_outputs": 1.5}),
        *({"bars": 0}, {"num_outputs": 0}, {"drift": -0.1}, {"drift": 1.1}, {"drift": np.nan}),
    ):
        with pytest.raises(UsageError):
            native_model.sample(**wrong)
    for wrong in ({"amount": -0.1}, {"amount": 1.1}, {"num_outputs": 0}, {"temperature": -1}):
        with pytest.raises(UsageError):
            native_model.vary(a_beat(), **wrong)
    for wrong in ({"num_steps": 1}, {"temperature": -1}):
        with pytest.raises(UsageError):
            native_model.interpolate(a_beat(), a_beat(), **wrong)


@pytest.mark.parametrize("seed", [-1, 2**31])
def test_a_seed_out_of_range_is_refused(trained: Path, seed: int):
    with pytest.raises(UsageError, match=f"seed .* got {seed}"):
        load_model(trained, seed=seed)


# Checkpoints


@pytest.mark.parametrize(
    ("hparams", "differs"),
    [
        ("z_size=16", "z_size"),
        ("enc_rnn_size=[32]", "enc_rnn_size"),
        ("dec_rnn_size=[48]", "dec_rnn_size"),
        ("dec_rnn_size=[48,24]", "dec_rnn_size"),
    ],
)
def test_shape_mismatch_names_the_hparam(native: Path, hparams: str, differs: str):
    with pytest.raises(GroovaeError) as error:
        load_model(native / "checkpoint", hparams=_replaced(SMALL_HPARAMS, hparams))
    assert f"differing: {differs})" in str(error.value)


def test_more_layers_in_the_checkpoint_are_refused(tmp_path: Path):
    hparams = TINY_HPARAMS.replace("enc_rnn_size=[8]", "enc_rnn_size=[8,8]")
    random_checkpoint(tmp_path, "groovae_4bar", hparams)
    with pytest.raises(GroovaeError, match=r"differing: enc_rnn_size\)"):
        load_model(tmp_path, hparams=TINY_HPARAMS)


def test_hparams_that_contradict_config_json_are_refused(trained: Path):
    with pytest.raises(UsageError, match="z_size is 4, not 9"):
        load_model(trained, hparams="z_size=9")


def test_damaged_checkpoint_is_refused(trained: Path, tmp_path: Path):
    train_dir = shutil.copytree(trained, tmp_path / "train")
    for suffix in (".data-00000-of-00001", ".index"):
        path = train_dir / f"model.ckpt-3{suffix}"
        path.write_bytes(path.read_bytes()[:100])
        with pytest.raises(GroovaeError, match="damaged"):
            load_model(train_dir)


def test_non_finite_output_is_refused(trained: Path):
    model = load_model(trained)
    with pytest.raises(GroovaeError, match="non-finite"):
        model.decode(np.full((1, 4), np.nan, np.float32))


def _replaced(hparams: str, change: str) -> str:
    """Return `hparams`, separated by commas outside of brackets, with one value changed."""
    name = change.split("=")[0]
    pairs = hparams.replace("[48,48]", "[48;48]").split(",")
    kept = [pair for pair in pairs if not pair.startswith(name)]
    return ",".join([*kept, change]).replace(";", ",")
