"""Drum classes of GrooVAE, and the MIDI pitches that belong to them.

A GrooVAE window has nine lanes, in the order of Magenta's `ROLAND_DRUM_PITCH_CLASSES`. MIDI pitches
without a class (clap, cowbell) are dropped by default. With the policy `nearest` they get the class
in `PERCUSSION`, what a drummer without that instrument would play: shakers the hi-hat, bells the
ride, wood and claps the snare drum, hand drums the toms by pitch. Whistles are always dropped.

A drum map gives the pitches of each class for reading and writing MIDI: `gm`, `roland`, or a JSON
file that maps class names to a pitch or a list of pitches. All of them are read, and the first one
is written:

    {"kick": 35, "closed hi-hat": [42, 44]}

Classes missing in the file keep their pitches in `gm`, except those that the file gives to others.
"""

import collections
import difflib
import json
import reprlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from groovae.errors import GroovaeError, UsageError, first_line
from groovae.system.regular_files import MAX_TEXT_BYTES

CLASS_NAMES = (
    *("kick", "snare", "closed hi-hat", "open hi-hat"),
    *("low tom", "mid tom", "high tom", "crash", "ride"),
)
KICK, SNARE, CLOSED_HIHAT, OPEN_HIHAT, LOW_TOM, MID_TOM, HIGH_TOM, CRASH, RIDE = range(9)

MAX_DRUMS = 32  # of a model with other classes

# The pitches of each class, in the order of CLASS_NAMES.
DrumMap = tuple[tuple[int, ...], ...]

DRUM_MAPS: dict[str, DrumMap] = {
    # Magenta's REDUCED_DRUM_PITCH_CLASSES, with nearly all General MIDI percussion.
    "gm": (
        (36, 35),
        (38, 27, 28, 31, 32, 33, 34, 37, 39, 40, 56, 65, 66, 75, 85),
        (42, 44, 54, 68, 69, 70, 71, 73, 78, 80, 22),
        (46, 67, 72, 74, 79, 81, 26),
        (45, 29, 41, 43, 61, 64, 84),
        (48, 47, 60, 63, 77, 86, 87),
        (50, 30, 62, 76, 83),
        (49, 52, 55, 57, 58),
        (51, 53, 59, 82),
    ),
    # The sets of Magenta's ROLAND_DRUM_PITCH_CLASSES, with the head of each drum first; Magenta
    # writes the rims of the mid and high toms.
    "roland": (
        (36,),
        (38, 37, 40),
        (42, 22, 44),
        (46, 26),
        (43, 58),
        (45, 47),
        (48, 50),
        (49, 52, 55, 57),
        (51, 53, 59),
    ),
}
GM = DRUM_MAPS["gm"]

# General MIDI Level 2 percussion that Roland's e-drums do not send: its name, and its class under
# the policy `nearest`.
PERCUSSION = {
    27: ("high Q", CLOSED_HIHAT),
    28: ("slap", SNARE),
    29: ("scratch push", CLOSED_HIHAT),
    30: ("scratch pull", OPEN_HIHAT),
    31: ("sticks", SNARE),
    32: ("square click", CLOSED_HIHAT),
    33: ("metronome click", CLOSED_HIHAT),
    34: ("metronome bell", RIDE),
    35: ("acoustic bass drum", KICK),
    39: ("hand clap", SNARE),
    41: ("low floor tom", LOW_TOM),
    54: ("tambourine", CLOSED_HIHAT),
    56: ("cowbell", RIDE),
    58: ("vibraslap", CRASH),
    60: ("high bongo", HIGH_TOM),
    61: ("low bongo", MID_TOM),
    62: ("mute high conga", HIGH_TOM),
    63: ("open high conga", MID_TOM),
    64: ("low conga", LOW_TOM),
    65: ("high timbale", HIGH_TOM),
    66: ("low timbale", MID_TOM),
    67: ("high agogo", RIDE),
    68: ("low agogo", RIDE),
    69: ("cabasa", CLOSED_HIHAT),
    70: ("maracas", CLOSED_HIHAT),
    71: ("short whistle", None),
    72: ("long whistle", None),
    73: ("short guiro", CLOSED_HIHAT),
    74: ("long guiro", OPEN_HIHAT),
    75: ("claves", SNARE),
    76: ("high wood block", SNARE),
    77: ("low wood block", SNARE),
    78: ("mute cuica", HIGH_TOM),
    79: ("open cuica", MID_TOM),
    80: ("mute triangle", CLOSED_HIHAT),
    81: ("open triangle", OPEN_HIHAT),
    82: ("shaker", CLOSED_HIHAT),
    83: ("jingle bell", CLOSED_HIHAT),
    84: ("bell tree", CRASH),
    85: ("castanets", SNARE),
    86: ("mute surdo", LOW_TOM),
    87: ("open surdo", KICK),
}
NEAREST = {pitch: drum for pitch, (_, drum) in PERCUSSION.items() if drum is not None}


