"""read_complete returns what a DAW shows: every hit, any tempo map and meter, all tracks."""

import collections
import csv
from pathlib import Path
from typing import Any

import mido
import numpy as np
import pytest
from conftest import Groovae
from hypothesis import given
from hypothesis import strategies as st
from make_midi import END, KICK, SNARE, beat, meta, meter, midi, name, notes, tempo

import groovae as package
from groovae.errors import GroovaeError
from groovae.music.midi_complete import read_complete

BEAT = notes(beat()) + END


def read(data: bytes, drums: str = "auto") -> Any:
    return read_complete(data, drums)[0]


def tempos_of(sequence: Any) -> list[tuple[float, float]]:
    return [(round(mark.time, 6), round(mark.qpm, 6)) for mark in sequence.tempos]


def meters_of(sequence: Any) -> list[tuple[float, int, int]]:
    marks = sequence.time_signatures
    return [(round(mark.time, 6), mark.numerator, mark.denominator) for mark in marks]


def ticks_of(sequence: Any) -> list[tuple[int, int]]:
    """Return (tick, pitch) of each drum note at 120 qpm."""
    drums = (note for note in sequence.notes if note.is_drum)
    return [(round(note.start_time * 960), note.pitch) for note in drums]


@pytest.mark.parametrize("length", [0, 1, 60])
def test_hit_needs_no_length(length: int) -> None:
    sequence = read(midi(notes(beat(), length) + END))
    assert ticks_of(sequence) == beat()
    ends = {round((note.end_time - note.start_time) * 960) for note in sequence.notes}
    assert ends == {length or 120}


def test_hit_without_a_note_off_is_kept() -> None:
    events = b"".join(b"\x60\x99" + bytes([pitch, 90]) for pitch in (KICK, SNARE, KICK))
    assert [note.pitch for note in read(midi(events + END)).notes] == [KICK, SNARE, KICK]


def test_overlapping_notes_are_kept_in_order() -> None:
    events = b"\0\x99\x24\x40\x30\x99\x24\x50\x30\x89\x24\0\x30\x89\x24\0" + END
    ends = [(note.velocity, round(note.end_time * 960)) for note in read(midi(events)).notes]
    assert ends == [(0x40, 96), (0x50, 144)]


@given(st.lists(st.tuples(st.booleans(), st.sampled_from([36, 38]), st.integers(0, 3))))
def test_each_note_off_ends_the_first_note_that_sounds(events: list[tuple[bool, int, int]]) -> None:
    data, now = b"", 0
    sounding: dict[int, list[list[int]]] = collections.defaultdict(list)
    expected = []
    for is_on, pitch, delta in events:
        now += delta
        data += bytes([delta, 0x99 if is_on else 0x89, pitch, 64])
        if is_on:
            expected.append([now, now + 120, pitch])
            sounding[pitch].append(expected[-1])
        elif sounding[pitch]:
            note = sounding[pitch].pop(0)
            note[1] = now if now > note[0] else note[1]
    found = [
        [round(note.start_time * 960), round(note.end_time * 960), note.pitch]
        for note in read(midi(data + END)).notes
    ]
    assert sorted(found) == sorted(expected)


@pytest.mark.parametrize("at", [0, 1])
def test_tempo_and_meter_are_read_from_any_track(at: int) -> None:
    marks = tempo(90, at) + meter(3, 2) + END
    for tracks in ([marks, BEAT], [END, marks, BEAT], [BEAT, marks]):
        sequence = read(midi(*tracks))
        assert tempos_of(sequence) == [(0, pytest.approx(90, abs=1e-3))]
        assert meters_of(sequence) == [(0, 3, 4)]


def test_last_tempo_within_the_first_16th_is_that_of_the_start() -> None:
    assert tempos_of(read(midi(tempo(120) + tempo(60, 1) + END, BEAT))) == [(0, 60)]
    late = midi(tempo(60, 960) + END, notes([(1920, KICK)]) + END)
    assert tempos_of(read(late)) == [(0, 60)]


def test_tempo_map_gives_times() -> None:
    marks = tempo(120) + tempo(60, 480) + tempo(120, 480) + END
    sequence = read(midi(marks, notes([(0, KICK), (480, KICK), (960, KICK), (1440, KICK)]) + END))
    assert tempos_of(sequence) == [(0, 120), (0.5, 60), (1.5, 120)]
    assert [note.start_time for note in sequence.notes] == [0, 0.5, 1.5, 2.0]


