"""The embedded data set: twenty drum styles as text, and the generator that performs them.

`groovae demo` trains on it, without a network. The patterns were written for this project in
well-known idioms. A style is a feel (`FEELS`) and a chart (`CHARTS`). `performances` generates a
hundred performances of eight bars from them; `write_dataset` writes these in the layout of the
Groove MIDI Dataset (GMD), so that the same code reads both.

A row of a chart is a drum, cymbals first. Its five columns are bars of 4/4 in 16 steps: A and B
(the groove, a two-bar phrase), C (a variation), F (a short fill) and G (a long fill):

    1 e & a 2 e & a 3 e & a 4 e & a          X accent    x normal    o ghost note    - rest
    X - - - - - - - x - x - - - - -

The first line of a chart lists arrangements as "tempo form changes": `126 ABAFABCG ride` is 126
bpm, eight bars in that order, the hi-hat moved to the ride cymbal (see `CHANGES`). The first bar,
and each bar after a fill, starts with a crash cymbal if the feel has one.

A feel delays the four 16ths of a beat by fractions of a step: `_swung(0.2)` delays every second one
by a fifth; `TRIPLET` plays `X--x` as long and short notes of a shuffle and `Xx-x` as a triplet. It
also delays single drums, in milliseconds. Performing adds a slow drift, an error for each hit and a
rush towards the end of a fill, plays every second 16th softer, and leaves out some ghost notes.

Each arrangement has its own `random.Random`, of which only `random()` is called. Python guarantees
that it repeats, so the data are the same on every machine and in every version.
"""

import csv
import os
import random
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from groovae.music.midi_writer import Note, write_midi
from groovae.system.atomic_files import atomic_write, refuse_links

STEPS_PER_BAR = 16
SESSION = "drummer1/session1"
# Pitch, and loudness relative to the snare drum.
DRUMS = {
    "CR": (49, 0.95),  # crash cymbal
    "RB": (53, 0.80),  # ride cymbal, bell
    "RD": (51, 0.75),  # ride cymbal
    "OH": (46, 0.85),  # open hi-hat
    "CH": (42, 0.75),  # closed hi-hat
    "HT": (50, 0.95),  # high tom
    "MT": (47, 0.95),  # mid tom
    "LT": (43, 1.00),  # low or floor tom
    "SD": (38, 1.00),  # snare drum
    "SS": (37, 0.75),  # side stick
    "BD": (36, 0.85),  # bass drum
    "PH": (44, 0.80),  # hi-hat with the foot
}
VELOCITIES = {"X": 108, "x": 82, "o": 36}
ACCENTS = (8, -5, 1, -5, 3, -5, 1, -5, 6, -5, 1, -5, 3, -5, 1, -5)  # e and a: the weaker hand
REST = "-" * STEPS_PER_BAR
LETTERS = "-oxX"  # in order of loudness
ADD_GHOSTS = str.maketrans(LETTERS, "o---")
COLUMNS = "ABCFG"
FILLS = "FG"

VELOCITY_SIGMA = 6
JITTER_MS = 6.0  # sigma of the error of a hit
DRIFT_MS, DRIFT_MEMORY = 1.7, 0.95  # sigma per step; 5.4 ms in the long run
RUSH_MS = 8.0  # lead at the end of a fill
MAX_OFFSET_STEPS = 0.46  # under 0.5, so that a hit quantizes to its own step
GHOSTS_LEFT_OUT = 0.12
NOTE_SECONDS = 0.05

Bar = dict[str, str]  # row name -> 16 letters
BeatDelays = tuple[float, float, float, float]  # of its four 16ths, in steps


def _swung(delay_steps: float) -> BeatDelays:
    return (0.0, delay_steps, 0.0, delay_steps)


STRAIGHT = _swung(0.0)
TRIPLET = (0.0, 1 / 3, 0.0, -1 / 3)


@dataclass(frozen=True)
class Feel:
    """Timing and loudness of a style.

    Attributes:
      delay_steps: Delay of each of the four 16ths of a beat, in steps.
      delay_ms: Delay by drum; negative values are ahead of the beat.
      loudness: Factor of all velocities.
      crash: Whether the first bar and bars after a fill start with a crash cymbal.
    """

    delay_steps: BeatDelays
    delay_ms: dict[str, float] = field(default_factory=dict)
    loudness: float = 1.0
    crash: bool = True