def class_names(num_drums: int) -> tuple[str, ...]:
    """Return the names of a model's drum classes: of nine, CLASS_NAMES, and else numbers.

    >>> class_names(2)
    ('drum 1', 'drum 2')
    """
    if num_drums == len(CLASS_NAMES):
        return CLASS_NAMES
    return tuple(f"drum {number}" for number in range(1, num_drums + 1))


def in_nine_classes(drum_map: DrumMap) -> DrumMap:
    """Return a map that gives each pitch one of CLASS_NAMES: gm for a map of other classes.

    >>> in_nine_classes(((36,), (38, 40))) == GM
    True
    """
    return drum_map if len(drum_map) == len(CLASS_NAMES) else GM


def pitch_name(pitch: int) -> str:
    """Return a pitch with its General MIDI name, if `PERCUSSION` has one.

    >>> pitch_name(39), pitch_name(36)
    ('39 (hand clap)', '36')
    """
    return f"{pitch} ({PERCUSSION[pitch][0]})" if pitch in PERCUSSION else str(pitch)


def read_drum_map(name_or_file: str) -> DrumMap:
    """Return the pitches of each class.

    Args:
      name_or_file: A key of `DRUM_MAPS`, or a JSON file as described in the module docstring.

    Raises:
      UsageError: no such map or file.
      GroovaeError: the file is not a drum map, or leaves a class without a pitch.
    """
    if name_or_file in DRUM_MAPS:
        return DRUM_MAPS[name_or_file]
    given = _read_json(name_or_file)
    try:
        return _with_gm(_pitches_by_class(given))
    except ValueError as error:
        raise GroovaeError(f"{name_or_file}: {error}") from error


def hihat_pitches(drum_map: DrumMap) -> set[int]:
    """Return the pitches of the closed hi-hat itself, without other percussion of its class in gm.

    >>> sorted(hihat_pitches(GM))  # and not 54, a tambourine
    [22, 42, 44]
    """
    own, others = set(drum_map[CLOSED_HIHAT]), set(GM[CLOSED_HIHAT])
    return {drum_map[CLOSED_HIHAT][0], *own - (others - set(DRUM_MAPS["roland"][CLOSED_HIHAT]))}


def find_drums(drums: Iterable[str | int], num_drums: int = len(CLASS_NAMES)) -> list[int]:
    """Return the classes of drums, by name or number.

    Names are those of CLASS_NAMES, `hihat` for both hi-hats, and `toms`. Spaces, hyphens and
    underscores in them do not matter.

    Raises:
      UsageError: there is no such drum.

    >>> find_drums(["hihat", "ride", 0])
    [0, 2, 3, 8]
    """
    known = {_letters(name): [drum] for drum, name in enumerate(CLASS_NAMES[:num_drums])}
    known |= {"hihat": [CLOSED_HIHAT, OPEN_HIHAT], "toms": [LOW_TOM, MID_TOM, HIGH_TOM]}
    found: set[int] = set()
    for drum in [drums] if isinstance(drums, str) else drums:
        of_name = known.get(_letters(drum)) if isinstance(drum, str) else [drum]
        if not of_name or not all(type(one) is int and 0 <= one < num_drums for one in of_name):
            names = ", ".join(name.replace("-", "").replace(" ", "_") for name in CLASS_NAMES)
            raise UsageError(f"no drum {drum!r}; the drums: {names}, hihat, toms")
        found.update(of_name)
    return sorted(found)


def check_drum_map(value: Any) -> DrumMap:
    """Return a drum map from JSON, which turns tuples into lists.

    Raises:
      ValueError: it is not a list of pitches for each class.
    """
    is_list = isinstance(value, list | tuple) and len(value) == len(CLASS_NAMES)
    if not is_list or not all(isinstance(pitches, list | tuple) and pitches for pitches in value):
        raise ValueError("drum_map must be a list of pitches for each drum class")
    for name, pitches in zip(CLASS_NAMES, value, strict=True):
        for pitch in pitches:
            _check_pitch(name, pitch)
    return tuple(map(tuple, value))


