"""write_midi keeps every hit of any groove, at its time, and adds nothing."""

import csv
import io
import math
import os
import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import mido
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import groovae
from groovae.errors import GroovaeError, UsageError
from groovae.music.midi_writer import Note, numbered, to_midi, write_midi, write_sequence

# Few pitches and some repeated times, so that hits touch, overlap and coincide.
times = st.floats(-1, 30) | st.sampled_from([-1.0, 0.0, 0.5, 0.5 + 1e-4, 30.0])
pitches = st.sampled_from([36, 38, 42]) | st.integers(0, 127)
velocities = st.integers(0, 127)
grooves = st.lists(st.builds(Note, times, times, pitches, velocities), max_size=40)
tempos = st.floats(4, 400)

BEAT = [Note(0.0, 0.1, 36, 100), Note(0.5, 0.6, 38, 90)]


def saved(
    notes: Sequence[Note],
    tempo_qpm: float = 120.0,
    length_seconds: float = 0.0,
    pickup: bool = False,
) -> mido.MidiFile:
    """Return the file as mido reads it back."""
    midi, _ = to_midi(notes, tempo_qpm, length_seconds, pickup)
    file = io.BytesIO()
    midi.save(file=file)
    return mido.MidiFile(file=io.BytesIO(file.getvalue()))


def ticks_per_second(midi: mido.MidiFile, tempo_qpm: float) -> float:
    return midi.ticks_per_beat * tempo_qpm / 60


def ticks_of(midi: mido.MidiFile) -> int:
    """Return its length in ticks."""
    return sum(message.time for message in midi.tracks[0])


def hits(midi: mido.MidiFile) -> list[tuple[int, int, int, int]]:
    """Return (pitch, start tick, end tick, velocity) in order; hits of a pitch must not overlap."""
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
    """Sort notes in the order of `hits`."""
    return sorted(notes, key=lambda note: (note.pitch, note.start_time))


def shift_seconds(notes: Sequence[Note]) -> float:
    return max([0.0, *(-note.start_time for note in notes)])


# Any groove


@given(grooves, tempos)
def test_every_hit_is_written_with_a_velocity(notes: list[Note], tempo_qpm: float) -> None:
    written = Counter((pitch, velocity) for pitch, _, _, velocity in hits(saved(notes, tempo_qpm)))
    assert written == Counter((note.pitch, max(1, note.velocity)) for note in notes)


@given(grooves, tempos, st.booleans())
def test_hit_starts_at_its_tick_or_a_tick_after_a_hit_there(
    notes: list[Note], tempo_qpm: float, pickup: bool
) -> None:
    midi = saved(notes, tempo_qpm, pickup=pickup)
    _, moved_ms = to_midi(notes, tempo_qpm, pickup=pickup)
    pitch_before = start_before = -1
    for (pitch, start, _, _), note in zip(hits(midi), in_order(notes), strict=True):
        place = (note.start_time + moved_ms / 1000) * ticks_per_second(midi, tempo_qpm)
        taken = pitch == pitch_before and start == start_before + 1 and start > place
        assert abs(start - place) <= 0.5001 or taken
        pitch_before, start_before = pitch, start


@given(grooves, tempos, st.booleans())
def test_hit_ends_at_its_tick_or_where_the_next_begins(
    notes: list[Note], tempo_qpm: float, pickup: bool
) -> None:
    midi = saved(notes, tempo_qpm, pickup=pickup)
    _, moved_ms = to_midi(notes, tempo_qpm, pickup=pickup)
    starts = {(pitch, start) for pitch, start, _, _ in hits(midi)}
    for (pitch, start, end, _), note in zip(hits(midi), in_order(notes), strict=True):
        place = (note.end_time + moved_ms / 1000) * ticks_per_second(midi, tempo_qpm)
        is_cut = (pitch, end) in starts and end <= max(place + 0.5001, start + 1)
        is_shortest = end == start + 1 and end > place
        assert abs(end - place) <= 0.5001 or is_cut or is_shortest


@given(st.floats(0, 7.99), st.floats(0, 20), tempos)
def test_no_note_ends_after_the_loop(start: float, length: float, tempo_qpm: float) -> None:
    midi = saved([Note(start, start + length, 36, 90)], tempo_qpm, 8.0)
    assert midi.length == pytest.approx(8.0, abs=0.002)


