"""Drum notes to MIDI: whatever goes in, each hit is in the file, at its time, and nothing else."""

import io
import math
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import mido
import pytest
from hypothesis import given
from hypothesis import strategies as st

import groovae
from groovae.errors import GroovaeError, UsageError
from groovae.midi import (
    TICKS_PER_QUARTER,
    Note,
    numbered,
    to_midi,
    write_midi,
    write_sequence,
)

# Few pitches and some times that come again and again, so that hits meet, overlap and coincide.
times = st.floats(-1, 30) | st.sampled_from([-1.0, 0.0, 0.5, 0.5 + 1e-4, 30.0])
pitches = st.sampled_from([36, 38, 42]) | st.integers(0, 127)
velocities = st.integers(0, 127)
grooves = st.lists(st.builds(Note, times, times, pitches, velocities), max_size=40)
tempos = st.floats(20, 400)

BEAT = [Note(0.0, 0.1, 36, 100), Note(0.5, 0.6, 38, 90)]


def saved(
    notes: Sequence[Note], tempo_qpm: float = 120.0, length_seconds: float = 0.0
) -> mido.MidiFile:
    """The file as another program reads it."""
    midi, _ = to_midi(notes, tempo_qpm, length_seconds)
    file = io.BytesIO()
    midi.save(file=file)
    return mido.MidiFile(file=io.BytesIO(file.getvalue()))


def hits(midi: mido.MidiFile) -> list[tuple[int, int, int, int]]:
    """(pitch, start tick, end tick, velocity) in order; one ends before the next one begins."""
    tick, sounding, found = 0, {}, []
    for message in midi.tracks[0]:
        assert message.time >= 0
        tick += message.time
        if message.type == "note_on" and message.velocity:
            assert message.note not in sounding, "a hit begins before the one before has ended"
            sounding[message.note] = (tick, message.velocity)
        elif message.type in ("note_on", "note_off"):
            start, velocity = sounding.pop(message.note)
            assert start < tick
            found.append((message.note, start, tick, velocity))
    assert not sounding, "a hit never ends"
    return sorted(found)


def in_order(notes: Sequence[Note]) -> list[Note]:
    """The notes as `hits` has them."""
    return sorted(notes, key=lambda note: (note.pitch, note.start_time))


def shift_seconds(notes: Sequence[Note]) -> float:
    return max([0.0, *(-note.start_time for note in notes)])


# Any groove at all


@given(grooves, tempos)
def test_every_hit_is_there_and_none_is_silent(notes: list[Note], tempo_qpm: float) -> None:
    written = Counter((pitch, velocity) for pitch, _, _, velocity in hits(saved(notes, tempo_qpm)))
    assert written == Counter((note.pitch, max(1, note.velocity)) for note in notes)


@given(grooves, tempos)
def test_a_hit_starts_in_its_place_or_a_tick_after_one_that_took_it(
    notes: list[Note], tempo_qpm: float
) -> None:
    ticks_per_second = TICKS_PER_QUARTER * tempo_qpm / 60
    pitch_before = start_before = -1
    for (pitch, start, _, _), note in zip(
        hits(saved(notes, tempo_qpm)), in_order(notes), strict=True
    ):
        place = (note.start_time + shift_seconds(notes)) * ticks_per_second
        taken = pitch == pitch_before and start == start_before + 1 and start > place
        assert abs(start - place) <= 0.5001 or taken
        pitch_before, start_before = pitch, start


@given(grooves, tempos)
def test_a_hit_ends_in_its_place_unless_the_next_one_cuts_it(
    notes: list[Note], tempo_qpm: float
) -> None:
    ticks_per_second = TICKS_PER_QUARTER * tempo_qpm / 60
    written = hits(saved(notes, tempo_qpm))
    starts = {(pitch, start) for pitch, start, _, _ in written}
    for (pitch, start, end, _), note in zip(written, in_order(notes), strict=True):
        place = (note.end_time + shift_seconds(notes)) * ticks_per_second
        is_cut = (pitch, end) in starts and end <= max(place + 0.5001, start + 1)
        is_shortest = end == start + 1 and end > place
        assert abs(end - place) <= 0.5001 or is_cut or is_shortest