def format_drum_map(drum_map: Any) -> str:
    """Return a drum map as text.

    >>> format_drum_map(DRUM_MAPS["roland"])[:26]
    'kick 36, snare 38+37+40, c'
    """
    named = zip(CLASS_NAMES, drum_map, strict=True)
    return ", ".join(f"{name} {'+'.join(map(str, pitches))}" for name, pitches in named)


def classes(drum_map: DrumMap) -> dict[int, int]:
    """Return the class of each pitch in the map.

    >>> classes(GM)[38] == SNARE
    True
    """
    return {pitch: drum for drum, pitches in enumerate(drum_map) for pitch in pitches}


def _letters(name: str) -> str:
    return "".join(filter(str.isalpha, name.lower()))


def _read_json(file: str) -> Any:
    try:
        with Path(file).expanduser().open("rb") as stream:  # may be a pipe
            text = stream.read(MAX_TEXT_BYTES + 1)
            if len(text) > MAX_TEXT_BYTES:
                raise ValueError(f"larger than {MAX_TEXT_BYTES:,} bytes")
    except FileNotFoundError as error:
        hint = _did_you_mean(file, DRUM_MAPS)
        raise UsageError(
            f"no drum map or file {file!r};{hint} expected {', '.join(DRUM_MAPS)} or a JSON file"
        ) from error
    except (OSError, RuntimeError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise GroovaeError(f"cannot read the drum map {file}: {reason}") from error
    try:
        return json.loads(text, object_pairs_hook=_without_repeats)
    except (ValueError, RecursionError) as error:
        raise GroovaeError(f"{file}: not valid JSON: {first_line(error)}") from error


def _without_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Raise ValueError for a repeated name, of which JSON would silently keep the last."""
    for name, count in collections.Counter(name for name, _ in pairs).items():
        if count > 1:
            raise ValueError(f"duplicate name {reprlib.repr(name)}")
    return dict(pairs)


def _pitches_by_class(given: Any) -> dict[int, tuple[int, ...]]:
    """Check the contents of a file; raise ValueError with the rule that is broken."""
    if not isinstance(given, dict):
        raise ValueError('expected an object such as {"kick": 35, "closed hi-hat": [42, 44]}')
    pitches_of: dict[int, tuple[int, ...]] = {}
    taken: dict[int, str] = {}
    for name, value in given.items():
        if name not in CLASS_NAMES:
            hint = _did_you_mean(name, CLASS_NAMES)
            raise ValueError(
                f"no drum class {reprlib.repr(name)};{hint} expected one of "
                f"{', '.join(CLASS_NAMES)}"
            )
        pitches = value if isinstance(value, list) else [value]
        for pitch in pitches:
            _check_pitch(name, pitch)
            if taken.setdefault(pitch, name) != name:
                raise ValueError(f"pitch {pitch} is in two classes, {taken[pitch]} and {name}")
        pitches_of[CLASS_NAMES.index(name)] = tuple(dict.fromkeys(pitches))
    return pitches_of


def _check_pitch(name: str, pitch: Any) -> None:
    if type(pitch) is not int or not 0 <= pitch <= 127:  # bool is a subclass of int
        raise ValueError(
            f"a pitch of {name} must be an integer from 0 to 127, got {reprlib.repr(pitch)}"
        )


def _with_gm(given: dict[int, tuple[int, ...]]) -> DrumMap:
    """Add the other classes of gm; raise ValueError if a class has no pitch left."""
    taken = {pitch for pitches in given.values() for pitch in pitches}
    drum_map = tuple(
        given.get(drum, tuple(pitch for pitch in pitches if pitch not in taken))
        for drum, pitches in enumerate(GM)
    )
    for name, pitches in zip(CLASS_NAMES, drum_map, strict=True):
        if not pitches:
            raise ValueError(f"no pitch is left for {name}; add it to the map")
    return drum_map


def _did_you_mean(name: str, names: Iterable[str]) -> str:
    matches = difflib.get_close_matches(name, names, n=1, cutoff=0.5)
    return f" did you mean {matches[0]}?" if matches else ""
