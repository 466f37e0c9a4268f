"""Choose which notes of a MIDI file are drums, if that is not clear from the channel.

Drums belong on channel 10. Many programs write them elsewhere: then a track whose name says so is
chosen, or the only track that looks like a drum kit. A bass never does: its hits are never
simultaneous, and its pitches are not those of a kit.
"""

import re
from typing import Any

import numpy as np

from groovae.errors import UsageError
from groovae.music.midi_reader import DRUM_CHANNEL

KICKS, SNARES, HIHATS = {35, 36}, {37, 38, 40}, {22, 26, 42, 44, 46}
LOWEST, HIGHEST = 22, 87  # of e-drums and General MIDI percussion
MIN_CORE_SHARE = 0.4  # of the notes that are kick, snare or hi-hat
MIN_SIMULTANEOUS_SHARE = 0.05  # of the times at which several drums are hit

# As a word of a track's name; also Chinese, French, German, Japanese, Korean, Portuguese, Spanish.
DRUM_NAME = re.compile(
    r"\b(drum|drums|drumset|drum ?kit|kit|perc|percussion|percussions|kick|snare|hi-?hats?|toms?"
    r"|cymbals?|bater[ií]a|batterie|schlagzeug)(\b|\d|_)|드럼|타악|ドラム|鼓|打楽器",
    re.IGNORECASE,
)
NOT_DRUM_NAME = re.compile(r"\b(steel|tongue)\b|\bbass\b(?! ?drum)", re.IGNORECASE)

Part = tuple[int, int]  # track and channel, counted from 0


def choose_drums(song: Any, drums: str = "auto") -> tuple[set[Part], list[str]]:
    """Choose the parts of a song that are drums.

    Args:
      song: A `midi_complete.Song`.
      drums: `auto`: channel 10; if it is empty, tracks whose names are those of drums, else the
        only track that looks like a drum kit. `channel:N`: channel N, 1 to 16. `track:NAME`: the
        tracks of that name, in any case, or whose names contain it.

    Returns:
      The parts, and a line about the choice if it is not channel 10.

    Raises:
      UsageError: `drums` has another form.
    """
    check_choice(drums)
    names = {part: song.names[part[0]] for part in song.notes.parts()}
    kind, _, value = drums.partition(":")
    if kind == "channel":
        return {part for part in names if part[1] == int(value) - 1}, []
    if kind == "track":
        return _named(names, value), []
    return _choose(song.notes, names)


def check_choice(drums: str) -> None:
    """Raise UsageError if `drums` is not valid for `choose_drums`."""
    if not re.fullmatch(r"auto|channel:([1-9]|1[0-6])|track:.+", drums, re.DOTALL):
        raise UsageError(f"drums must be auto, channel:1 to channel:16 or track:NAME, got {drums}")


def looks_like_kit(pitches: np.ndarray, starts: np.ndarray) -> bool:
    """Return whether notes look like those of a drum kit, by their pitches and start ticks.

    The pitches are those of percussion, with at least two of kick, snare and hi-hat, which are a
    large share of the notes, and several drums are hit at once now and then.
    """
    if not len(pitches) or pitches.min() < LOWEST or pitches.max() > HIGHEST:
        return False
    is_core = [np.isin(pitches, list(group)) for group in (KICKS, SNARES, HIHATS)]
    hits = np.unique(np.stack([starts, pitches], axis=1), axis=0)  # each drum once at each time
    _, num_drums = np.unique(hits[:, 0], return_counts=True)
    return bool(
        sum(map(np.any, is_core)) >= 2
        and np.mean(np.any(is_core, axis=0)) >= MIN_CORE_SHARE
        and np.mean(num_drums > 1) >= MIN_SIMULTANEOUS_SHARE
    )


def _choose(notes: Any, names: dict[Part, str]) -> tuple[set[Part], list[str]]:
    on_channel_10 = {part for part in names if part[1] == DRUM_CHANNEL}
    if on_channel_10:
        return on_channel_10, []
    chosen, reason = {part for part, name in names.items() if _is_drum_name(name)}, "by its name"
    if not chosen:
        reason = "by its pitches"
        own = {part: notes.of(part) for part in names}
        chosen = {part for part in own if looks_like_kit(own[part].pitches, own[part].starts)}
        chosen = chosen if len(chosen) == 1 else set()
    parts = ", ".join(_describe(part, names[part]) for part in sorted(chosen))
    line = f"no notes on channel 10; the drums are {parts}, chosen {reason} (see --drums)"
    return chosen, [line] if chosen else []


def _is_drum_name(name: str) -> bool:
    return bool(DRUM_NAME.search(name.replace("_", " "))) and not NOT_DRUM_NAME.search(name)


def _named(names: dict[Part, str], name: str) -> set[Part]:
    wanted = name.casefold()
    exact = {part for part, own in names.items() if own.casefold() == wanted}
    return exact or {part for part, own in names.items() if wanted in own.casefold()}


def _describe(part: Part, name: str) -> str:
    track, channel = part
    return f"track {track + 1}{f' ({name})' if name else ''} on channel {channel + 1}"
