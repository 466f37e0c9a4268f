"""Drum maps: the named ones, JSON files, and invalid files."""

import json
import math
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from groovae.errors import GroovaeError, UsageError
from groovae.music.drums import (
    CLASS_NAMES,
    CLOSED_HIHAT,
    DRUM_MAPS,
    GM,
    KICK,
    OPEN_HIHAT,
    DrumMap,
    check_drum_map,
    classes,
    hihat_pitches,
    read_drum_map,
)


def in_file(folder: Path, content: Any) -> str:
    """Write content, as JSON unless it is bytes, and return the path."""
    path = folder / "map.json"
    path.write_bytes(content if isinstance(content, bytes) else json.dumps(content).encode())
    return str(path)


# Some classes with some pitches, none of which is in two classes.
partial_maps = st.lists(
    st.integers(0, 127), min_size=len(CLASS_NAMES), max_size=60, unique=True
).flatmap(
    lambda pitches: st.sets(st.sampled_from(CLASS_NAMES)).map(
        lambda names: {
            name: pitches[i :: len(CLASS_NAMES)]
            for i, name in enumerate(CLASS_NAMES)
            if name in names
        }
    )
)


# Named maps


def test_gm_equals_magentas_reduced_classes() -> None:
    from groovae.upstream import magenta_data

    theirs = magenta_data.REDUCED_DRUM_PITCH_CLASSES
    assert tuple(map(tuple, theirs)) == GM == read_drum_map("gm")


def test_roland_equals_magentas_classes_and_writes_the_heads() -> None:
    from groovae.upstream import magenta_data

    roland = read_drum_map("roland")
    assert [set(pitches) for pitches in roland] == [
        set(pitches) for pitches in magenta_data.ROLAND_DRUM_PITCH_CLASSES
    ]
    assert [pitches[0] for pitches in roland] == [36, 38, 42, 46, 43, 45, 48, 49, 51]


@pytest.mark.parametrize("name", sorted(DRUM_MAPS))
def test_named_maps_have_disjoint_classes(name: str) -> None:
    assert_is_a_map(DRUM_MAPS[name])


def assert_is_a_map(drum_map: DrumMap) -> None:
    assert len(drum_map) == len(CLASS_NAMES)
    assert all(drum_map)
    pitches = [pitch for each in drum_map for pitch in each]
    assert len(set(pitches)) == len(pitches)
    assert set(pitches) <= set(range(128))
    # All pitches of a class, including the one that is written, are read as that class.
    assert [classes(drum_map)[each[0]] for each in drum_map] == list(range(len(CLASS_NAMES)))
    assert classes(drum_map) == {
        pitch: drum for drum, each in enumerate(drum_map) for pitch in each
    }


# Files


def test_file_may_contain_some_classes(tmp_path: Path) -> None:
    drum_map = read_drum_map(in_file(tmp_path, {"kick": 35, "closed hi-hat": [44, 42, 46]}))
    assert drum_map[KICK] == (35,)
    assert drum_map[CLOSED_HIHAT] == (44, 42, 46)
    assert drum_map[OPEN_HIHAT] == (67, 72, 74, 79, 81, 26)  # without 46
    others = set(range(len(CLASS_NAMES))) - {KICK, CLOSED_HIHAT, OPEN_HIHAT}
    assert all(drum_map[drum] == GM[drum] for drum in others)
    assert 36 not in classes(drum_map)


def test_empty_object_is_gm(tmp_path: Path) -> None:
    assert read_drum_map(in_file(tmp_path, {})) == GM


def test_file_may_have_a_byte_order_mark(tmp_path: Path) -> None:
    assert read_drum_map(in_file(tmp_path, b'\xef\xbb\xbf{"kick": 35}'))[KICK] == (35,)


@given(partial_maps)
def test_file_overrides_gm(
    tmp_path_factory: pytest.TempPathFactory, given_pitches: dict[str, list[int]]
) -> None:
    path = in_file(tmp_path_factory.getbasetemp(), given_pitches)
    taken = {pitch for pitches in given_pitches.values() for pitch in pitches}
    kept = {
        name: tuple(pitch for pitch in pitches if pitch not in taken)
        for name, pitches in zip(CLASS_NAMES, GM, strict=True)
        if name not in given_pitches
    }
    if not all(kept.values()):
        with pytest.raises(GroovaeError, match="no pitch is left for"):
            read_drum_map(path)
        return
    drum_map = read_drum_map(path)
    assert_is_a_map(drum_map)
    for name, pitches in zip(CLASS_NAMES, drum_map, strict=True):
        assert pitches == (kept[name] if name in kept else tuple(given_pitches[name]))