@given(grooves, tempos)
def test_file_has_one_track_tempo_meter_and_channel(notes: list[Note], tempo_qpm: float) -> None:
    midi = saved(notes, tempo_qpm)
    (track,) = midi.tracks
    (tempo,) = (message for message in track if message.type == "set_tempo")
    (meter,) = (message for message in track if message.type == "time_signature")
    assert midi.type == 0
    assert midi.ticks_per_beat < 2**15  # the maximum of the header
    assert abs(tempo.tempo - 60_000_000 / tempo_qpm) <= 0.5
    assert (meter.numerator, meter.denominator) == (4, 4)
    assert {message.channel for message in track if not message.is_meta} <= {9}
    assert track[-1].type == "end_of_track"


@given(grooves, tempos, st.floats(0, 60))
def test_file_has_at_least_the_given_length(
    notes: list[Note], tempo_qpm: float, length_seconds: float
) -> None:
    midi = saved(notes, tempo_qpm, length_seconds)
    assert ticks_of(midi) >= length_seconds * ticks_per_second(midi, tempo_qpm) - 0.5001


@given(tempos, st.integers(1, 64), st.booleans())
def test_loop_is_a_whole_number_of_bars(tempo_qpm: float, bars: int, pickup: bool) -> None:
    midi = saved(BEAT[:1], tempo_qpm, bars * 240 / tempo_qpm, pickup)
    assert ticks_of(midi) == bars * 4 * midi.ticks_per_beat


@given(grooves)
def test_returned_shift_is_how_early_the_first_hit_is(notes: list[Note]) -> None:
    _, moved_ms = to_midi(notes)
    assert moved_ms == pytest.approx(1000 * shift_seconds(notes), rel=1e-12)


@given(grooves, tempos)
def test_groove_without_early_hits_is_not_moved(notes: list[Note], tempo_qpm: float) -> None:
    late = [note._replace(start_time=abs(note.start_time)) for note in notes]
    (plain, moved_ms), (picked_up, moved_by_bars_ms) = (
        to_midi(late, tempo_qpm, 4.0, pickup) for pickup in (False, True)
    )
    assert moved_ms == moved_by_bars_ms == 0
    assert plain.tracks == picked_up.tracks


@given(grooves, tempos, st.integers(1, 8))
def test_pickup_is_the_fewest_whole_bars(notes: list[Note], tempo_qpm: float, bars: int) -> None:
    short = [note._replace(end_time=0.0) for note in notes if note.start_time < 0]
    length_seconds = bars * 240 / tempo_qpm
    midi, moved_ms = to_midi(short, tempo_qpm, length_seconds, pickup=True)
    bar_ticks = 4 * midi.ticks_per_beat
    moved_ticks = moved_ms / 1000 * ticks_per_second(midi, tempo_qpm)
    moved_bars = round(moved_ticks / bar_ticks)
    assert moved_ticks == pytest.approx(moved_bars * bar_ticks)
    first = min((start for _, start, _, _ in hits(midi)), default=0)
    assert moved_bars == 0 or first < bar_ticks
    # Coinciding hits may come after time 0, each by a tick.
    assert 0 <= ticks_of(midi) - (bars + moved_bars) * bar_ticks <= len(short)


@given(st.data(), st.floats(4, 1000))
def test_times_are_exact_to_half_a_millisecond_in_100_bars(
    data: st.DataObject, tempo_qpm: float
) -> None:
    """The times are those of a player, from ticks and the rounded tempo of the file."""
    bar_ms = 240_000 / tempo_qpm
    anywhere = st.integers(-round(bar_ms / 4), round(99.5 * bar_ms / 4))
    milliseconds = data.draw(st.lists(anywhere, min_size=1, max_size=20, unique=True))
    places = sorted(4 * ms / 1000 for ms in milliseconds)
    notes = [Note(place, place + 0.05, 38, 80) for place in places]
    now, starts = 0.0, []
    for message in saved(notes, tempo_qpm):  # with times in seconds
        now += message.time
        if message.type == "note_on":
            starts.append(now - shift_seconds(notes))
    assert starts == pytest.approx(places, abs=0.5e-3, rel=0)


@given(st.lists(st.builds(Note, times, times, pitches, velocities), unique_by=lambda n: n[0::2]))
def test_order_of_the_notes_does_not_matter(notes: list[Note]) -> None:
    assert saved(notes).tracks == saved(notes).tracks == saved(notes[::-1]).tracks