@given(grooves, tempos)
def test_one_track_one_tempo_one_meter_one_channel(notes: list[Note], tempo_qpm: float) -> None:
    midi = saved(notes, tempo_qpm)
    (track,) = midi.tracks
    (tempo,) = (message for message in track if message.type == "set_tempo")
    (meter,) = (message for message in track if message.type == "time_signature")
    assert midi.type == 0
    assert midi.ticks_per_beat == TICKS_PER_QUARTER
    assert abs(tempo.tempo - 60_000_000 / tempo_qpm) <= 1
    assert (meter.numerator, meter.denominator) == (4, 4)
    assert {message.channel for message in track if not message.is_meta} <= {9}
    assert track[-1].type == "end_of_track"


@given(grooves, tempos, st.floats(0, 60))
def test_the_file_is_as_long_as_asked(
    notes: list[Note], tempo_qpm: float, length_seconds: float
) -> None:
    ticks = sum(message.time for message in saved(notes, tempo_qpm, length_seconds).tracks[0])
    assert ticks >= length_seconds * TICKS_PER_QUARTER * tempo_qpm / 60 - 0.5001


@given(tempos, st.integers(1, 64))
def test_a_loop_is_whole_bars_to_the_tick(tempo_qpm: float, bars: int) -> None:
    midi = saved(BEAT[:1], tempo_qpm, bars * 240 / tempo_qpm)
    assert sum(message.time for message in midi.tracks[0]) == bars * 4 * TICKS_PER_QUARTER


@given(grooves)
def test_moved_ms_is_how_early_the_first_hit_is(notes: list[Note]) -> None:
    _, moved_ms = to_midi(notes)
    assert moved_ms == 1000 * shift_seconds(notes)
    late = [note._replace(start_time=abs(note.start_time)) for note in notes]
    assert to_midi(late)[1] == 0


@given(
    st.lists(st.integers(-1000, 30_000), min_size=1, max_size=20, unique=True), st.floats(32, 300)
)
def test_times_are_right_to_half_a_millisecond(milliseconds: list[int], tempo_qpm: float) -> None:
    """Seconds as a player counts them, from ticks and the rounded tempo of the file."""
    places = sorted(4 * ms / 1000 for ms in milliseconds)
    notes = [Note(place, place + 0.05, 38, 80) for place in places]
    now, starts = 0.0, []
    for message in saved(notes, tempo_qpm):  # mido gives seconds here
        now += message.time
        if message.type == "note_on":
            starts.append(now - shift_seconds(notes))
    assert starts == pytest.approx(places, abs=0.5e-3, rel=0)


@given(st.lists(st.builds(Note, times, times, pitches, velocities), unique_by=lambda n: n[0::2]))
def test_the_same_notes_in_any_order_give_the_same_file(notes: list[Note]) -> None:
    assert saved(notes).tracks == saved(notes).tracks == saved(notes[::-1]).tracks


# Small grooves, worked by hand


def test_hits_at_one_instant_come_a_tick_apart() -> None:
    notes = [Note(1.0, 2.0, 36, velocity) for velocity in (10, 20, 30)]
    assert hits(saved(notes)) == [(36, 3840, 3841, 10), (36, 3841, 3842, 20), (36, 3842, 7680, 30)]


def test_a_hit_ends_where_the_next_begins() -> None:
    notes = [Note(0.0, 5.0, 36, 90), Note(0.5, 0.6, 36, 90), Note(0.25, 0.35, 38, 90)]
    assert hits(saved(notes)) == [(36, 0, 1920, 90), (36, 1920, 2304, 90), (38, 960, 1344, 90)]


def test_an_early_hit_moves_all_hits_alike() -> None:
    early = [note._replace(start_time=note.start_time - 0.01) for note in BEAT]
    midi, moved_ms = to_midi(early)
    assert moved_ms == pytest.approx(10)
    assert [start for _, start, _, _ in hits(midi)] == [0, 1920]


def test_no_notes_are_a_file_of_silence() -> None:
    assert saved([], length_seconds=8.0).length == 8.0


# Files


def test_write_midi_writes_what_to_midi_makes(tmp_path: Path) -> None:
    early = [*BEAT, Note(-0.02, 0.1, 42, 60)]
    assert write_midi(tmp_path / "a.mid", early, 96, 10) == pytest.approx(20)
    assert write_midi(tmp_path / "new" / "b.mid", iter(early), 96, 10) == pytest.approx(20)
    assert mido.MidiFile(tmp_path / "a.mid").tracks == saved(early, 96, 10).tracks
    assert (tmp_path / "a.mid").read_bytes() == (tmp_path / "new" / "b.mid").read_bytes()