FEELS = {
    "rock": Feel(STRAIGHT, {"SD": 5, "CH": -3}, 1.05),
    "rock/metal": Feel(STRAIGHT, {"BD": -2, "SD": 2}, 1.12),
    "punk": Feel(STRAIGHT, {"CH": -6, "OH": -6, "SD": -3}, 1.12),
    "country": Feel(_swung(0.06), {"SD": -3, "BD": 3}, 0.9, crash=False),
    "funk": Feel(_swung(0.08), {"SD": 4, "BD": -2}),
    "funk/purdieshuffle": Feel(TRIPLET, {"SD": 8, "BD": 2}, 0.95),
    "soul": Feel(_swung(0.06), {"SD": 16, "BD": 4}, 0.95),
    "soul/motown": Feel(STRAIGHT, {"SD": 5, "CH": -4}),
    "blues/shuffle": Feel(TRIPLET, {"SD": 7, "CH": -2}),
    "dance/disco": Feel(STRAIGHT, {"OH": -5, "CH": -3}),
    "dance/breakbeat": Feel(_swung(0.05), {"CH": -4, "SD": -2}, 1.05),
    "hiphop": Feel(_swung(0.22), {"SD": 12, "BD": 7}, 0.95),
    "reggae": Feel(_swung(0.25), {"BD": 10, "SS": 14}, 0.9),
    "pop/soft": Feel(STRAIGHT, {"SD": 10, "SS": 8, "BD": 2}, 0.85),
    "latin/brazilian-bossa": Feel(STRAIGHT, {"SS": 4, "BD": 3}, 0.78, crash=False),
    "latin/samba": Feel((0.0, 0.06, -0.08, -0.14), {"BD": 4}, 0.95),
    "afrobeat": Feel(_swung(0.07), {"SD": 6, "CH": -4}, 0.92),
    "afrocuban/bembe": Feel(TRIPLET, {"BD": 4, "RB": -4}, 0.95, crash=False),
    "jazz/swing": Feel(TRIPLET, {"RD": -4, "SD": 6}, 0.85, crash=False),
    "neworleans/secondline": Feel(_swung(0.18), {"BD": 6, "SD": 3}, crash=False),
}

