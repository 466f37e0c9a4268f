"""Summarize a MIDI file: tempo map, meters, bars, tracks, and which pitches are which drums."""

import collections
from typing import Any

from groovae.music.drum_tracks import choose_drums
from groovae.music.drums import CLASS_NAMES, NEAREST, PERCUSSION, DrumMap, classes
from groovae.music.midi_complete import Song, read_song, to_sequence
from groovae.music.timeline import Timeline


def summarize_midi(data: bytes, drums: str, drum_map: DrumMap) -> dict[str, Any]:
    """Return a summary of the bytes of a MIDI file, for JSON.

    Args:
      data: The file.
      drums: Which notes are drums; see `drum_tracks.choose_drums`.
      drum_map: The pitches of each class.

    Returns:
      bars: Number of bars.
      tempos, meters: With the bar in which each begins, from 1.
      tracks: Name, channel from 1, number of notes, and whether they are drums.
      drum_hits: Number of drum hits.
      pitches: Number of hits by class and pitch.
      unmapped_pitches: For each pitch without a class its number of hits and its name.
      proposed_drum_map: A drum map with these pitches in the nearest class; of those without a
        known instrument, in the class "?".
      notes: What is wrong with the file, and how drums were chosen.

    Raises:
      BrokenMidi: the bytes hold no music.
      GroovaeError: a meter does not fit a grid of 16ths.
    """
    song = read_song(data)
    parts, lines = choose_drums(song, drums)
    hits = collections.Counter(song.notes.pitches[song.notes.is_in(parts)].tolist())
    class_of = classes(drum_map)
    return {
        **_bars(song, parts),
        "tracks": _tracks(song, parts),
        "drum_hits": hits.total(),
        "pitches": {
            name: {str(pitch): hits[pitch] for pitch in sorted(hits) if class_of.get(pitch) == drum}
            for drum, name in enumerate(CLASS_NAMES)
        },
        "unmapped_pitches": {
            str(pitch): {"hits": hits[pitch], "name": PERCUSSION.get(pitch, ("unknown",))[0]}
            for pitch in sorted(hits)
            if pitch not in class_of
        },
        "proposed_drum_map": _proposed_drum_map(set(hits) - set(class_of), drum_map),
        "notes": [*song.faults, *lines],
    }


def _bars(song: Song, parts: set[tuple[int, int]]) -> dict[str, Any]:
    timeline = Timeline(to_sequence(song, parts))
    tempo_map = timeline.tempo_map
    tempos = zip(tempo_map.quarters.tolist(), tempo_map.tempos_qpm.tolist(), strict=True)
    return {
        "bars": timeline.bars,
        "tempos": [
            {"bar": timeline.bar_of(quarter * 4), "qpm": round(qpm, 3)} for quarter, qpm in tempos
        ],
        "meters": [
            {
                "bar": timeline.bar_of(meter.first_step),
                "meter": f"{meter.numerator}/{meter.denominator}",
            }
            for meter in timeline.meters
        ],
    }


def _tracks(song: Song, parts: set[tuple[int, int]]) -> list[dict[str, Any]]:
    return [
        {
            "track": track + 1,
            "name": song.names[track],
            "channel": channel + 1,
            "notes": len(song.notes.of((track, channel)).starts),
            "is_drums": (track, channel) in parts,
        }
        for track, channel in song.notes.parts()
    ]


def _proposed_drum_map(pitches: set[int], drum_map: DrumMap) -> dict[str, list[int]]:
    """Return the classes that get new pitches, each with all its pitches."""
    proposed: dict[str, list[int]] = {}
    for pitch in sorted(pitches):
        if pitch in NEAREST:
            name = CLASS_NAMES[NEAREST[pitch]]
            proposed.setdefault(name, list(drum_map[NEAREST[pitch]])).append(pitch)
        else:
            proposed.setdefault("?", []).append(pitch)
    return proposed