@pytest.mark.parametrize("tempo_qpm", [0, -120, 3.9, 1000.1, math.nan, math.inf])
def test_a_tempo_out_of_range_is_refused(tmp_path: Path, tempo_qpm: float) -> None:
    (tmp_path / "old.mid").write_bytes(b"old")
    with pytest.raises(UsageError, match="tempo must lie between 4 and 1000 bpm"):
        write_midi(tmp_path / "old.mid", BEAT, tempo_qpm)
    assert (tmp_path / "old.mid").read_bytes() == b"old"


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf, 2e4, -2e4, 1e300])
@pytest.mark.parametrize("where", ["start", "end", "length"])
def test_a_time_that_midi_cannot_hold_is_refused(tmp_path: Path, bad: float, where: str) -> None:
    (tmp_path / "old.mid").write_bytes(b"old")
    note = Note(bad if where == "start" else 0.0, bad if where == "end" else 1.0, 36, 90)
    with pytest.raises(GroovaeError, match="not a finite number"):
        write_midi(tmp_path / "old.mid", [*BEAT, note], 120, bad if where == "length" else 0.0)
    assert (tmp_path / "old.mid").read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [tmp_path / "old.mid"]


@pytest.mark.parametrize("tempo_qpm", [4, 1000])
def test_the_longest_times_fit_into_28_bits(tempo_qpm: float) -> None:
    longest_seconds = 60 / tempo_qpm * 2**26 / TICKS_PER_QUARTER
    notes = [Note(-longest_seconds, 0, 36, 90), Note(longest_seconds, 0, 36, 90)]
    midi = saved(notes, tempo_qpm)
    assert [start for _, start, _, _ in hits(midi)] == [0, 2**27]
    assert max(message.time for message in midi.tracks[0]) < 2**28


@pytest.mark.parametrize(
    ("path", "count", "names"),
    [
        ("take.mid", 1, ["take.mid"]),
        ("take.mid", 2, ["take-01.mid", "take-02.mid"]),
        ("a.b/take.v2.mid", 2, ["a.b/take.v2-01.mid", "a.b/take.v2-02.mid"]),
        ("take", 100, [f"take-{i:03}.mid" for i in range(1, 101)]),
    ],
)
def test_numbered(path: str, count: int, names: list[str]) -> None:
    assert [str(name) for name in numbered(path, count)] == names


# Through note_seq


@given(grooves, tempos)
def test_note_seq_reads_every_hit_as_a_drum(
    tmp_path_factory: pytest.TempPathFactory, notes: list[Note], tempo_qpm: float
) -> None:
    from groovae.upstream import note_seq

    path = tmp_path_factory.getbasetemp() / "groove.mid"
    write_midi(path, notes, tempo_qpm)
    sequence = note_seq.midi_file_to_note_sequence(str(path))
    assert all(note.is_drum for note in sequence.notes)
    assert Counter((note.pitch, note.velocity) for note in sequence.notes) == Counter(
        (note.pitch, max(1, note.velocity)) for note in notes
    )
    assert [tempo.qpm for tempo in sequence.tempos] == pytest.approx([tempo_qpm], rel=1e-5)


def test_a_note_sequence_is_written_at_its_own_tempo_and_length(tmp_path: Path) -> None:
    from groovae.upstream import note_seq

    sequence = note_seq.NoteSequence(total_time=9.6)
    sequence.tempos.add(qpm=100)
    for note in BEAT:
        sequence.notes.add(**note._asdict(), is_drum=True)
    assert groovae.write_sequence(tmp_path / "groove.mid", sequence) == 0
    midi = mido.MidiFile(tmp_path / "groove.mid")
    assert midi.tracks == saved(BEAT, 100, 9.6).tracks
    assert midi.length == pytest.approx(9.6)


def test_a_note_sequence_without_a_tempo_is_at_120(tmp_path: Path) -> None:
    from groovae.upstream import note_seq

    write_sequence(tmp_path / "groove.mid", note_seq.NoteSequence())
    assert mido.MidiFile(tmp_path / "groove.mid").tracks == saved([], 120).tracks
