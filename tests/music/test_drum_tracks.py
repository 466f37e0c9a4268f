"""choose_drums finds the drums of files that do not have them on channel 10, and never a bass."""

from typing import Any

import pytest
from make_midi import END, HIHAT, KICK, SNARE, beat, midi, name, notes

from groovae.errors import UsageError
from groovae.music.midi_complete import read_complete

DRUMS = notes(beat(), channel=0) + END
# A bass line on the pitches of kick, snare, hi-hat and toms, one note at a time.
LINE = [(at * 240, pitch) for at, pitch in enumerate([36, 38, 42, 36, 43, 40, 38, 44] * 4)]
BASS = notes(LINE, channel=1) + END
PIANO = notes([(at * 480, pitch) for at in range(16) for pitch in (48, 52, 55)], channel=2) + END


def drums_of(data: bytes, drums: str = "auto") -> tuple[list[str], list[str]]:
    """Return the names of the instruments that are drums, and the lines about the choice."""
    sequence, lines = read_complete(data, drums)
    names: dict[int, Any] = {info.instrument: info.name for info in sequence.instrument_infos}
    chosen = {note.instrument for note in sequence.notes if note.is_drum}
    return sorted(names.get(number, str(number)) for number in chosen), lines


def test_channel_10_is_drums_and_not_reported() -> None:
    data = midi(name("Drums") + DRUMS, name("Ten") + notes(beat()) + END)
    assert drums_of(data) == (["Ten"], [])


@pytest.mark.parametrize(
    "track",
    ["Drums", "DRUM KIT", "Percussion", "my_drums_2", "Kick", "드럼", "Schlagzeug", "Batería 1"],
)
def test_track_with_the_name_of_drums_is_chosen(track: str) -> None:
    chosen, lines = drums_of(midi(name("Bass") + BASS, name(track) + DRUMS))
    assert chosen == [track]
    assert len(lines) == 1
    assert "channel 1" in lines[0]


@pytest.mark.parametrize("track", ["Steel Drums", "Bass", "Kitty", "Sitar", "Tombstone"])
def test_other_names_are_not_chosen(track: str) -> None:
    melody = notes([(0, 60), (480, 64)], channel=3) + END
    assert drums_of(midi(name(track) + melody))[0] == []


def test_only_track_that_looks_like_a_kit_is_chosen() -> None:
    data = midi(name("A") + BASS, name("B") + DRUMS, name("C") + PIANO)
    assert drums_of(data)[0] == ["B"]
    assert drums_of(midi(name("A") + DRUMS, name("B") + notes(beat(), channel=4) + END))[0] == []


def test_bass_and_piano_are_never_chosen() -> None:
    for track in (BASS, PIANO):
        assert drums_of(midi(name("X") + track)) == ([], [])


def test_separate_tracks_of_each_drum_are_all_chosen() -> None:
    tracks = [
        name(text) + notes([hit for hit in beat() if hit[1] == pitch], channel=0) + END
        for text, pitch in (("Kick", KICK), ("Snare", SNARE), ("Hi-Hat", HIHAT))
    ]
    assert drums_of(midi(*tracks, name("Bass") + BASS))[0] == ["Hi-Hat", "Kick", "Snare"]


def test_named_channel_or_track_is_chosen() -> None:
    data = midi(name("Bass") + BASS, name("Groove") + DRUMS)
    assert drums_of(data, "channel:2") == (["Bass"], [])
    assert drums_of(data, "channel:7") == ([], [])
    assert drums_of(data, "track:groove") == (["Groove"], [])
    assert drums_of(data, "track:ass") == (["Bass"], [])


@pytest.mark.parametrize("drums", ["", "channel:0", "channel:17", "channel:x", "track:", "kit"])
def test_other_choices_are_a_usage_error(drums: str) -> None:
    with pytest.raises(UsageError, match="channel:1 to channel:16"):
        read_complete(midi(DRUMS), drums)