# Small grooves


def test_coinciding_hits_are_a_tick_apart() -> None:
    notes = [Note(1.0, 2.0, 36, velocity) for velocity in (10, 20, 30)]
    assert hits(saved(notes)) == [(36, 3840, 3841, 10), (36, 3841, 3842, 20), (36, 3842, 7680, 30)]


def test_hit_ends_where_the_next_begins() -> None:
    notes = [Note(0.0, 5.0, 36, 90), Note(0.5, 0.6, 36, 90), Note(0.25, 0.35, 38, 90)]
    assert hits(saved(notes)) == [(36, 0, 1920, 90), (36, 1920, 2304, 90), (38, 960, 1344, 90)]


def test_early_hit_moves_all_hits() -> None:
    early = [note._replace(start_time=note.start_time - 0.01) for note in BEAT]
    midi, moved_ms = to_midi(early)
    assert moved_ms == pytest.approx(10)
    assert [start for _, start, _, _ in hits(midi)] == [0, 1920]


@pytest.mark.parametrize(("early_seconds", "bars"), [(0.01, 1), (2.0, 1), (2.001, 2), (1e-9, 0)])
def test_pickup_moves_all_hits_by_whole_bars(early_seconds: float, bars: int) -> None:
    early = [note._replace(start_time=note.start_time - early_seconds) for note in BEAT]
    midi, moved_ms = to_midi(early, 120, 8.0, pickup=True)
    assert moved_ms == 2000 * bars
    first = bars * 7680 - round(early_seconds * 3840)
    assert [start for _, start, _, _ in hits(midi)] == [first, first + 1920]
    assert ticks_of(midi) == (4 + bars) * 7680


@pytest.mark.parametrize(
    ("tempo_qpm", "ticks"), [(1000, 1920), (120, 1920), (53, 1920), (52, 3840), (4, 30720)]
)
def test_slow_tempos_have_more_ticks_per_quarter(tempo_qpm: float, ticks: int) -> None:
    assert saved(BEAT, tempo_qpm).ticks_per_beat == ticks


def test_groove_without_notes_is_silence() -> None:
    assert saved([], length_seconds=8.0).length == 8.0
    assert saved([], length_seconds=-8.0).length == 0.0


# Files


def test_write_midi_saves_the_file_of_to_midi(tmp_path: Path) -> None:
    early = [*BEAT, Note(-0.02, 0.1, 42, 60)]
    assert write_midi(tmp_path / "a.mid", early, 96, 10) == pytest.approx(20)
    assert write_midi(tmp_path / "new" / "b.mid", iter(early), 96, 10) == pytest.approx(20)
    assert mido.MidiFile(tmp_path / "a.mid").tracks == saved(early, 96, 10).tracks
    assert (tmp_path / "a.mid").read_bytes() == (tmp_path / "new" / "b.mid").read_bytes()


@pytest.mark.parametrize("tempo_qpm", [0, -120, 3.9, 1000.1, math.nan, math.inf])
def test_tempo_out_of_range_is_a_usage_error(tmp_path: Path, tempo_qpm: float) -> None:
    (tmp_path / "old.mid").write_bytes(b"old")
    with pytest.raises(UsageError, match="tempo must be 4 to 1000 bpm"):
        write_midi(tmp_path / "old.mid", BEAT, tempo_qpm)
    assert (tmp_path / "old.mid").read_bytes() == b"old"


@pytest.mark.parametrize(
    ("field", "bad", "words"),
    [
        *(
            (field, bad, "time")
            for field in ("start_time", "end_time", "length")
            for bad in (math.nan, math.inf, -math.inf, 2e4, -2e4, 1e300, np.float32("nan"))
        ),
        *(("pitch", bad, "pitch") for bad in (-1, 128, 36.5, math.nan, math.inf, "36", None)),
        *(
            ("velocity", bad, "velocity")
            for bad in (math.nan, math.inf, -math.inf, np.float32("nan"), "90", None)
        ),
    ],
)
@pytest.mark.parametrize("pickup", [False, True])
def test_value_that_midi_cannot_represent_is_an_error(
    tmp_path: Path, field: str, bad: Any, words: str, pickup: bool
) -> None:
    (tmp_path / "old.mid").write_bytes(b"old")
    notes, length_seconds = [*BEAT, BEAT[0]], 0.0
    if field == "length":
        length_seconds = bad
    else:
        notes[2] = notes[2]._replace(**{field: bad})
    with pytest.raises(GroovaeError, match=f"{words} .*{re.escape(str(bad))}"):
        write_midi(tmp_path / "old.mid", notes, 120, length_seconds, pickup)
    assert (tmp_path / "old.mid").read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [tmp_path / "old.mid"]


