"""Grooves of the studio: JSON and back, MIDI and back."""

import io
import json
from pathlib import Path
from typing import Any

import mido
import pytest
from hypothesis import given
from hypothesis import strategies as st

from groovae.errors import UsageError
from groovae.music.midi_complete import read_complete
from groovae.music.midi_reader import BrokenMidi
from groovae.studio.files import read_midi, to_midi
from groovae.studio.grooves import TooLarge, count_bars, from_json, to_json

GROOVE: dict[str, Any] = {
    "name": "드럼",
    "bars": 2,
    "meters": [[0, 4, 4]],
    "tempos": [[0, 96]],
    "hits": [
        {"beat": 0.01, "length": 0.25, "drum": 0, "pitch": 36, "velocity": 101},
        {"beat": 7.98, "length": 0.25, "drum": -1, "pitch": 24, "velocity": 1},
    ],
}


def changed(**fields: Any) -> dict[str, Any]:
    return {**json.loads(json.dumps(GROOVE)), **fields}


HITS = st.builds(
    lambda tick, length, pitch, velocity: {
        "beat": tick / 480,
        "length": length / 480,
        "pitch": pitch,
        "velocity": velocity,
    },
    st.integers(0, 8 * 480 - 1),
    st.integers(1, 960),
    st.integers(0, 127),
    st.integers(1, 127),
)


def summary(groove: dict[str, Any]) -> list[tuple[int, int, int]]:
    """Return the tick at 480 per quarter, pitch and velocity of each hit."""
    return sorted(
        (round(hit["beat"] * 480), hit["pitch"], hit["velocity"]) for hit in groove["hits"]
    )


@given(st.lists(HITS, max_size=40, unique_by=lambda hit: (hit["beat"], hit["pitch"])))
def test_hits_survive_json_and_midi(hits: list[dict[str, Any]]) -> None:
    given_groove = changed(hits=hits, tempos=[[0, 96], [4, 141.5]], meters=[[0, 3, 4], [3, 5, 4]])
    groove, _ = read_midi(to_midi(from_json(given_groove)), "again")
    assert summary(groove) == summary(given_groove)
    assert groove["meters"] == given_groove["meters"]
    assert [beat for beat, _ in groove["tempos"]] == [0, 4]
    assert [qpm for _, qpm in groove["tempos"]] == pytest.approx([96, 141.5], abs=1e-3)
    if hits:
        assert groove["bars"] == 2


def test_files_of_gmd_keep_every_hit(gmd: Path) -> None:
    path = sorted(gmd.glob("drummer1/session1/*_beat_*.mid"))[0]
    original, _ = read_complete(path.read_bytes())
    groove, _ = read_midi(path.read_bytes(), "take")
    drums = [note for note in original.notes if note.is_drum]
    again, _ = read_midi(to_midi(from_json(groove)), "take")
    assert len(groove["hits"]) == len(drums) > 50
    assert summary(again) == summary(groove)
    assert again["bars"] == groove["bars"]


def test_long_groove_keeps_every_hit() -> None:
    hits = [{"beat": i / 4, "pitch": 36 + i % 12, "velocity": 1 + i % 127} for i in range(200 * 16)]
    long = changed(bars=200, hits=hits)
    groove, _ = read_midi(to_midi(from_json(long)), "long")
    assert groove["bars"] == 200
    assert summary(groove) == summary(long)


def test_notes_of_other_instruments_are_left_out_with_a_line() -> None:
    midi = mido.MidiFile()
    for channel, pitch in ((9, 36), (0, 60)):
        track = midi.add_track()
        track.append(mido.Message("note_on", channel=channel, note=pitch, velocity=90))
        track.append(mido.Message("note_off", channel=channel, note=pitch, time=240))
    content = io.BytesIO()
    midi.save(file=content)
    groove, lines = read_midi(content.getvalue(), "song")
    assert [hit["pitch"] for hit in groove["hits"]] == [36]
    assert any(line.endswith(": 1") for line in lines)


def test_early_hit_stands_at_the_end_and_is_of_the_first_step_for_a_model() -> None:
    sequence = from_json(GROOVE, for_model=True)
    assert sequence.notes[1].start_time == pytest.approx(-0.02 * 60 / 96)
    assert count_bars(sequence) == 2
    again = to_json(sequence, "드럼")
    assert again == changed(hits=GROOVE["hits"])


def test_bars_of_a_pickup_and_other_meters() -> None:
    meters = [[0, 1, 4], [1, 7, 8]]
    assert to_json(from_json(changed(meters=meters, bars=3, hits=[])), "")["bars"] == 3


NAN = float("nan")
WRONG_FIELDS: dict[str, list[Any]] = {
    "bars": [0, -1, 1.5, "2", None],
    "hits": [None, {}, [1], [[]], [{}]],
    "tempos": [[], [[0]], [[1, 120]], [[0, 0]], [[0, 1e9]], [[0, 120], [0, 90]], 5],
    "meters": [[], [[0, 4, 3]], [[0, 0, 4]], [[0, 4]], [[2, 4, 4]], [[0, NAN, 4]]],
    "name": [5],
}
WRONG_HIT: dict[str, list[Any]] = {
    "beat": [None, "1", 9, -9, NAN, float("inf")],
    "length": [-1, 99, NAN],
    "pitch": [-1, 128, 36.5, None],
    "velocity": [0, 128, -1, "a", []],
}
WRONG: list[Any] = [
    *(None, [], "groove", {}),
    *(changed(**{name: value}) for name, values in WRONG_FIELDS.items() for value in values),
    *(
        changed(hits=[{**GROOVE["hits"][0], name: value}])
        for name, values in WRONG_HIT.items()
        for value in values
    ),
]


@pytest.mark.parametrize("value", WRONG)
def test_wrong_grooves_are_refused(value: Any) -> None:
    with pytest.raises(UsageError) as caught:
        from_json(value)
    assert not isinstance(caught.value, TooLarge)
    assert len(str(caught.value)) < 300


@pytest.mark.parametrize("value", [changed(bars=2001), changed(hits=[0] * 50_001)])
def test_large_grooves_are_refused(value: Any) -> None:
    with pytest.raises(TooLarge):
        from_json(value)


@pytest.mark.parametrize("content", [b"", b"MThd", b"RIFF" * 9, b"MThd\0\0\0\6\0\0\0\1\xe7\x28"])
def test_bytes_that_are_not_midi_are_refused(content: bytes) -> None:
    with pytest.raises(BrokenMidi):
        read_complete(content)
    with pytest.raises(UsageError):
        read_midi(content, "x")