CHARTS = {
    "rock": """
      116 ABACABAF, 126 ABAFABCG ride, 104 AACFABAG, 134 ABABABCG open, 120 ABABACAG
      OH |----------------|----------------|--------------X-|----------------|----------------|
      CH |X-x-X-x-X-x-X-x-|X-x-X-x-X-x-X-x-|X-x-X-x-X-x-X---|X-x-X-x-X-x-----|X-x-X-x---------|
      HT |----------------|----------------|----------------|----------------|--------Xx------|
      MT |----------------|----------------|----------------|----------------|----------xx----|
      LT |----------------|----------------|----------------|------------XxX-|------------XxXx|
      SD |----X-------X---|----X--o----X---|----X-------X--o|----X-----xxX---|----X-xx--------|
      BD |X-------X-x-----|X-----x-X-x-----|X--x----x-x-----|X-------X-----X-|X-------X---X---|""",
    "rock/metal": """
      168 ABABABAF, 176 ABACABCG ride, 160 ABAFABCF half, 184 AACFABCG, 172 ABABABCG open
      CH |X---X---X---X---|X---X---X---X---|X-x-X-x-X-x-X-x-|X---X---X-------|X---------------|
      HT |----------------|----------------|----------------|----------------|----XxXx--------|
      MT |----------------|----------------|----------------|----------------|--------XxXx----|
      LT |----------------|----------------|----------------|------------XxXx|------------XxXx|
      SD |----X-------X---|----X-------X---|--X---X---X---X-|----X---XxXx----|XxXx------------|
      BD |X-xxX-xxX-xxX-xx|XxxxXxxxX-xxX-xx|X---X---X---X---|X-xxX-xxX---X---|X-x-X-x-X-x-X-x-|""",
    "punk": """
      172 ABABABAF, 184 AAACABAG, 178 ABAFABAG open, 164 ABABABCF half, 180 ABABACAG toms
      OH |----------------|--------------X-|----------------|----------------|----------------|
      CH |X-X-X-X-X-X-X-X-|X-X-X-X-X-X-X---|X-X-X-X-X-X-X-X-|X-X-X-X---------|----------------|
      LT |----------------|----------------|----------------|--------------XX|------------X-X-|
      SD |----X-------X---|----X-------X---|--X---X---X---X-|----X---XxXxXX--|X-X-X-X-XxXxX-X-|
      BD |X-----X---X-----|X-x---X---X---x-|X---X---X---X---|X-----X-X---X---|X---X---X---X---|""",
    "country": """
      108 ABABABAF, 116 ABACABAG, 100 ABAFABCF, 124 AACFABCG, 112 ABABABCG
      CH |----------------|----------------|x-x-x-x-x-x-x-x-|----------------|----------------|
      LT |----------------|----------------|----------------|----------------|------------XxX-|
      SD |ooXoooXoooXoooXo|ooXoooXoooXooXXo|----X--o----X--o|ooXoooXoooXoXxXX|ooXoxxXoXoXo----|
      BD |X---x---X---x---|X---x---X---x---|X-----x-X-------|X---x---X---x---|X---x---X---X---|
      PH |----x-------x---|----x-------x---|----------------|----x-------x---|----x-------x---|""",
    "funk": """
      96 ABABABCF, 104 ABAFABCG, 92 AACFABAG sixteenths, 110 ABACABCF ride, 100 ABABABAG
      OH |----------------|--------------x-|------x---------|----------------|----------------|
      CH |X-x-X-x-X-x-X-x-|X-x-X-x-X-x-X---|X-x-X---X-x-X-x-|X-x-X-x-X-------|X-x---x---------|
      HT |----------------|----------------|----------------|----------------|------------X---|
      MT |----------------|----------------|----------------|----------------|-------------x--|
      LT |----------------|----------------|----------------|----------------|---------------X|
      SD |----X--o-o--X-o-|----X-oo--o-X---|----X--o-oo---X-|----X--o-XoXo-XX|---oX--X-oX-----|
      BD |X--x--x---x-----|X--x----x--x----|X--x----x--x----|X--x--x-x----x--|X----x--x--x--x-|""",
    "funk/purdieshuffle": """
      124 ABABABAF, 132 ABACABAG, 118 AACFABAG, 138 ABABABCF ride, 128 ABAFABCG
      OH |----------------|----------------|---------------x|----------------|----------------|
      CH |X--xX--xX--xX--x|X--xX--xX--xX--x|X--xX--xX--xX---|X--xX--xX--x----|X--xX--x--------|
      HT |----------------|----------------|----------------|----------------|------------X---|
      MT |----------------|----------------|----------------|----------------|-------------x--|
      LT |----------------|----------------|----------------|----------------|---------------X|
      SD |-o---o--Xo---o--|-o---o--X----o-o|-o---o--Xo---o--|-o---o--X---Xx-X|-o---o--Xx-x----|
      BD |X------x---x----|X--x-------x---x|X------x---x-x--|X--x-------x----|X------x--------|""",
    "soul": """
      92 ABABABAF, 100 ABACABAG, 86 AACFABCF, 106 ABAFABCG ride, 96 ABABABCG
      OH |----------------|----------------|--------------x-|----------------|----------------|
      CH |X-x-X-x-X-x-X-x-|X-x-X-x-X-x-X-x-|X-x-X-x-X-x-X---|X-x-X-x-X-x-----|X-x-X-x---------|
      HT |----------------|----------------|----------------|----------------|------------X---|
      LT |----------------|----------------|----------------|----------------|--------------X-|
      SD |----X-------X---|----X----o--X--o|----X--o----X---|----X-------X-xX|----X---x-xx----|
      BD |X-----x-xx------|X-----x---x-----|X-xx----x-x-----|X-----x-x-x-----|X-----x-x-----x-|""",
    "soul/motown": """
      112 ABABABAF, 124 ABAFABCG, 104 AACFABAG, 118 ABACABCF, 128 ABABABCG
      CH |X-x-X-x-X-x-X-x-|X-x-X-x-X-x-X-x-|X-x-X-x-X-x-X-x-|X-x-X-x-X-------|X---------------|
      HT |----------------|----------------|----------------|----------------|--------Xx------|
      LT |----------------|----------------|----------------|-------------xX-|----------xx----|
      SD |X---X---X---X---|X---X---X---X--x|----X---X-x-X---|X---X---X-xxX---|X---X-xx----XxXX|
      BD |X-----x-X-x---x-|X-x---x-X-----x-|X-----x---x---x-|X-----x-X---x---|X---X---X---X---|""",
    "blues/shuffle": """
      116 ABABABAF, 124 ABACABAG, 108 ABAFABCF, 130 AACFABCG ride, 120 ABABABCG
      CH |X--xX--xX--xX--x|X--xX--xX--xX--x|X--xX--xX--xX--x|X--xX--xX--x----|X--xX--x--------|
      LT |----------------|----------------|----------------|----------------|------------Xx-X|
      SD |----X--o----X--o|o--oX--oo--oX--o|----X--o---oX--o|----X-------Xx-X|----X--oXx-x----|
      BD |X---x---X---x---|X---x--xX---x---|X--xx--xX--xx---|X---x---X---x---|X---x---X---X---|""",
    "dance/disco": """
      116 ABABABAF, 122 ABACABAG eighths, 126 ABAFABCG, 112 AACFABAG, 120 ABABABCG eighths
      OH |--X---X---X---X-|--X---X---X---X-|------X-------X-|--X---X---------|--X-------------|
      CH |Xo-oXo-oXo-oXo-o|Xo-oXo-oXo-oXo-o|XoxoXo-oXoxoXo-o|Xo-oXo-o--------|Xo-o------------|
      HT |----------------|----------------|----------------|----------------|--------Xx------|
      LT |----------------|----------------|----------------|----------------|----------Xx----|
      SD |----X-------X---|----X-------X--o|----X--o-o--X---|----X---X-x-XxXx|----X-xx----XxXX|
      BD |X---X---X---X---|X---X---X---X-x-|X---X---X---X---|X---X---X---X---|X---X---X---X---|""",
    "dance/breakbeat": """
      170 ABABABAF, 174 ABACABCG, 164 ABAFABAG half, 176 AACFABCG ride, 172 ABABABCF
      OH |----------------|--------------x-|----------------|----------------|----------------|
      CH |X-x-X-x-X-x-X-x-|X-x-X-x-X-x-X---|X-x-x-x-X-x-x-x-|X-x-X-x-X-x-----|X-x-X-x---------|
      SD |----X--o--o-X---|----X-o--o--X-oo|---X--o-X--o--X-|----X--o-oX-X-XX|----X-XoX-XoXXXX|
      BD |X---------X-----|X--x------X-----|X----x----x--x--|X---------X-----|X-------X---X---|""",
    "hiphop": """
      90 ABABABAF, 94 ABACABAG, 86 ABAFABCF, 84 AACFABCG quarters, 92 ABABABCG
      OH |----------------|----------------|--------------x-|----------------|----------------|
      CH |X-x-X-x-X-x-X-x-|X-x-X-x-XxxxX-x-|XxxxX-x-X-xxX---|X-x-X-x-X-x-----|X-x-X-x-X-------|
      SD |----X-------X---|----X--o----X---|----X----o--X--o|----X--o----X-xX|----X--o-oxX-XoX|
      BD |X------x--x-----|X--x---x--x--x--|X-x----x-xx-----|X------x--x-----|X------x----x-x-|""",
    "reggae": """
      72 ABABABAF, 76 ABACABAG, 68 ABAFABCF, 80 AACFABAG, 74 ABABABCG
      OH |----------------|--------------X-|----------------|----------------|----------------|
      CH |x-Xox-Xox-Xox-Xo|x-Xox-Xox-Xox---|x-Xox-Xox-Xox-Xo|x-Xox-Xox-Xo----|x-Xox-----------|
      HT |----------------|----------------|----------------|----------------|--------XxxX----|
      LT |----------------|----------------|----------------|----------------|------------X-x-|
      SD |----------------|----------------|----------------|------------XoxX|------X---------|
      SS |----X-------X---|----X--x-x--X---|----X-------X--x|----X-----------|----X-----------|
      BD |----X-------X---|----X-------X---|X---X---X---X---|----X-------X---|----X-------X---|""",
    "pop/soft": """
      70 ABABABAF, 76 ABABABCG stick, 66 ABAFABCF, 80 AACFABCG ride, 72 ABACABCG
      OH |----------------|----------------|--------------x-|----------------|----------------|
      CH |X-x-X-xoX-x-X-x-|X-xoX-x-X-x-X-xo|X-x-X-xoX-x-X---|X-x-X-x-X-x-----|X-x-X-x---------|
      HT |----------------|----------------|----------------|----------------|--------x-x-----|
      MT |----------------|----------------|----------------|------------x---|-----------xx---|
      LT |----------------|----------------|----------------|--------------x-|-------------xX-|
      SD |----X-------X---|----X-------X-o-|----X--o-o--X---|----X-----oxX---|----X---------xX|
      BD |X------xX-----x-|X------xX-x-----|X-x----xX-x-----|X------xX-----x-|X------xX-----x-|""",
    "latin/brazilian-bossa": """
      128 ABABABAF, 138 ABACABCF, 122 ABAFABCG, 144 ABABABCG ride, 132 ABACABAF
      CH |x-o-x-o-x-o-x-o-|x-o-x-o-x-o-x-o-|x-o-x-o-x-o-x-o-|x-o-x-o-x-o-----|x-o-x-o---------|
      HT |----------------|----------------|----------------|----------------|--------x-x-----|
      LT |----------------|----------------|----------------|----------------|------------x---|
      SD |----------------|----------------|----------------|------------x-xx|--------------xo|
      SS |X-----x-----x---|----x-----x-----|--x---x-----x---|----x-----x-----|X-----x---------|
      BD |X-----x-X-----x-|X-----x-X-----x-|X-----x-X-----x-|X-----x-X-----x-|X-----x-X-----x-|""",
    "latin/samba": """
      100 ABABABAF, 106 ABACABAG, 96 ABAFABCF, 110 AACFABAG ride, 102 ABABABCG
      CH |x-X-x-X-x-X-x-X-|x-X-x-X-x-X-x-X-|----------------|x-X-x-X---------|x-X-------------|
      HT |----------------|----------------|----------------|----------------|----X--x--------|
      LT |----------------|----------------|----------------|------------X-x-|--------X--xX-X-|
      SD |----------------|----------------|XooXooXoXooXoXoo|--------XoxX----|-------------x-x|
      SS |x-x--x-xx-x--x--|-x-xx-x--x-x-x--|----------------|x-x--x-x--------|x-x-------------|
      BD |x--xX--xx--xX--x|x--xX--xx--xX--x|x--xX--xx--xX--x|x--xX--xx--xX---|x--xX--xx--xX---|""",
    "afrobeat": """
      108 ABABABCF, 114 ABACABAG, 102 ABAFABCG, 120 AACFABAF ride, 110 ABABABAG
      OH |------x---------|--------------x-|------x-------x-|----------------|----------------|
      CH |X-xxX---X-xxX-x-|X-xxX-x-X-xxX---|X-xxX---X-xxX---|X-xxX-x-X-------|X-xxX-----------|
      HT |----------------|----------------|----------------|----------------|------------X-x-|
      LT |----------------|----------------|----------------|----------------|-------------x-X|
      SD |----o--X--o-X---|----o--X--o--X-o|---oX--o--X-o-X-|----o--X--xoXoXX|------XoX-oX----|
      BD |X--x------x---x-|X-----x---x--x--|X--x--x---x-----|X--x----x----x--|X--x-----x--X---|""",
    "afrocuban/bembe": """
      112 ABABABAF, 120 ABACABCG, 104 ABAFABAG, 126 AACFABCF, 116 ABABABCG
      RB |X--x-x-x-x--x--x|X--x-x-x-x--x--x|X--x-x-x-x--x--x|X--x-x-x--------|X--x------------|
      HT |---x-------x----|---x-------x-x--|-----x-x--------|--------Xx-x----|----Xx-x--------|
      LT |-----x-------x--|-----x---------x|---x-----x-x----|------------Xx-x|--------Xx-xX--X|
      SD |--------o-------|--------o-------|-o------X---o---|--------X---X---|-x-x------------|
      BD |X------x----x---|X------x---x----|X----x------x--x|X------x----X---|X---X---X---X---|
      PH |x---x---x---x---|x---x---x---x---|x---x---x---x---|x---x---x---x---|x---x---x---x---|""",
    "jazz/swing": """
      138 ABABABAF, 152 ABACABCF, 128 ABAFABCG, 166 ABCFABAG hats, 144 ABABABCG
      RD |x---X--xx---X--x|x---X--xx---X--x|x--xX--xx---X--x|x---X--xx-------|x---X-----------|
      HT |----------------|----------------|----------------|----------------|--------Xx-x----|
      LT |----------------|----------------|----------------|----------------|------------Xx-x|
      SD |-------o-------o|---x-------o----|-o-----x---o-o-x|-------o----Xx-x|---ox--Xx-------|
      BD |o---o---o---o---|o---o---o--xo---|o---o--xo---o---|o---o---o---o---|o--xo---o---o--X|
      PH |----x-------x---|----x-------x---|----x-------x---|----x-------x---|----x-------x---|""",
    "neworleans/secondline": """
      94 ABABABAF, 100 ABACABCG, 88 ABAFABCF, 106 AACFABAG, 98 ABABABCG
      RB |----------------|----------------|X-x-xx-xx-xx-x-x|----------------|----------------|
      HT |----------------|----------------|----------------|----------------|----X-xX--------|
      LT |----------------|----------------|----------------|-------------X-x|--------X--X----|
      SD |X-oXo-oxo-oXo-Xo|o-Xo-oXo-oXo-oXx|----X-o----oX-o-|X-oXo-oxX-XoX---|X-oX--------XoXX|
      BD |X--x--x-----X---|X--x--x---x-X---|X--x--x-----X---|X--x--x-----X---|X--x--x-----X---|
      PH |----x-------x---|----x-------x---|----x-------x---|----x-------x---|----x-------x---|""",
}