def test_numpy_numbers_are_accepted() -> None:
    note = Note(np.float32(0.5), np.float64(1.0), np.int64(36), np.float32(90))
    assert hits(saved([note])) == [(36, 1920, 3840, 90)]


@given(st.lists(st.floats(-10, 10, width=32), max_size=20), tempos, st.booleans())
def test_float32_times_are_accepted(starts: list[float], tempo_qpm: float, pickup: bool) -> None:
    notes = [Note(start, start + 0.1, 36, 90) for start in starts]
    coarse = [note._replace(start_time=np.float32(note.start_time)) for note in notes]
    assert (
        saved(coarse, tempo_qpm, 0.0, pickup).tracks == saved(notes, tempo_qpm, 0.0, pickup).tracks
    )


@pytest.mark.parametrize(
    ("velocity", "written"), [(-3, 1), (0, 1), (0.4, 1), (127, 127), (300, 127)]
)
def test_velocity_is_rounded_and_clipped(velocity: Any, written: int) -> None:
    assert hits(saved([Note(0.0, 0.5, 36, velocity)])) == [(36, 0, 1920, written)]


@pytest.mark.parametrize(("tempo_qpm", "ticks_per_quarter"), [(4, 30720), (1000, 1920)])
@pytest.mark.parametrize("pickup", [False, True])
def test_longest_times_fit_into_28_bits(
    tempo_qpm: float, ticks_per_quarter: int, pickup: bool
) -> None:
    longest_seconds = 60 / tempo_qpm * 2**26 / ticks_per_quarter
    notes = [Note(-longest_seconds, 0, 36, 90), Note(longest_seconds, 0, 36, 90)]
    midi = saved(notes, tempo_qpm, longest_seconds, pickup)
    (_, first, _, _), (_, last, _, _) = hits(midi)
    assert last - first == 2**27
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
def test_numbered_paths(path: str, count: int, names: list[str]) -> None:
    assert [str(name) for name in numbered(path, count)] == names


@pytest.mark.parametrize("count", [1, 2])
def test_device_or_pipe_is_no_midi_file(tmp_path: Path, count: int) -> None:
    os.mkfifo(tmp_path / "pipe")
    os.mkfifo(tmp_path / "pipe.mid")
    for path in (tmp_path / "pipe", tmp_path / "pipe.mid", Path(os.devnull)):
        with pytest.raises(UsageError, match=f"{path}: this is a device or a pipe"):
            numbered(path, count)


@pytest.mark.skipif(not os.path.exists("/dev/fd"), reason="there is no /dev/fd")
def test_stream_that_is_a_regular_file_is_no_midi_file(tmp_path: Path) -> None:
    with open(tmp_path / "redirected", "w") as file:
        for folder in ("/dev/fd", "/proc/self/fd"):
            with pytest.raises(UsageError, match="device"):
                numbered(f"{folder}/{file.fileno()}", 1)


@pytest.mark.parametrize("meter", [(300, 4), (0, 4), (-3, 4), (4, 3), (4, 0)])
def test_meter_that_midi_does_not_have_is_an_error(tmp_path: Path, meter: tuple[int, int]) -> None:
    with pytest.raises(GroovaeError, match=f"the meter {meter[0]}/{meter[1]}"):
        write_midi(tmp_path / "a.mid", BEAT, meter=meter)
    assert not os.listdir(tmp_path)


# Reading back with note_seq


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


def test_note_sequence_keeps_its_tempo_and_length(tmp_path: Path) -> None:
    from groovae.upstream import note_seq

    sequence = note_seq.NoteSequence(total_time=9.6)
    sequence.tempos.add(qpm=100)
    for note in BEAT:
        sequence.notes.add(**note._asdict(), is_drum=True)
    assert groovae.write_sequence(tmp_path / "groove.mid", sequence) == 0
    midi = mido.MidiFile(tmp_path / "groove.mid")
    assert midi.tracks == saved(BEAT, 100, 9.6).tracks
    assert midi.length == pytest.approx(9.6)