# Invalid files


@pytest.mark.parametrize(
    ("name", "words"),
    [("rolland", "did you mean roland"), ("nowhere/map.json", "gm, roland or a JSON file")],
)
def test_missing_file_is_a_usage_error(name: str, words: str) -> None:
    with pytest.raises(UsageError, match=f"'{name}'.*{words}"):
        read_drum_map(name)


def test_folder_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(GroovaeError, match=f"{tmp_path}: Is a directory"):
        read_drum_map(str(tmp_path))


@pytest.mark.parametrize("name", ["a\0b", "~nobody-of-that-name/map.json", "a" * 5000])
def test_impossible_file_name_is_an_error(name: str) -> None:
    with pytest.raises(GroovaeError, match="drum map") as raised:
        read_drum_map(name)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "JSON"),
        (b"kick: 35", "JSON"),
        (b"\xff\xfe\xfd", "JSON"),
        (b"[" * 100_000, "JSON"),
        (b'{"kick": ' + b"9" * 5000 + b"}", "JSON|integer"),
        (b'{"kick": 35, "kick": 36}', "duplicate name 'kick'"),
        ([35], "object such as"),
        (None, "object such as"),
        ({"kik": 35}, "'kik'; did you mean kick\\? .* kick, snare"),
        ({"Kick": 35}, "'Kick'; did you mean kick\\?"),
        ({"": 35}, "no drum class ''; .* kick"),
        ({"kick": 128}, "kick must be an integer from 0 to 127, got 128"),
        ({"kick": [35, -1]}, "got -1"),
        ({"kick": 35.0}, "got 35.0"),
        ({"kick": True}, "got True"),
        ({"kick": "35"}, "got '35'"),
        ({"kick": None}, "got None"),
        ({"kick": [[35]]}, r"got \[35\]"),
        (b'{"kick": [' + b"[" * 500 + b"]" * 500 + b"]}", r"got \[+\.\.\.\]+$"),
        ({"kick": {"pitch": 35}}, "got {'pitch': 35}"),
        ({"kick": math.nan}, "got nan"),
        ({"kick": 35, "snare": [38, 35]}, "pitch 35 .* kick and snare"),
        ({"kick": []}, "no pitch is left for kick"),
        ({"snare": [35, 36]}, "no pitch is left for kick"),
    ],
)
def test_invalid_file_is_an_error(tmp_path: Path, content: Any, words: str) -> None:
    path = in_file(tmp_path, content)
    with pytest.raises(GroovaeError, match=words) as raised:
        read_drum_map(path)
    assert str(raised.value).startswith(f"{path}: ")
    assert "\n" not in str(raised.value)
    assert not isinstance(raised.value, UsageError)


def test_repeated_pitch_of_a_class_is_kept_once(tmp_path: Path) -> None:
    assert read_drum_map(in_file(tmp_path, {"kick": [35, 36, 35]}))[KICK] == (35, 36)


@pytest.mark.parametrize(
    ("given", "pitches"),
    [
        ({}, {42, 44, 22}),
        ({"closed hi-hat": [103, 104], "snare": 42}, {103, 104}),
        ({"closed hi-hat": 54}, {54}),
    ],
)
def test_hihat_pitches(tmp_path: Path, given: dict[str, Any], pitches: set[int]) -> None:
    assert hihat_pitches(read_drum_map(in_file(tmp_path, given))) == pitches


def test_drum_map_round_trips_through_json() -> None:
    for drum_map in DRUM_MAPS.values():
        assert check_drum_map(json.loads(json.dumps(drum_map))) == drum_map


@pytest.mark.parametrize(
    "value", ["gm", None, [[36]], [[36]] * 8 + [[]], [[36]] * 8 + [51], [[36]] * 8 + [[128]]]
)
def test_invalid_drum_map_from_json_is_an_error(value: Any) -> None:
    with pytest.raises(ValueError, match=r"drum_map must be a list|from 0 to 127"):
        check_drum_map(value)