@dataclass(frozen=True)
class Performance:
    """A performed arrangement.

    Attributes:
      style: A key of `CHARTS`, in GMD's spelling "primary/secondary".
      tempo_qpm: Quarter notes per minute.
      split: "train", "validation" or "test".
      notes: The hits in order; the first is at 0 seconds or a little later.
      bars: Number of 4/4 bars.
    """

    style: str
    tempo_qpm: int
    split: str
    notes: list[Note]
    bars: int

    @property
    def duration_seconds(self) -> float:
        return self.bars * 240 / self.tempo_qpm


def write_dataset(directory: str | os.PathLike[str], seed: int = 0) -> list[Path]:
    """Write the performances as MIDI files, and `info.csv`, in the layout of GMD.

    Args:
      directory: The folder to write to; it is created if necessary.
      seed: Another seed gives other timing and velocities.

    Returns:
      The MIDI files, `directory/drummer1/session1/1_rock_116_beat_4-4.mid` and so on.

    Raises:
      GroovaeError: a file cannot be written, or a subfolder is a link.
    """
    refuse_links(directory, os.path.dirname(SESSION), SESSION)
    performed = list(performances(seed))
    rows = [_info_row(number, performance) for number, performance in enumerate(performed, start=1)]
    paths = [Path(directory, row["midi_filename"]) for row in rows]
    for path, performance in zip(paths, performed, strict=True):
        tempo_qpm, length_seconds = performance.tempo_qpm, performance.duration_seconds
        write_midi(path, performance.notes, tempo_qpm, length_seconds, follow_links=False)
    with (
        atomic_write(Path(directory, "info.csv"), follow_links=False) as temporary,
        temporary.open("w", encoding="utf-8", newline="") as file,
    ):
        writer = csv.DictWriter(file, rows[0], lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    return paths


def performances(seed: int = 0) -> Iterator[Performance]:
    """Yield all performances, style by style; 80 % are for training.

    The last arrangement of each style is held out, for validation and test in turn, so that both
    splits have styles of the training split at other tempos.
    """
    for style_number, (style, chart) in enumerate(CHARTS.items()):
        held_out = ("validation", "test")[style_number % 2]
        bars, arrangements = parse_chart(style, chart)
        for arrangement in arrangements:
            arranged = _arrange(bars, arrangement, FEELS[style].crash)
            notes = _perform(arranged, arrangement, FEELS[style], _rng(seed, style, arrangement))
            split = held_out if arrangement is arrangements[-1] else "train"
            yield Performance(style, arrangement.tempo_qpm, split, notes, len(arranged))


class Arrangement(NamedTuple):
    """Quarter notes per minute, the letters of the bars, and keys of `CHANGES`."""

    tempo_qpm: int
    form: str
    changes: tuple[str, ...]


def _rng(seed: int, style: str, arrangement: Arrangement) -> random.Random:
    # The text must stay as it is, so that a seed gives the same data in later versions.
    tempo_qpm, form, changes = arrangement
    return random.Random(
        f"{seed} {style} Take(tempo_qpm={tempo_qpm}, form={form!r}, touches={changes!r})"
    )


def parse_chart(style: str, chart: str) -> tuple[dict[str, Bar], list[Arrangement]]:
    """Read a chart: its bars by letter (A, B, C, F, G), and its arrangements.

    Raises:
      ValueError: invalid syntax; the message names the style and the row.
    """
    head, *rows = [line.strip() for line in chart.strip().splitlines()]
    bars: dict[str, Bar] = {letter: {} for letter in COLUMNS}
    for row in rows:
        drum, *columns = row.replace(" ", "").rstrip("|").split("|")
        if drum not in DRUMS or drum in bars["A"]:
            raise ValueError(f"{style}: row {row!r}: {drum!r} is unknown, or given twice")
        if [len(cells) for cells in columns] != [STEPS_PER_BAR] * len(COLUMNS):
            raise ValueError(f"{style}: row {row!r}: not five bars of {STEPS_PER_BAR} steps")
        if set("".join(columns)) - set(LETTERS):
            raise ValueError(f"{style}: row {row!r}: a letter that is not one of {LETTERS!r}")
        for letter, cells in zip(COLUMNS, columns, strict=True):
            bars[letter][drum] = cells
    return bars, [_parse_arrangement(style, text) for text in head.split(",")]


def _parse_arrangement(style: str, text: str) -> Arrangement:
    if not re.fullmatch(rf" *[1-9][0-9]* [{COLUMNS}]+( ({'|'.join(CHANGES)}))*", text):
        raise ValueError(f"{style}: row {text!r}: not a tempo, a form of bars, and changes")
    tempo, form, *changes = text.split()
    return Arrangement(int(tempo), form, tuple(changes))


def _arrange(bars: dict[str, Bar], arrangement: Arrangement, crash: bool) -> list[Bar]:
    """Return the bars of an arrangement; fills take only the changes of cymbals."""
    arranged = []
    follows_fill = True  # as if the count-in were a fill
    for letter in arrangement.form:
        bar = bars[letter]
        for change in arrangement.changes:
            if letter not in FILLS or change in CYMBAL_CHANGES:
                bar = CHANGES[change](bar)
        arranged.append(_with_crash(bar) if follows_fill and crash else bar)
        follows_fill = letter in FILLS
    return arranged


def _with_crash(bar: Bar) -> Bar:
    """Return the bar with a crash in place of other cymbals on the first step."""
    silenced = {drum: "-" + bar[drum][1:] for drum in ("CH", "OH", "RD", "RB") if drum in bar}
    return bar | silenced | {"CR": "X" + REST[1:]}


def _moved(bar: Bar, **new_drums: str) -> Bar:
    """Return the bar with drums moved to others, merged with what those play."""
    moved: Bar = {}
    for drum, cells in bar.items():
        drum = new_drums.get(drum, drum)
        moved[drum] = _louder(moved.get(drum, REST), cells)
    return moved


def _thinned(bar: Bar, steps: int) -> Bar:
    """Return the bar with the hi-hat only on every second or fourth step."""
    return bar | {"CH": "".join(cell + "-" * (steps - 1) for cell in bar["CH"][::steps])}


def _half_time(bar: Bar) -> Bar:
    """Return the bar with the first half of kick and snare drum stretched over the bar."""
    return bar | {drum: "".join(cell + "-" for cell in bar[drum][:8]) for drum in ("SD", "BD")}


def _louder(first: str, second: str) -> str:
    return "".join(max(pair, key=LETTERS.index) for pair in zip(first, second, strict=True))


CHANGES: dict[str, Callable[[Bar], Bar]] = {
    "ride": lambda bar: _moved(bar, CH="RD", OH="RB") | {"PH": "----x-------x---"},
    "hats": lambda bar: _moved(bar | {"PH": REST}, RD="CH"),
    "open": lambda bar: _moved(bar, CH="OH"),  # loose, for a loud chorus
    "toms": lambda bar: _moved(bar, CH="LT"),
    "stick": lambda bar: _moved(bar, SD="SS"),
    "quarters": lambda bar: _thinned(bar, 4),
    "eighths": lambda bar: _thinned(bar, 2),
    "sixteenths": lambda bar: bar | {"CH": _louder(bar["CH"], bar["OH"].translate(ADD_GHOSTS))},
    "half": _half_time,
}
CYMBAL_CHANGES = ("ride", "hats", "open")


def _perform(
    bars: list[Bar], arrangement: Arrangement, feel: Feel, rng: random.Random
) -> list[Note]:
    """Return the notes of an arrangement, each within `MAX_OFFSET_STEPS` of its step."""
    step_ms = 15_000 / arrangement.tempo_qpm
    loudness = feel.loudness * (0.95 + 0.1 * rng.random())
    drift_ms = 0.0
    notes = []
    for position in range(len(bars) * STEPS_PER_BAR):
        bar, step = divmod(position, STEPS_PER_BAR)
        drift_ms = DRIFT_MEMORY * drift_ms + DRIFT_MS * _noise(rng)
        rush_ms = RUSH_MS * step / STEPS_PER_BAR if arrangement.form[bar] in FILLS else 0.0
        for drum, cells in bars[bar].items():
            letter = cells[step]
            if letter == "-" or (letter == "o" and rng.random() < GHOSTS_LEFT_OUT):
                continue
            late_ms = drift_ms - rush_ms + feel.delay_ms.get(drum, 0.0) + JITTER_MS * _noise(rng)
            offset = feel.delay_steps[step % 4] + late_ms / step_ms
            offset = min(MAX_OFFSET_STEPS, max(-MAX_OFFSET_STEPS, offset))
            start = abs(position + offset) * step_ms / 1000  # never before the start of the file
            velocity = _velocity(letter, drum, step, loudness, rng)
            notes.append(Note(start, start + NOTE_SECONDS, DRUMS[drum][0], velocity))
    return sorted(notes)


def _velocity(letter: str, drum: str, step: int, loudness: float, rng: random.Random) -> int:
    level = VELOCITIES[letter] * DRUMS[drum][1] * loudness
    velocity = round(level + ACCENTS[step] + VELOCITY_SIGMA * _noise(rng))
    return min(127, max(1, velocity))


def _noise(rng: random.Random) -> float:
    """Return an almost normal number of mean 0 and sigma 1, within 3.5 sigma."""
    return (rng.random() + rng.random() + rng.random() + rng.random() - 2) * 1.7320508


def _info_row(number: int, performance: Performance) -> dict[str, str]:
    """Return a row of `info.csv`, without audio, as in some rows of GMD."""
    style, tempo = performance.style, str(performance.tempo_qpm)
    return {
        "drummer": SESSION.split("/")[0],
        "session": SESSION,
        "id": f"{SESSION}/{number}",
        "style": style,
        "bpm": tempo,
        "beat_type": "beat",
        "time_signature": "4-4",
        "midi_filename": f"{SESSION}/{number}_{style.replace('/', '-')}_{tempo}_beat_4-4.mid",
        "audio_filename": "",
        "duration": f"{performance.duration_seconds:.6f}",
        "split": performance.split,
    }