def test_note_sequence_without_a_tempo_is_written_at_120_qpm(tmp_path: Path) -> None:
    from groovae.upstream import note_seq

    write_sequence(tmp_path / "groove.mid", note_seq.NoteSequence())
    assert mido.MidiFile(tmp_path / "groove.mid").tracks == saved([], 120).tracks


# Real grooves as the model decodes them


@pytest.fixture(scope="module")
def test_grooves(gmd: Path) -> list[Any]:
    """Every fourth file of the test split, as Magenta decodes it, at its original tempo."""
    from groovae.config import config_map
    from groovae.data.windows import to_windows
    from groovae.music.midi_magenta import read_magenta

    layout = config_map.layout("groovae_4bar")
    converter = config_map.get_config("groovae_4bar").data_converter
    converter.set_mode("infer")
    grooves = []
    with open(gmd / "info.csv", newline="") as file:
        played = [
            gmd / row["midi_filename"] for row in csv.DictReader(file) if row["split"] == "test"
        ]
    for path in played[3::4]:  # among them the one that is hardly early
        windows = to_windows(read_magenta(path.read_bytes()), layout)
        for groove, source in zip(
            converter.from_tensors(windows.outputs), windows.sources, strict=True
        ):
            grooves.append(at_tempo(groove, source.tempo_qpm))
    return grooves


def at_tempo(groove: Any, tempo_qpm: float) -> Any:
    """Rescale a groove from 120 qpm, at which Magenta decodes all of them."""
    for note in groove.notes:
        note.start_time *= 120 / tempo_qpm
        note.end_time *= 120 / tempo_qpm
    groove.tempos[0].qpm = tempo_qpm
    groove.total_time = 4 * 240 / tempo_qpm
    return groove


@pytest.mark.parametrize("pickup", [False, True])
def test_every_hit_of_gmd_is_read_back_to_the_tick(
    tmp_path: Path, test_grooves: list[Any], pickup: bool
) -> None:
    from groovae.music.midi_magenta import read_magenta

    assert len(test_grooves) == 134
    assert sum(len(groove.notes) for groove in test_grooves) == 10_572
    early = 0
    for groove in test_grooves:
        moved_ms = write_sequence(tmp_path / "groove.mid", groove, pickup)
        assert moved_ms == pytest.approx(expected_shift_ms(groove, pickup), rel=1e-9)
        read = read_magenta((tmp_path / "groove.mid").read_bytes())
        assert_same_hits(groove, read, moved_ms, pickup)
        early += moved_ms > 0
    assert early == (88 if pickup else 89)  # one groove is early by less than half a tick


def expected_shift_ms(groove: Any, pickup: bool) -> float:
    """Return how much later the groove must begin; less than half a tick needs no pickup."""
    tempo_qpm = groove.tempos[0].qpm
    early_seconds = max(0.0, -min(note.start_time for note in groove.notes))
    if not pickup:
        return 1000 * early_seconds
    return 240_000 / tempo_qpm if early_seconds > 30 / tempo_qpm / 1920 else 0.0


def assert_same_hits(groove: Any, read: Any, moved_ms: float, pickup: bool) -> None:
    tempo_qpm = groove.tempos[0].qpm
    assert [tempo.qpm for tempo in read.tempos] == pytest.approx([tempo_qpm], rel=2e-6)
    assert [(meter.numerator, meter.denominator) for meter in read.time_signatures] == [(4, 4)]
    tick = 60 / tempo_qpm / read.ticks_per_quarter
    wanted, found = in_order(groove.notes), in_order(read.notes)
    assert all(note.is_drum for note in read.notes)
    assert [(note.pitch, note.velocity) for note in found] == [
        (note.pitch, max(1, note.velocity)) for note in wanted
    ]
    starts = np.array([note.start_time for note in wanted]) + moved_ms / 1000
    ends = np.array([note.end_time for note in wanted]) + moved_ms / 1000
    ends = np.minimum(ends, max(groove.total_time + (moved_ms / 1000 if pickup else 0), 0))
    is_cut = np.diff([note.pitch for note in wanted], append=-1) == 0
    ends[is_cut] = np.minimum(ends, np.roll(starts, -1))[is_cut]
    np.testing.assert_allclose([note.start_time for note in found], starts, rtol=0, atol=tick)
    np.testing.assert_allclose([note.end_time for note in found], ends, rtol=0, atol=tick)
