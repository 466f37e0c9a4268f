"""The bundled model plays grooves of any tempo map and meter, and keeps their bars."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import Groovae
from make_midi import END, KICK, beat, meter, midi, name, notes, tempo

import groovae as package
from groovae.music.midi_writer import write_sequence
from groovae.music.timeline import Timeline

RITARDANDO = b"".join(tempo(120 - 7 * at, 480 if at else 0) for at in range(10))
# Name: the events of the tempo track, and the hits.
FILES = {
    "3/4": (meter(3, 2), beat(8, 3)),
    "6/8": (meter(6, 3), beat(8, 3)),
    "5/4": (meter(5, 2), beat(4, 5)),
    "7/8": (meter(7, 3), [(tick * 7 // 8, pitch) for tick, pitch in beat(4, 4)]),
    "12/8": (meter(12, 3), beat(3, 6)),
    "2/4": (meter(2, 2), beat(8, 2)),
    "2/2": (meter(2, 1), beat(4, 4)),
    "ritardando": (RITARDANDO, beat(4)),
    "pickup": (meter(1, 2) + meter(4, 2, 480), [(240, KICK), *beat(4, start=480)]),
    "3/4 then 4/4": (meter(3, 2) + meter(4, 2, 1440 * 2), [*beat(2, 3), *beat(2, start=1440 * 2)]),
    "last 32nd": (meter(4, 2), [*beat(4), (480 * 16 - 60, KICK)]),
}


@pytest.fixture(scope="module")
def model() -> Any:
    return package.load_model(task="reconstruct", seed=1, log=lambda line: None)


@pytest.fixture(params=FILES)
def groove(request: pytest.FixtureRequest, tmp_path: Path) -> Any:
    marks, hits = FILES[request.param]
    path = tmp_path / "groove.mid"
    path.write_bytes(midi(marks + END, name("Kit") + notes(hits, length=30) + END))
    return package.read_sequence(path)


def ticks_of(sequence: Any) -> list[tuple[float, int]]:
    """Return the 16th and the pitch of each hit."""
    starts = [note.start_time for note in sequence.notes]
    steps = Timeline(sequence).tempo_map.to_quarters(starts, 4)
    pitches = [note.pitch for note in sequence.notes]
    return sorted(zip(np.round(steps, 3).tolist(), pitches, strict=True))


def assert_same_frame(ours: Any, theirs: Any) -> None:
    """Assert that two grooves have the same bars, tempo map and meters."""
    first, second = Timeline(ours), Timeline(theirs)
    assert first.bars == second.bars
    assert first.meters == second.meters
    assert np.allclose(first.tempo_map.quarters, second.tempo_map.quarters, atol=1e-3)
    assert np.allclose(first.tempo_map.tempos_qpm, second.tempo_map.tempos_qpm, atol=0.01)


def test_reconstruction_has_the_bars_and_the_tempo_map(
    model: Any, groove: Any, tmp_path: Path
) -> None:
    played = model.reconstruct(groove)
    assert_same_frame(groove, played)
    assert len(played.notes) > 8
    write_sequence(tmp_path / "played.mid", played, pickup=False)
    again = package.read_sequence(tmp_path / "played.mid")
    assert_same_frame(groove, again)
    assert len(again.notes) == len(played.notes)


def test_no_hit_is_generated_between_bars(model: Any, groove: Any) -> None:
    """Each generated hit lies within half a step of a step of the groove."""
    played = model.vary(groove, amount=1.0, temperature=1.5)[0]
    timeline = Timeline(groove)
    end = Timeline(groove).tempo_map.to_quarters(played.total_time, 4)
    steps = [step for step, _ in ticks_of(played)]
    assert steps
    assert max(steps) < end + 0.5
    mask = timeline.mask()
    flat = timeline.flatten(played)
    for note in flat.notes:
        step = int(np.floor(note.start_time * timeline.tempo_map.tempos_qpm[0] / 15 + 0.5))
        assert any(mask[max(step - 1, 0) : step + 1]) or step >= len(mask)


def test_own_performance_keeps_every_hit(model: Any, groove: Any) -> None:
    """The path of humanize and transfer, with the groove's own performance."""
    from groovae.generation.grooves import apply_performance

    segments = model.split(groove)
    same = apply_performance(segments, segments.outputs)
    assert_same_frame(groove, same)
    assert np.allclose(ticks_of(same), ticks_of(groove), atol=1e-3)


def test_interpolation_of_two_meters_has_the_frame_of_the_first(model: Any, tmp_path: Path) -> None:
    grooves = []
    for label in ("3/4", "ritardando"):
        marks, hits = FILES[label]
        path = tmp_path / "groove.mid"
        path.write_bytes(midi(marks + END, notes(hits) + END))
        grooves.append(package.read_sequence(path))
    steps = model.interpolate(*grooves, num_steps=3)
    assert len(steps) == 3
    for step in steps:
        assert {(m.numerator, m.denominator) for m in step.time_signatures} == {(3, 4)}
        assert Timeline(step).bars == 4  # those of the shorter groove


def test_command_plays_3_4_and_draws_it(in_process: Groovae, tmp_path: Path) -> None:
    marks, hits = FILES["3/4"]
    path = tmp_path / "waltz.mid"
    path.write_bytes(midi(marks + END, notes(hits) + END))
    result = in_process("reconstruct", path, f"--out={tmp_path / 'out.mid'}", "--png", "--seed=1")
    assert result.returncode == 0, result.stderr
    assert_same_frame(package.read_sequence(path), package.read_sequence(tmp_path / "out.mid"))
    bars = [line for line in result.stderr.splitlines() if line.startswith("kick")]
    assert all(len(bar) in (14, 15) for line in bars for bar in line.split("|")[1:-1]), bars


def test_tempo_map_is_written_to_the_tick(tmp_path: Path) -> None:
    marks, hits = FILES["ritardando"]
    data = midi(marks + END, notes(hits, length=60) + END)
    (tmp_path / "in.mid").write_bytes(data)
    sequence = package.read_sequence(tmp_path / "in.mid")
    assert len(sequence.tempos) == 10
    write_sequence(tmp_path / "out.mid", sequence)
    again = package.read_sequence(tmp_path / "out.mid")
    assert ticks_of(again) == ticks_of(sequence)
    assert [t.qpm for t in again.tempos] == pytest.approx([t.qpm for t in sequence.tempos])