def test_tempo_jitter_is_one_tempo() -> None:
    marks = b"".join(
        meta(0x51, (600_000 + at % 2).to_bytes(3, "big"), delta=at and 480) for at in range(8)
    )
    assert tempos_of(read(midi(marks + END, BEAT))) == [(0, 100)]


@pytest.mark.parametrize("event", [meta(0x51, b""), meta(0x51, b"\0\0\0"), meta(0x58, b"\0\2")])
def test_mark_that_is_not_valid_is_left_out_and_reported(event: bytes) -> None:
    sequence, lines = read_complete(midi(event + tempo(100) + END, BEAT))
    assert tempos_of(sequence) == [(0, 100)]
    assert len(lines) == 1


def test_far_end_of_track_is_no_music() -> None:
    sequence = read(midi(BEAT[:-4] + meta(0x2F, b"", delta=100_000_000)))
    assert sequence.total_time == 8
    rests = read(midi(BEAT[:-4] + meta(0x2F, b"", delta=480 * 4 * 4)))
    assert rests.total_time == pytest.approx(16, abs=0.5)


def test_patterns_of_format_2_follow_each_other() -> None:
    sequence = read(midi(BEAT, BEAT, BEAT, kind=2))
    assert ticks_of(sequence) == [
        (480 * 16 * at + tick, pitch) for at in range(3) for tick, pitch in beat()
    ]


def test_controls_and_bends_are_kept() -> None:
    events = b"\0\xb9\4\x50\0\xe9\0\x50" + BEAT
    sequence = read(midi(events))
    (control,), (bend,) = sequence.control_changes, sequence.pitch_bends
    assert (control.control_number, control.control_value, control.is_drum) == (4, 80, True)
    assert bend.bend == 0x50 * 128 - 8192


def test_each_track_and_channel_is_an_instrument() -> None:
    tracks = [name("Bass") + notes([(0, 40)], channel=1) + END, name("Kit") + BEAT]
    sequence = read(midi(*tracks))
    assert [(info.instrument, info.name) for info in sequence.instrument_infos] == [
        (0, "Bass"),
        (1, "Kit"),
    ]
    assert {(note.instrument, note.is_drum) for note in sequence.notes} == {(0, False), (1, True)}


def test_gmd_has_all_its_hits(gmd: Path) -> None:
    """Every 15th file against mido; `scripts/benchmark.py` counts all 446,312."""
    for path in sorted(gmd.rglob("*.mid"))[::15]:
        events = [event for track in mido.MidiFile(path).tracks for event in track]
        hits = collections.Counter(
            event.note for event in events if event.type == "note_on" and event.velocity
        )
        sequence = read(path.read_bytes())
        assert collections.Counter(note.pitch for note in sequence.notes) == hits
        assert all(note.is_drum and note.end_time > note.start_time for note in sequence.notes)


def test_shared_cases_are_read_as_expected(cases: Path) -> None:
    with open(cases / "expected.tsv", encoding="utf-8") as file:
        rows = list(csv.DictReader(file, delimiter="\t"))
    assert len(rows) > 30
    for row in rows:
        path = cases / row["file"]
        if row["hits"] == "-" or path.suffix == ".xml":
            with pytest.raises(GroovaeError):
                package.read_sequence(path)
            continue
        sequence = package.read_sequence(path)
        meters = meters_of(sequence) or [(0.0, 4, 4)]
        found = (
            str(sum(note.is_drum for note in sequence.notes)),
            f"{sequence.tempos[0].qpm:.0f}",
            f"{meters[-1][1]}/{meters[-1][2]}",
        )
        assert found == (row["hits"], row["tempo_qpm"], row["meter"]), row["file"]


@pytest.mark.slow
def test_shared_cases_are_played_by_command(
    cases: Path, in_process: Groovae, tmp_path: Path
) -> None:
    result = in_process("reconstruct", cases, f"--out={tmp_path / 'out'}", "--seed=1")
    assert result.returncode == 0, result.stderr
    for path in (tmp_path / "out").glob("*.mid"):
        ours, theirs = package.read_sequence(cases / path.name), package.read_sequence(path)
        assert meters_of(ours) == meters_of(theirs) or not ours.time_signatures, path.name
        assert np.allclose([t.qpm for t in ours.tempos], [t.qpm for t in theirs.tempos], atol=0.01)
