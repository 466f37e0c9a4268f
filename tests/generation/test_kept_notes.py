"""Notes that a command promises to keep come out at their tick, from file to file."""

from fractions import Fraction
from pathlib import Path
from typing import Any, NamedTuple

import mido
import pytest
from conftest import Export
from hypothesis import given, settings
from hypothesis import strategies as st
from make_midi import meter, midi, tempo, variable

from groovae.data.conversion import read_sequence
from groovae.generation.bundled import TASK_FOLDERS
from groovae.generation.groove_model import GrooveModel
from groovae.generation.grooves import place_early_hits
from groovae.generation.loading import load_model
from groovae.music.midi_writer import write_sequence
from groovae.system.log import no_log

DRUMS = [36, 38, 39, 46, 49, 20]  # 20 has no drum class
HIHATS = {22, 42, 44}
PPQ = [96, 100, 120, 220, 384, 480, 960, 1000, 1920, 15360, 32767]

# Position and length in quarters, pitch and velocity of a note.
Hit = tuple[Fraction, Fraction, int, int]


class Beat(NamedTuple):
    """The bytes of a MIDI file, and its notes."""

    data: bytes
    hits: list[Hit]


@st.composite
def beats(draw: st.DrawFn) -> Beat:
    """Random drum hits at any tick, with tempo map, meters and resolution."""
    ppq = draw(st.sampled_from(PPQ))
    ticks, tempos_qpm = st.integers(0, 9 * ppq), st.floats(40, 300)
    places = draw(st.sets(st.tuples(st.sampled_from([*DRUMS, 42]), ticks), max_size=30))
    places |= {(36, 0), (38, 5 * ppq)}
    hits = []
    for pitch, tick in sorted(places):
        until = [other for drum, other in places if drum == pitch and other > tick]
        length = min([draw(st.integers(1, 2 * ppq)), *(other - tick for other in until)])
        hits.append((tick, length, pitch, draw(st.integers(1, 127))))
    meters = st.sampled_from([(4, 2), (3, 2), (7, 3), (12, 3), (5, 2)])
    marks = [(0, tempo(draw(tempos_qpm))), (0, meter(*draw(meters)))]
    marks += [(draw(ticks), tempo(draw(tempos_qpm))) for _ in range(draw(st.integers(0, 3)))]
    marks.append((draw(st.sampled_from([1, 3, 4])) * ppq, meter(*draw(meters))))
    quarters = [(Fraction(a, ppq), Fraction(b, ppq), pitch, loud) for a, b, pitch, loud in hits]
    return Beat(midi(to_track(hits, marks), division=ppq), quarters)


def to_track(hits: list[tuple[int, int, int, int]], marks: list[tuple[int, bytes]]) -> bytes:
    """Return a track of notes (tick, length, pitch, velocity) and meta events at their ticks."""
    events = [(at, 0, mark[1:]) for at, mark in marks]
    for start, length, pitch, velocity in hits:
        events.append((start, 2, bytes([0x99, pitch, velocity])))
        events.append((start + length, 1, bytes([0x89, pitch, 0])))
    track, now = b"", 0
    for tick, _, event in sorted(events):
        track += variable(tick - now) + event
        now = tick
    return track


class Played(NamedTuple):
    """The notes of a file, and its end in quarters."""

    hits: list[Hit]
    end: Fraction

    def only(self, pitches: set[int]) -> list[Hit]:
        return [hit for hit in self.hits if hit[2] in pitches]


def play(task: str, model: GrooveModel, beat: Beat, folder: Path, **arguments: Any) -> Played:
    """Return the notes that a command writes for a beat."""
    (folder / "beat.mid").write_bytes(beat.data)
    model.reset_random()
    groove = getattr(model, task)(read_sequence(folder / "beat.mid", log=no_log), **arguments)
    write_sequence(folder / "out.mid", place_early_hits(groove, "clamp"))
    return read_hits(folder / "out.mid")


def read_hits(path: Path) -> Played:
    """Return the notes of a file."""
    file, now, started, hits = mido.MidiFile(path), 0, {}, []
    for message in mido.merge_tracks(file.tracks):
        now += message.time
        if message.type == "note_on":
            started[message.note] = (now, message.velocity)
        elif message.type == "note_off":
            start, velocity = started.pop(message.note)
            at, long = (Fraction(tick, file.ticks_per_beat) for tick in (start, now - start))
            hits.append((at, long, message.note, velocity))
    assert not started
    return Played(sorted(hits), Fraction(now, file.ticks_per_beat))


def expected(beat: Beat, pitches: set[int], end: Fraction) -> list[Hit]:
    """Return the notes of a beat, which end with its last bar."""
    kept = [hit for hit in beat.hits if hit[2] in pitches]
    return sorted((at, min(long, end - at), pitch, loud) for at, long, pitch, loud in kept)


@pytest.fixture(scope="module")
def humanizer() -> GrooveModel:
    return load_model(TASK_FOLDERS["humanize"], task="humanize", seed=1, log=no_log)


@pytest.fixture(scope="module")
def hihat_adder(exported: Export) -> GrooveModel:
    return load_model(exported("add_hihat"), task="add_hihat", seed=1, log=no_log)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("beats")


@settings(max_examples=25)
@given(beat=beats())
def test_humanize_at_amount_0_keeps_all_notes(
    humanizer: GrooveModel, folder: Path, beat: Beat
) -> None:
    played = play("humanize", humanizer, beat, folder, amount=0)
    assert played.hits == expected(beat, {*DRUMS, *HIHATS}, played.end)


@settings(max_examples=25)
@given(beat=beats())
def test_humanize_keeps_notes_without_a_drum_class(
    humanizer: GrooveModel, folder: Path, beat: Beat
) -> None:
    played = play("humanize", humanizer, beat, folder, temperature=1)
    assert played.only({20}) == expected(beat, {20}, played.end)


@settings(max_examples=25)
@given(beat=beats())
def test_add_hihat_keeps_the_other_drums(
    hihat_adder: GrooveModel, folder: Path, beat: Beat
) -> None:
    played = play("add_hihat", hihat_adder, beat, folder, temperature=1)
    others = {*DRUMS} - HIHATS
    assert played.only(others) == expected(beat, others, played.end)
